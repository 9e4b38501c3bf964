"""No thought reaches the other seat: every format, every seat, every reader."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gymnasium as gym
import pytest

from tests.llm.reasoning_formats import READABLE, SECRET, UNREADABLE, WORDS
from usersim_env.adapters import ChatEpisode, EpisodeSettings
from usersim_env.baselines.tool_calling import ToolCalling
from usersim_env.conversation.scene import Scene
from usersim_env.errors import BadReply, InvalidAction, ModelError
from usersim_env.feedback.survey import QUESTIONS
from usersim_env.llm import Completion, Request, Unreadable, read_written
from usersim_env.messages import Say, Stop
from usersim_env.users.base import User, UserSession
from usersim_env.users.llm.reading import read_turn, says_yes, without_thought
from usersim_env.users.llm.survey_form import read_answers
from usersim_env.wrappers import ChatAction, ParseToolCalls
from usersim_env.wrappers.call_formats import FORMATS, Malformed, read_message

ANSWERS = {q.field: next(iter(q.answers)) for q in QUESTIONS}
SAY = {"name": "respond", "arguments": {"content": WORDS}}


def through_user(text: str) -> str:
    return read_turn(Completion(text)).content


def through_message(text: str) -> str:
    return without_thought(Completion(text), "Message").text or ""


def through_text(name: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        found = FORMATS[name](text)
        if isinstance(found, Malformed):
            raise Unreadable(found.problem)
        return str(found[0]["arguments"]["content"])

    return read


def through_chat(text: str) -> str:
    found = read_message({"role": "assistant", "content": text})
    if isinstance(found, Malformed):
        raise Unreadable(found.problem)
    return str(found[0]["arguments"]["content"])


def through_agent(text: str) -> str:
    agent = ToolCalling("openai/x", complete=lambda request: Completion(text))
    action = agent.begin({"policy": "", "tools": []}, 0).act({"role": "user", "name": "user", "content": "hi"})
    return str(action["arguments"]["content"])


class Listener(User):
    """A customer who remembers what was said."""

    kind = "scripted"

    def __init__(self) -> None:
        self.heard: list[str] = []

    def begin(self, scene: Scene) -> UserSession:
        return Listening(self.heard)


class Listening(UserSession):
    def __init__(self, heard: list[str]) -> None:
        self._heard = heard

    def open(self, scene: Scene) -> Say | Stop:
        return Say("Hi.")

    def reply(self, scene: Scene) -> Say | Stop:
        self._heard[:] = [m.content for m in scene.transcript if m.role == "agent"]
        return Say("And?")


def told(wrapper: Callable[[Any], gym.Env[Any, Any]], action: Any) -> str:
    """What the customer has heard of an action."""
    customer = Listener()
    env = wrapper(gym.make("TauMock-v0", user=customer))
    env.reset(seed=0)
    env.step(action)
    if not customer.heard:
        raise Unreadable("nothing was said")
    return customer.heard[0]


def through_parse_tool_calls(text: str) -> str:
    return told(ParseToolCalls, text)


def through_chat_action(text: str) -> str:
    return told(ChatAction, {"role": "assistant", "content": text})


def through_respond(text: str) -> str:
    """A trainer whose library makes talking to the customer a tool."""
    episode = ChatEpisode(EpisodeSettings("TauMock-agenda-v0"), "call")
    episode.begin("mock/test/0", seed=0)
    turn = episode.act({"name": "respond", "arguments": {"content": text}})
    assert turn is not None
    heard = [m["content"] for m in episode.messages if m["role"] == "assistant"]
    episode.close()
    return str(heard[0])


READERS: Mapping[str, tuple[Callable[[str], str], Callable[[str], str]]] = {
    # reader: what is meant (as the model writes it when it thinks of nothing), and how it is read
    "user side": (lambda words: words, through_user),
    "user side, react": (lambda words: f"Message: {words}", through_message),
    "agent: tool_calling": (lambda words: words, through_agent),
    "agent: ParseToolCalls": (lambda words: words, through_parse_tool_calls),
    "agent: ChatAction": (lambda words: words, through_chat_action),
    "agent: hermes": (lambda words: words, through_text("hermes")),
    "agent: hermes, respond": (lambda words: f"<tool_call>{json.dumps(SAY)}</tool_call>", through_text("hermes")),
    "agent: hermes, bare JSON": (lambda words: json.dumps(SAY), through_text("hermes")),
    "agent: openai": (lambda words: words, through_text("openai")),
    "agent: react": (lambda words: f"Final Answer: {words}", through_text("react")),
    "agent: message": (lambda words: words, through_chat),
    "trainer: a call": (lambda words: words, through_respond),
}
REFUSED = (BadReply, Unreadable, ModelError, InvalidAction)


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("reader", READERS)
def test_every_format_is_read(reader: str, record_property: Any) -> None:
    meant, read = READERS[reader]
    wrong = {name: said for name, write in READABLE.items() if (said := read(write(meant(WORDS))).strip()) != WORDS}
    record_property("thoughts", (reader, len(READABLE), len(READABLE), len(wrong)))
    assert not wrong


@pytest.mark.parametrize("reader", READERS)
def test_what_cannot_be_told_apart_is_never_said(reader: str, record_property: Any) -> None:
    meant, read = READERS[reader]
    said = {}
    for name, write in UNREADABLE.items():
        try:
            said[name] = read(write(meant(WORDS)))
        except REFUSED:
            continue
    leaks = {name: text for name, text in said.items() if text.strip() != WORDS}
    record_property("thoughts", (f"{reader}, unreadable", len(UNREADABLE), len(said), len(leaks)))
    assert not leaks
    assert not (reader == "user side" and said)


@pytest.mark.parametrize("name", READABLE)
def test_supervisors_and_surveys_see_their_answer(name: str) -> None:
    assert says_yes(Completion(READABLE[name]("Yes.")))
    assert not says_yes(Completion(READABLE[name]("No, yes would be wrong.")))
    assert read_answers(READABLE[name](json.dumps(ANSWERS)), QUESTIONS) == ANSWERS


@pytest.mark.parametrize("text", ["Answer: yes", "**Yes**", "Final answer: Yes, it is good.", "true"])
def test_a_labelled_yes(text: str) -> None:
    assert says_yes(Completion(text))


@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "I weigh {{reuse}} and {{trust}}. {}",
        "{} I hope that {{this}} helps.",
        "```json\n{}\n```",
        'First {{"x": 1}}, then {}',
        "[{}]",
        "{} {{",
    ],
)
def test_survey_answers_survive_braces_around_them(around: str) -> None:
    assert read_answers(around.format(json.dumps(ANSWERS)), QUESTIONS) == ANSWERS


def test_a_tag_inside_json_is_data_and_inside_content_a_thought() -> None:
    data = {"name": "move_ticket", "arguments": {"ticket_id": "<think>T-1</think>"}}
    assert FORMATS["hermes"](json.dumps(data)) == [data]
    assert FORMATS["hermes"](f"<think>{SECRET}</think><tool_call>{json.dumps(data)}</tool_call>") == [data]
    respond = {"name": "respond", "arguments": {"content": f"<think>{SECRET}</think>{WORDS}"}}
    assert FORMATS["hermes"](json.dumps(respond)) == [SAY]
    message = {"content": f"<think>{SECRET}</think>", "tool_calls": [{"function": {"name": "find", "arguments": "{}"}}]}
    assert FORMATS["openai"](json.dumps(message)) == [{"name": "find", "arguments": {}}]


@pytest.mark.parametrize(
    "text", ["I think so.", "See [1] and [2].", "Is 3 < 4 and 5 > 4?", "curly {words}", "<b>Hi</b>"]
)
def test_words_without_a_mark_stay_as_they_are(text: str) -> None:
    assert read_written(text) == (text, "")
    assert read_turn(Completion(text)) == Say(text)


def test_an_unusable_answer_is_asked_for_again() -> None:
    asked: list[Request] = []
    answers = [f"<think>{SECRET}", f"<think>{SECRET}", WORDS]

    def complete(request: Request) -> Completion:
        asked.append(request)
        return Completion(answers[len(asked) - 1])

    session = ToolCalling("openai/x", complete=complete).begin({"policy": "", "tools": []}, 7)
    assert session.act({"role": "user", "name": "user", "content": "hi"}) == SAY
    assert [request.seed for request in asked] == [7, 8, 9]
    assert all(len(request.messages) == 2 for request in asked)
    answers += [f"<think>{SECRET}"] * 3
    with pytest.raises(ModelError, match="3 answers were unusable; the last: it never came to an end") as error:
        session.act({"role": "user", "name": "user", "content": "and?"})
    assert error.value.kind == "bad_reply" and SECRET not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "[{" * 50_000,
        '{"a":' * 20_000,
        "<think>" * 14_000,
        "</think>" * 12_000 + "x",
        "< " * 50_000,
        "<|a" * 30_000,
        "&lt;" * 25_000,
    ],
)
def test_hostile_texts_are_read_or_refused(text: str) -> None:
    with contextlib.suppress(Unreadable):
        assert SECRET not in read_written(text).words
