"""The sans-IO machine: whose turn it is, how episodes end, and that any prefix of the events rebuilds it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from usersim_env.conversation.machine import AgentTurn, Conversation, Ended, SurveyTurn, UserTurn
from usersim_env.conversation.rules import Rules
from usersim_env.domains import World, get_domain
from usersim_env.env.raised import user_failure
from usersim_env.errors import Abandoned, OutOfTurn, UsageError, UserSideError
from usersim_env.feedback.survey import FIELDS, Survey
from usersim_env.feedback.values import Failure
from usersim_env.messages import RESPOND, Message, Say, Stop, ToolCall

MOCK = get_domain("mock")
ANSWERS = Survey({name: list(question.answers)[-1] for name, question in FIELDS.items()})
OUTAGE = Failure("user", "outage", "The model did not answer.")
Tell = Callable[[Conversation], object]


def say(text: str) -> Tell:
    return lambda c: c.hear(Say(text))


def stop(text: str = "") -> Tell:
    return lambda c: c.hear(Stop(text))


def call(tool: str, **arguments: Any) -> Tell:
    return lambda c: c.act(ToolCall(tool, arguments))


def respond(content: Any) -> Tell:
    return call("respond", content=content)


def survey(answers: Any = ANSWERS) -> Tell:
    return lambda c: c.survey(answers)


def fail(failure: Failure = OUTAGE) -> Tell:
    return lambda c: c.fail(failure)


def hear(reply: object) -> Tell:
    return lambda c: c.hear(reply)


FIND = call("find_ticket", email="ada@mock.example")
MOVE = call("move_ticket", ticket_id="T-1001", day="wednesday", note="canary-4711-note")
REFUSED = [call("find_ticket", email=float("nan")), call("find_ticket", email=object()), respond({1: {2, 3}})]
SHORT, LAZY, SILENT = Rules(max_steps=2), Rules(lazy_open=True), Rules(survey=False)

# name → rules, what the machine is told, how it ends, reward
EPISODES: dict[str, tuple[Rules, list[Tell], str, float | None]] = {
    "right": (Rules(), [say("hi"), FIND, MOVE, respond("done"), stop(), survey()], "user", 1.0),
    "wrong": (Rules(), [say("hi"), FIND, respond("no"), say("oh"), respond("no"), stop(), survey()], "user", 0.0),
    "stop with words": (Rules(), [say("hi"), MOVE, respond("done"), stop("Bye!"), survey()], "user", 1.0),
    "transfer": (Rules(), [say("hi"), call("transfer_to_human_agents", summary="s"), survey()], "transfer", 0.0),
    "refused acts": (Rules(), [say("hi"), *REFUSED, MOVE, respond("done"), stop(), survey()], "user", 1.0),
    "tool errors": (
        Rules(),
        [say("hi"), call("nope"), call("find_ticket"), respond(None), MOVE, respond("ok"), stop(), survey(None)],
        "user",
        1.0,
    ),
    "surrogates": (Rules(), [say("\ud800"), MOVE, respond("\udfff"), stop("\ud800 ñ 🙂"), survey()], "user", 1.0),
    "lazy open": (LAZY, [FIND, respond("hello"), say("hi"), MOVE, respond("done"), stop(), survey()], "user", 1.0),
    "lazy, stop at open": (LAZY, [respond("hello"), stop()], "failure", None),
    "limit at a tool": (SHORT, [say("hi"), FIND, MOVE, survey()], "limit", 0.0),
    "limit at a refusal": (SHORT, [say("hi"), MOVE, REFUSED[0], survey()], "limit", 0.0),
    "limit at a reply": (SHORT, [say("hi"), MOVE, respond("done"), say("and?"), survey()], "limit", 0.0),
    "stop at the limit": (SHORT, [say("hi"), MOVE, respond("done"), stop(), survey()], "user", 1.0),
    "no survey": (SILENT, [say("hi"), MOVE, respond("done"), stop()], "user", 1.0),
    "survey fails": (Rules(), [say("hi"), MOVE, respond("done"), stop(), fail()], "user", 1.0),
    "bad survey": (Rules(), [say("hi"), MOVE, respond("done"), stop(), survey({"overall_score": 5})], "user", 1.0),
    "user fails": (Rules(), [say("hi"), MOVE, respond("done"), fail()], "failure", None),
    "agent fails": (Rules(), [say("hi"), MOVE, fail(Failure("agent", "outage", "m"))], "failure", None),
    "open fails": (Rules(), [fail()], "failure", None),
    "stop at open": (Rules(), [stop("never mind")], "failure", None),
    "bad reply": (Rules(), [say("hi"), MOVE, respond("done"), hear("words without a type")], "failure", None),
}
named_episodes = pytest.mark.parametrize("name", EPISODES)


def start(rules: Rules | None = None) -> Conversation:
    return Conversation(MOCK.task("mock/test/0"), World(MOCK), rules, seed=7)


def play(name: str) -> Conversation:
    rules, told, _, _ = EPISODES[name]
    conversation = start(rules)
    for tell in told:
        tell(conversation)
    return conversation


def state(c: Conversation) -> tuple[Any, ...]:
    return type(c.turn), c.turn, c.steps, c.ended_by, c.over, list(c.messages), c.effort(), c.world.digest()


@named_episodes
def test_ends_and_rewards(name: str) -> None:
    _, _, ended_by, reward = EPISODES[name]
    outcome = play(name).outcome
    assert (outcome.ended_by, outcome.feedback.reward) == (ended_by, reward)
    assert outcome.terminated == (ended_by in ("user", "transfer"))
    assert (outcome.failure is not None) == (ended_by == "failure")


@named_episodes
def test_restored_at_every_prefix(name: str) -> None:
    rules, told, _, _ = EPISODES[name]
    original = start(rules)
    states = [state(original)]
    for tell in told:
        tell(original)
        states.append(state(original))
    assert len(original.events) == len(told), "one event for each thing it was told"
    events = json.loads(json.dumps(original.events, allow_nan=False))
    for n in range(len(events) + 1):
        restored = Conversation.restore(original.task, World(MOCK), events[:n], rules, seed=7)
        assert restored.events == events[:n]
        assert state(restored) == states[n]
        for tell in told[n:]:
            tell(restored)
        assert restored.events == events
        assert restored.outcome == original.outcome


@pytest.mark.parametrize(
    ("before", "allowed", "waits_for"),
    [
        ([], {"say", "stop", "fail"}, "the user side's opening"),
        ([say("hi")], {"act", "fail"}, "the agent's action"),
        ([say("hi"), respond("a")], {"say", "stop", "fail"}, "the user side's reply"),
        ([say("hi"), respond("a"), stop()], {"survey", "fail"}, "the survey"),
        ([fail()], set(), "nothing: it is over"),
    ],
)
def test_out_of_turn(before: list[Tell], allowed: set[str], waits_for: str) -> None:
    every: dict[str, Tell] = {
        "act": lambda c: c.act(ToolCall("respond", {"content": "a"})),
        "say": lambda c: c.say("b"),
        "stop": lambda c: c.stop(),
        "survey": lambda c: c.survey(None),
        "fail": lambda c: c.fail(OUTAGE),
    }
    for name, tell in every.items():
        conversation = start()
        for earlier in before:
            earlier(conversation)
        untouched = state(conversation)
        if name in allowed:
            tell(conversation)
            assert len(conversation.events) == len(before) + 1
        else:
            with pytest.raises(OutOfTurn, match=f"The episode waits for {waits_for}, not for "):
                tell(conversation)
            assert state(conversation) == untouched
            assert len(conversation.events) == len(before)


def test_no_outcome_before_the_end() -> None:
    conversation = start()
    for tell in [say("hi"), respond("done"), stop()]:
        with pytest.raises(OutOfTurn, match="The episode is not over: it waits for"):
            _ = conversation.outcome
        tell(conversation)
    with pytest.raises(OutOfTurn, match="it waits for the survey"):
        _ = conversation.outcome


def test_turns_of_an_episode() -> None:
    conversation = start()
    kinds = []
    for tell in EPISODES["right"][1]:
        kinds.append(type(conversation.turn))
        tell(conversation)
    assert kinds == [UserTurn, AgentTurn, AgentTurn, AgentTurn, UserTurn, SurveyTurn]
    assert isinstance(conversation.turn, Ended)


def test_only_the_first_user_turn_is_the_opening() -> None:
    for rules, before in [(Rules(), []), (LAZY, [FIND, respond("hello")])]:
        conversation = start(rules)
        for tell in before:
            tell(conversation)
        opening = conversation.turn
        say("hi")(conversation)
        respond("a")(conversation)
        later = conversation.turn
        assert isinstance(opening, UserTurn) and opening.opening
        assert isinstance(later, UserTurn) and not later.opening


def test_scene_shows_the_visible_turns_and_how_long_it_waited() -> None:
    conversation = start()
    say("hi")(conversation)
    for tell in [FIND, REFUSED[0], MOVE, respond("one moment")]:
        tell(conversation)
    scene = conversation.scene()
    assert scene.transcript == (Message("user", "hi"), Message("agent", "one moment"))
    assert scene.waited == 4
    assert scene.instruction == conversation.task.instruction
    assert "canary" not in repr(scene._replace(instruction=""))
    say("ok")(conversation)
    respond("done")(conversation)
    assert conversation.scene().waited == 1


def test_stop_with_words_is_a_user_turn_and_a_blank_one_is_not() -> None:
    with_words, blank = play("stop with words"), play("right")
    assert with_words.messages[-1] == Message("user", "Bye!")
    assert with_words.outcome.feedback.effort.user_turns == 2
    assert blank.outcome.feedback.effort.user_turns == 1


def test_words_of_a_stop_at_the_opening_are_kept() -> None:
    failure = play("stop at open").outcome.failure
    assert failure is not None
    assert (failure.side, failure.kind) == ("user", "stopped_at_open")
    assert "never mind" in failure.message


@pytest.mark.parametrize("reply", ["hello", None, 3, Say, Say(None), Stop(b"x"), ["hi"]])  # type: ignore[arg-type]
def test_bad_reply_is_a_failure_that_names_the_type(reply: object) -> None:
    conversation = start()
    conversation.hear(reply)
    failure = conversation.outcome.failure
    assert failure is not None
    assert (failure.side, failure.kind) == ("user", "bad_reply")
    assert type(reply).__name__ in failure.message


def test_bad_reply_shows_nothing_of_the_scene() -> None:
    conversation = start()
    conversation.hear(conversation.scene())
    assert "Ada" not in str(conversation.outcome.failure)


@pytest.mark.parametrize("name", ["survey fails", "bad survey"])
def test_failing_survey_keeps_the_score(name: str) -> None:
    outcome = play(name).outcome
    assert outcome.failure is None
    assert outcome.feedback.survey is None
    assert outcome.feedback.signals == {"rule": 1.0}


@pytest.mark.parametrize("before", [[], [say("hi")], [say("hi"), MOVE], [say("hi"), MOVE, respond("done")]])
def test_failure_is_never_a_reward(before: list[Tell]) -> None:
    conversation = start()
    for tell in [*before, fail()]:
        tell(conversation)
    feedback = conversation.outcome.feedback
    assert feedback.reward is None
    assert feedback.checks == {}
    assert feedback.survey is None
    assert feedback.signals == {}
    assert conversation.outcome.failure == OUTAGE


def test_effort_counts() -> None:
    effort = play("tool errors").outcome.feedback.effort
    assert (effort.tool_calls, effort.tool_errors, effort.agent_turns, effort.user_turns) == (4, 3, 1, 1)


def test_arguments_are_copied_as_they_come() -> None:
    conversation = start()
    say("hi")(conversation)
    arguments: dict[str, Any] = {"ticket_id": "T-1001", "day": "friday"}
    conversation.act(ToolCall("move_ticket", arguments))
    arguments["day"] = "monday"
    assert conversation.events[-1]["arguments"] == {"ticket_id": "T-1001", "day": "friday"}


def test_unknown_event() -> None:
    with pytest.raises(UsageError, match="Unknown event 'shout': expected act, say, stop, survey or fail"):
        Conversation.restore(MOCK.task("mock/test/0"), World(MOCK), [{"event": "shout"}])


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (Abandoned("left"), "abandoned", "left"),
        (UserSideError("slow", kind="timeout"), "timeout", "slow"),
        (KeyError("x"), "error", "KeyError: 'x'"),
        (Unprintable(), "error", "Unprintable"),
    ],
)
def test_what_a_user_side_raises_becomes_a_failure(error: Exception, kind: str, message: str) -> None:
    assert user_failure(error) == Failure("user", kind, message)


@pytest.mark.parametrize("steps", [0, -1, 2.5, "5", True])
def test_rules_refuse_a_senseless_limit(steps: Any) -> None:
    with pytest.raises(UsageError, match="max_steps is a whole number of at least 1, got"):
        Rules(max_steps=steps)


def test_ctrl_c_inside_a_tool_leaves_a_machine_that_restore_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    task = MOCK.task("mock/train/0")
    conversation = Conversation(task, World(MOCK), Rules(max_steps=2), 0)
    conversation.hear(Say("Please move my repair."))

    def interrupted(world: World, call: ToolCall) -> object:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(World, "call", interrupted)
        with pytest.raises(KeyboardInterrupt):
            conversation.act(ToolCall("find_ticket", {"email": "ada@mock.example"}))
    again = Conversation.restore(task, World(MOCK), conversation.events, Rules(max_steps=2), 0)
    assert (conversation.steps, conversation.events) == (again.steps, again.events) == (0, again.events)
    assert type(again.turn) is type(conversation.turn) is AgentTurn
    for _ in range(2):  # both steps are still there
        assert not conversation.over
        conversation.act(ToolCall("find_ticket", {"email": "ada@mock.example"}))
    assert conversation.steps == 2 and isinstance(conversation.turn, SurveyTurn)


def test_what_an_interrupted_tool_has_half_done_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between two writes of a tool: the conversation may go on, and is scored as if it had not been called."""
    task = MOCK.task("mock/train/0")
    move = ToolCall("move_ticket", {"ticket_id": "T-1001", "day": "tuesday"})
    other = ToolCall("move_ticket", {"ticket_id": "T-1001", "day": "friday"})
    conversation = Conversation(task, World(MOCK), Rules(), 0)
    conversation.hear(Say("Please move my repair."))
    conversation.act(move)
    before = conversation.world.digest()
    run = World.run

    def half(world: World, call: ToolCall) -> str:
        run(world, call)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(World, "run", lambda world, call: half(world, call) if call == other else run(world, call))
        with pytest.raises(KeyboardInterrupt):
            conversation.act(other)
    assert conversation.world.digest() == before != World(MOCK).digest()
    assert len(conversation.events) == 2 and isinstance(conversation.turn, AgentTurn)


def test_words_that_are_too_long_are_refused_and_take_a_step() -> None:
    task = MOCK.task("mock/train/0")
    conversation = Conversation(task, World(MOCK), Rules(max_chars=10), 0)
    conversation.hear(Say("Please move my repair."))
    result = conversation.act(ToolCall(RESPOND, {"content": "x" * 11}))
    assert result is not None and result.error
    assert result.content == "Error: a message has at most 10 characters, got 11"
    assert (conversation.steps, len(conversation.messages)) == (1, 1) and isinstance(conversation.turn, AgentTurn)
    assert conversation.act(ToolCall(RESPOND, {"content": "x" * 10})) is None
    again = Conversation.restore(task, World(MOCK), conversation.events, Rules(max_chars=None), 0)
    assert (again.events, again.messages) == (conversation.events, conversation.messages)
    with pytest.raises(UsageError, match="max_chars is a whole number of at least 1, or None, got 0"):
        Rules(max_chars=0)
