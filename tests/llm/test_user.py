"""The LLM user: what the model is shown, the strategies, the survey, the ids."""

from __future__ import annotations

import asyncio
import json
import pickle
import re
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

import usersim_env  # noqa: F401 - registers the ids
from usersim_env.conversation.scene import Scene
from usersim_env.env.raised import user_failure
from usersim_env.errors import InstallError, ModelError, UnknownName, UsageError, UserSideError
from usersim_env.feedback.survey import QUESTIONS, Survey
from usersim_env.feedback.values import Failure
from usersim_env.llm import Cassette, Completion, Model
from usersim_env.messages import Message, Say, Stop
from usersim_env.users.llm import LLMUser
from usersim_env.users.llm.prompts import EXAMPLE, NAMES, STOP, fill, text

INSTRUCTION = "Your name is Ada. You want to move your repair to wednesday for $5 {now}."
TURNS = (
    Message("user", "Hi, about my repair."),
    Message("agent", "Your name, please?"),
    Message("user", "Ada."),
    Message("agent", ""),
)
SCENE = Scene("mock/test/0", INSTRUCTION, TURNS, seed=4)
GOOD = {q.field: next(iter(q.answers)) for q in QUESTIONS}


def turn(user: LLMUser, scene: Scene = SCENE) -> Say | Stop:
    return user.begin(scene).reply(scene)


def prompt(body: Any) -> str:
    return "\n".join(message["content"] for message in body["messages"])


# What the model is shown


def test_the_chat_prompt_is_the_instruction_and_the_visible_turns(fake: Any) -> None:
    asked = fake("Yes.")
    assert turn(LLMUser("m", persona="You are seventy.", traits={"patience": "low"})) == Say("Yes.")
    system, *turns = asked[0]["messages"]
    assert system["role"] == "system" and INSTRUCTION in system["content"] and STOP in system["content"]
    assert "You are seventy.\nYou lose patience quickly" in system["content"] and "$" not in system["content"].replace(
        "$5", ""
    )
    assert turns == [
        {"role": "user", "content": "Hi! How can I help you today?"},
        {"role": "assistant", "content": "Hi, about my repair."},
        {"role": "user", "content": "Your name, please?"},
        {"role": "assistant", "content": "Ada."},
        {"role": "user", "content": "(no message)"},
    ]


def test_the_opening_answers_a_greeting_or_the_agents_first_words(fake: Any) -> None:
    asked = fake("Hello.", "Hello.")
    for transcript in ((), (Message("agent", "Good day."),)):
        scene = Scene("mock/test/0", INSTRUCTION, transcript)
        LLMUser("m").begin(scene).open(scene)
    assert [body["messages"][1:] for body in asked] == [
        [{"role": "user", "content": "Hi! How can I help you today?"}],
        [{"role": "user", "content": "Good day."}],
    ]


def test_the_transcript_prompt_ends_where_the_customer_goes_on(fake: Any) -> None:
    asked = fake(f" Bye, then. {STOP}\nAgent: Bye")
    assert turn(LLMUser("m", adapter="transcript", persona="You are seventy.")) == Stop("Bye, then.")
    (message,) = asked[0]["messages"]
    end = "Agent: Your name, please?\nCustomer: Ada.\nAgent: (no message)\nCustomer:"
    assert message["content"].endswith(end) and f"Notes: {INSTRUCTION} You are seventy." in message["content"]
    assert "\nAgent:" in asked[0]["stop"]


def test_no_tool_call_of_an_episode_is_shown(fake: Any) -> None:
    asked = fake("Hello, I am Ada.", "Yes.", json.dumps(GOOD))
    env = gym.make("TauMock-v0", user=LLMUser("m"), max_steps=3, disable_env_checker=True)
    env.reset(seed=0, options={"task_id": "mock/test/0"})
    env.step({"name": "find_ticket", "arguments": {"email": "ada@mock.example"}})
    env.step({"name": "respond", "arguments": {"content": "Shall I?"}})
    env.step({"name": "find_ticket", "arguments": {"email": "ada@mock.example"}})
    assert len(asked) == 3
    for body in asked:
        assert "tools" not in body and "T-1001" not in prompt(body) and "find_ticket" not in prompt(body)


def test_every_turn_has_its_seed_and_a_repeated_episode_the_same_ones(fake: Any) -> None:
    asked = fake(*["", "Hm.", "Hm."] * 2, "Hm.", "Hm.")
    for _ in range(2):
        session = LLMUser("m").begin(SCENE)
        session.reply(SCENE)
        session.reply(SCENE._replace(transcript=TURNS[:2]))
    seeds = [body["seed"] for body in asked]
    assert seeds[:3] == seeds[3:6] and len(set(seeds)) == 3 and all(0 <= s < 2**31 for s in seeds)
    turn(LLMUser("m"), SCENE._replace(seed=5))
    turn(LLMUser("m"), SCENE._replace(task_id="mock/test/1"))
    assert len({body["seed"] for body in asked}) == 5


# Answers that are no turn


@pytest.mark.parametrize("said", ["I am Noor.", "HADDAD, Ada", "My zip code is 40221.", "The green kettle, please"])
def test_no_fact_of_the_worked_example_leaves_the_model(fake: Any, said: str) -> None:
    asked = fake(f" {said}\n", " I am Ada.\n")
    assert turn(LLMUser("m", adapter="transcript")) == Say("I am Ada.")
    assert "which only the example does" in prompt(asked[1])
    fake(said)
    assert turn(LLMUser("m")) == Say(said), "no other prompt has the example"
    fake(f" {said}\n")
    mine = SCENE._replace(instruction=f"You are Ada. You say: {said}")
    assert turn(LLMUser("m", adapter="transcript"), mine) == Say(said), "here it is a fact of the task"


def test_every_name_and_number_of_the_worked_example_is_known() -> None:
    for name in ("transcript", "transcript_react"):
        notes = next(line for line in text(name).splitlines() if line.startswith("Notes: Your name is"))
        found = re.findall(r"\d{3,}|(?<=name is )\w+ \w+", notes)
        assert {part for fact in found for part in fact.split()} <= set(EXAMPLE)
        assert all(fact in notes for fact in EXAMPLE)


def test_an_unusable_answer_is_asked_for_again_with_the_reason(fake: Any) -> None:
    asked = fake("", "How can I help you today?", "Yes, please.")
    session = LLMUser("m").begin(SCENE)
    assert session.reply(SCENE) == Say("Yes, please.")
    assert "could not be sent" not in prompt(asked[0])
    assert "could not be sent, because it was empty" in prompt(asked[1])
    assert "because it speaks as the agent" in prompt(asked[2])
    assert session.notes()["repairs"] == 2 and session.notes()["calls"] == 3


@pytest.mark.parametrize("adapter", ["chat", "transcript"])
@pytest.mark.parametrize("strategy", ["plain", "react", "verify", "reflection"])
def test_after_the_last_attempt_the_turn_fails_and_says_so(fake: Any, strategy: str, adapter: str) -> None:
    asked = fake(*[""] * 2)
    with pytest.raises(
        UserSideError, match=r"2 answers of the model were no turn of a customer; the last: it was empty"
    ):
        turn(LLMUser("m", strategy=strategy, adapter=adapter, attempts=2))
    assert len(asked) == 2


def test_a_failure_of_the_model_keeps_its_kind(fake: Any) -> None:
    fake(ModelError("too long", "context_length"))
    with pytest.raises(UserSideError, match="too long") as caught:
        turn(LLMUser("m"))
    assert caught.value.kind == "context_length"


def test_words_that_were_cut_short_are_said_and_counted(fake: Any) -> None:
    fake(Completion("I would like to", finish_reason="length"))
    session = LLMUser("m").begin(SCENE)
    assert session.reply(SCENE) == Say("I would like to")
    assert session.notes()["cut_short"] == 1 and session.notes()["cost"] is None


def test_an_unknown_cost_is_unknown_in_the_trace(fake: Any) -> None:
    fake(Completion("Hello.", cost=None), Completion("Hello.", cost=0.5))
    for cost in (None, 0.5):
        env = gym.make("TauMock-v0", user=LLMUser("m"), disable_env_checker=True)
        env.reset(seed=0, options={"task_id": "mock/test/0"})
        trace = env.unwrapped.trace()  # type: ignore[attr-defined]
        assert trace.provenance.cost == trace.user.notes["cost"] == cost


# Strategies


@pytest.mark.parametrize(("adapter", "label"), [("chat", "Message"), ("transcript", "Customer")])
def test_react_never_passes_the_thought_on(fake: Any, adapter: str, label: str) -> None:
    asked = fake(" I must not say canary.", f" canary\n{label}: Yes, please.\nThought: canary")
    assert turn(LLMUser("m", "react", adapter)) == Say("Yes, please.")
    assert len(asked) == 2 and "Thought:" in prompt(asked[0])
    fake(f"Thought: done\n{label}: {STOP}")
    assert turn(LLMUser("m", "react", adapter)) == Stop()


def test_verify_drafts_until_the_supervisor_agrees(fake: Any) -> None:
    asked = fake("I am Bo.", "no", "I am Ada.", "Yes.")
    session = LLMUser("m", "verify").begin(SCENE)
    assert session.reply(SCENE) == Say("I am Ada.")
    assert "I am Bo." in prompt(asked[1]) and INSTRUCTION in prompt(asked[1]) and "I am Ada." in prompt(asked[3])
    assert session.notes() == {
        "calls": 4, "retries": 0, "replayed": 0, "prompt_tokens": 40, "completion_tokens": 20, "cost": 0.004,
        "reasoning_tokens": 0, "cached_tokens": 0, "verifications": 2,
    }  # fmt: skip


def test_verify_ends_with_the_last_draft(fake: Any) -> None:
    asked = fake("One.", "no", "Two.", "maybe", "Three.", "")
    session = LLMUser("m", "verify").begin(SCENE)
    assert session.reply(SCENE) == Say("Three.")
    assert session.notes()["unverified"] == 1 and len(asked) == 6


def test_reflection_says_the_rewritten_message(fake: Any) -> None:
    asked = fake(STOP, "no", "Thought: canary, too early\nMessage: I am Ada.", "yes")
    assert turn(LLMUser("m", "reflection")) == Say("I am Ada.")
    assert STOP in prompt(asked[1]).split("was proposed")[1] and "I am Ada." in prompt(asked[3])


def test_reflection_ends_with_the_first_draft(fake: Any) -> None:
    asked = fake("One.", "no", "no message at all", "no", "Thought: x\nMessage: Two.", "no")
    session = LLMUser("m", "reflection").begin(SCENE)
    assert session.reply(SCENE) == Say("One.")
    assert len(asked) == 6 and session.notes()["unverified"] == 1


@pytest.mark.parametrize("strategy", ["plain", "react", "verify", "reflection"])
def test_the_async_twins_ask_the_same_and_say_the_same(fake: Any, strategy: str, loop: Any) -> None:
    items = ["", "Message: One.", "no", "Message: Two.", "yes", "yes", "yes"]
    asked = fake(*items)
    said = turn(LLMUser("m", strategy))
    asked_later = fake(*items)
    assert loop.run_until_complete(LLMUser("m", strategy).begin(SCENE).areply(SCENE)) == said
    assert asked_later == asked


# The survey


def survey(user: LLMUser) -> Survey | None:
    return user.begin(SCENE).fill_survey(SCENE)


def test_the_survey_is_constrained_and_sees_the_visible_chat(fake: Any) -> None:
    asked = fake(json.dumps(GOOD))
    assert survey(LLMUser("m")) == Survey(GOOD)
    schema = asked[0]["response_format"]["json_schema"]["schema"]
    assert list(schema["properties"]) == schema["required"] == [q.field for q in QUESTIONS]
    assert schema["properties"]["reuse"]["enum"] == list(QUESTIONS[-1].answers)
    assert "Customer: Ada." in prompt(asked[0]) and all(q.text in prompt(asked[0]) for q in QUESTIONS)


def test_what_is_missing_is_asked_for_once_and_then_missing(fake: Any) -> None:
    first = GOOD | {"reuse": "Perhaps", "human_like": 3, "nonsense": "x"}
    del first["efficiency"]
    asked = fake(f"Here you are: {json.dumps(first)}", json.dumps({"reuse": "Maybe", "task_success": "changed"}))
    session = LLMUser("m").begin(SCENE)
    found = session.fill_survey(SCENE)
    expected = {f: a for f, a in GOOD.items() if f not in ("efficiency", "human_like")} | {"reuse": "Maybe"}
    assert found is not None and dict(found.answers) == expected
    assert asked[1]["response_format"]["json_schema"]["schema"]["required"] == ["efficiency", "human_like", "reuse"]
    assert session.notes()["survey_missing"] == 2


@pytest.mark.parametrize(
    "answer", ["", "no JSON", "[1]", '{"reuse": ["Yes"]}', "{" * 5000, ModelError("x", "bad_reply")]
)
def test_no_usable_answer_is_no_survey(fake: Any, answer: Any) -> None:
    asked = fake(answer, answer)
    assert survey(LLMUser("m")) is None
    assert len(asked) == 2


def test_another_model_may_fill_it_in(fake: Any) -> None:
    asked = fake("Hello.", json.dumps(GOOD))
    session = LLMUser("base", survey_model="judge").begin(SCENE)
    session.reply(SCENE)
    session.fill_survey(SCENE)
    assert [body["model"] for body in asked] == ["base", "judge"] and session.notes()["calls"] == 2


# Settings and ids


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"strategy": "reflexion"}, UnknownName, "Unknown strategy 'reflexion'. Did you mean 'reflection'?"),
        ({"adapter": "text"}, UnknownName, "Unknown adapter 'text'. Known: chat, transcript."),
        ({"traits": {"mood": "bad"}}, UnknownName, "Unknown trait 'mood'"),
        ({"traits": {"patience": "lots"}}, UnknownName, "Unknown value of the trait patience 'lots'"),
        ({"attempts": 0}, UsageError, "attempts is at least 1, got 0"),
        ({"model": None}, UsageError, "model is a name such as 'openai/gpt-4o-mini' or a Model, got NoneType"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        LLMUser(**{"model": "m", **settings})
    assert message in str(caught.value)


def test_what_is_described_tells_users_apart_and_holds_no_key() -> None:
    user = LLMUser(Model("m", api_key="sk-canary-1234567"), "react", traits={"tone": "rude"}, survey_model="judge")
    described = json.dumps(user.describe())
    assert "canary" not in described and user.name == "m (react)" and user.kind == "llm"
    assert described != json.dumps(LLMUser("m", "react").describe())
    assert pickle.loads(pickle.dumps(user)) == user


def test_every_prompt_is_there_and_has_no_blank_left() -> None:
    values = dict.fromkeys(("instruction", "persona", "chat", "reason", "draft", "questions"), "x")
    for name in NAMES:
        assert text(name).strip()
        assert "$" not in fill(name, **values)


@pytest.mark.parametrize("domain", ["Retail", "Airline", "Mock"])
def test_the_ids_are_registered_as_not_repeatable(domain: str) -> None:
    assert gym.spec(f"Tau{domain}-llm-v0").nondeterministic


def test_the_id_takes_a_model_and_a_persona(fake: Any, tmp_path: Path) -> None:
    asked = fake("Hello, I am Ada.")
    cassette = tmp_path / "c.jsonl"
    for mode in ("record", "replay"):
        model = Model("openai/m", cassette=Cassette(cassette, mode))
        keywords: dict[str, Any] = {"model": model, "persona": "You are seventy."}
        env = gym.make("TauMock-llm-v0", disable_env_checker=True, **keywords)
        observation, _ = env.reset(seed=0, options={"task_id": "mock/test/0"})
        assert observation["content"] == "Hello, I am Ada."
        env.close()
    assert len(asked) == 1 and "You are seventy." in prompt(asked[0])


@pytest.mark.parametrize(
    ("env_id", "keywords", "message"),
    [
        ("TauMock-llm-v0", {}, "TauMock-llm-v0 needs a model: gym.make('TauMock-llm-v0', model='openai/gpt-4o-mini')"),
        ("TauMock-agenda-v0", {"model": "m"}, "model='m' goes with TauMock-llm-v0 and without user=."),
        ("TauMock-human-v0", {"persona": "p"}, "persona='p' goes with TauMock-agenda-v0 or TauMock-llm-v0 and"),
        (
            "TauMock-llm-v0",
            {"model": "m", "user": LLMUser("m")},
            "model='m' goes with TauMock-llm-v0 and without user=.",
        ),
    ],
)
def test_keywords_that_do_not_fit_are_refused(env_id: str, keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        gym.make(env_id, disable_env_checker=True, **keywords)
    assert message in str(caught.value)


def test_without_litellm_making_the_env_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litellm", None)
    with pytest.raises(InstallError, match=r'pip install "usersim_env\[llm\]"'):
        gym.make("TauMock-llm-v0", model="openai/m", disable_env_checker=True)


SHORT, LONG = Message("agent", "Yes."), Message("agent", "Filler. " * 99)


@pytest.mark.parametrize(
    ("kind", "turns", "side"),
    [
        ("context_length", (Message("user", "Hi."), LONG), "agent"),
        ("context_length", (Message("user", "My story. " * 99), SHORT), "user"),
        ("context_length", (), "user"),
        ("content_policy", (Message("user", "Hi."), SHORT), "agent"),
        ("content_policy", (), "user"),
        ("outage", (Message("user", "Hi."), LONG), "user"),
    ],
)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_the_agents_words_bring_about_is_the_agents_failure(
    kind: str, turns: tuple[Message, ...], side: str, asynchronous: bool, fake: Any
) -> None:
    fake(ModelError("No.", kind=kind))
    scene = Scene("mock/test/0", INSTRUCTION, turns)
    session = LLMUser(Model("m", retries=0)).begin(scene)
    with pytest.raises(UserSideError) as failed:
        asyncio.run(session.areply(scene)) if asynchronous else session.reply(scene)
    assert user_failure(failed.value) == Failure(side, kind, "No.")
    assert user_failure(UserSideError("x", "outage")).side == "user"


def test_answers_of_its_own_that_a_filter_holds_back_are_the_user_sides_failure(fake: Any) -> None:
    filtered = Completion("", (), "content_filter", 10, 5, 0.001)
    fake(filtered, filtered, filtered)
    with pytest.raises(UserSideError, match="the provider's filter held the text back") as failed:
        turn(LLMUser("m"), Scene("mock/test/0", INSTRUCTION, (Message("user", "Hi."), SHORT)))
    assert (failed.value.kind, failed.value.side) == ("content_policy", "user")


def test_a_long_persona_is_no_doing_of_the_agents(fake: Any) -> None:
    fake(ModelError("No.", kind="context_length"))
    with pytest.raises(UserSideError) as failed:
        turn(LLMUser(Model("m", retries=0), persona="word " * 999), Scene("mock/test/0", "x", (SHORT, LONG)))
    assert failed.value.side == "user"
