"""`ParseToolCalls` and `ChatAction`: what is read, and that nothing a model writes can raise."""

from __future__ import annotations

import json
from typing import Any

import gymnasium as gym
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usersim_env import ScriptedUser
from usersim_env.errors import InvalidAction
from usersim_env.wrappers import ChatAction, ParseToolCalls, StepPenalty
from usersim_env.wrappers.call_formats import FORMATS, Malformed, read_hermes, read_message, read_openai, read_react

USER = ScriptedUser(("Hello.", "Yes.", "No."))
FIND = {"name": "find_ticket", "arguments": {"email": "a@b"}}
MOVE = {"name": "move_ticket", "arguments": {"ticket_id": "T-1001", "day": "tuesday"}}
TEXT = json.dumps(FIND)


def words(content: str) -> dict[str, Any]:
    return {"name": "respond", "arguments": {"content": content}}


def tagged(*calls: Any) -> str:
    return "".join(f"<tool_call>\n{json.dumps(call)}\n</tool_call>\n" for call in calls)


def entry(name: Any, arguments: Any, call_id: str = "a") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        (tagged(FIND), [FIND]),
        ("<think>\n<tool_call>{}</tool_call> no…\n</think>\nI look it up. " + tagged(FIND, MOVE), [FIND, MOVE]),
        (TEXT, [FIND]),
        (f"```json\n{TEXT}\n```", [FIND]),
        (json.dumps({"name": "find_ticket", "parameters": {"email": "a@b"}}), [FIND]),
        (json.dumps({"name": "find_ticket", "arguments": '{"email": "a@b"}'}), [FIND]),
        ('{"name": "think"}', [{"name": "think", "arguments": {}}]),
        ("  Grüße 🙂 \n", [words("Grüße 🙂")]),
        (tagged(words("Hi.")), [words("Hi.")]),
    ],
)
def test_hermes(text: str, calls: Any) -> None:
    assert read_hermes(text) == calls


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "neither words nor a call"),
        ("<think>hm", "never came to an end of its thought"),
        ("<tool_call>" + TEXT, "do not come in pairs"),
        ("</tool_call>" + TEXT + "<tool_call>", "do not come in pairs"),
        ("<tool_call><tool_call></tool_call></tool_call>", "do not come in pairs"),
        ("<tool_call>{'name': 1}</tool_call>", "What stands inside <tool_call> is not JSON"),
        ("<tool_call>[]</tool_call>", "A call is an object with 'name' and 'arguments', not list"),
        ("<tool_call>{}</tool_call>", "has a 'name' that is text"),
        (tagged(FIND, {"name": "x", "arguments": [1]}), "'arguments' of x is an object, not list"),
        (tagged({"name": "x", "arguments": "{"}), "'arguments' of x is not JSON"),
        ('{"name": "find', "The JSON object is not JSON"),
        ("{" * 100_000, "is not JSON"),
        ('{"a":' * 100_000, "is not JSON"),
    ],
)
def test_hermes_malformed(text: str, problem: str) -> None:
    got = read_hermes(text)
    assert isinstance(got, Malformed) and problem in got.problem and len(got.problem) < 250


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        (json.dumps({"role": "assistant", "tool_calls": [entry("find_ticket", '{"email": "a@b"}')]}), [FIND]),
        (json.dumps([entry("find_ticket", {"email": "a@b"}), entry("move_ticket", MOVE["arguments"])]), [FIND, MOVE]),
        (json.dumps({"role": "assistant", "content": "Hi."}), [words("Hi.")]),
        ("Hi there.", [words("Hi there.")]),
        (json.dumps([entry("think", "")]), [{"name": "think", "arguments": {}}]),
    ],
)
def test_openai(text: str, calls: Any) -> None:
    assert read_openai(text) == calls


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ({"tool_calls": "x"}, "'tool_calls' is a list, not str"),
        ({"tool_calls": [None]}, "has a 'function'"),
        ({"tool_calls": [{"function": []}]}, "has a 'function'"),
        ({"tool_calls": [entry(None, "{}")]}, "has a 'name'"),
        ({"tool_calls": [entry("x", "{")]}, "'arguments' of x is not JSON"),
        ({"content": None}, "neither words nor a call"),
        ({"content": 5}, "is a text or a list of blocks, not int"),
        ([], "An assistant message is an object, not list"),
    ],
)
def test_messages_malformed(message: Any, problem: str) -> None:
    got = read_message(message)
    assert isinstance(got, Malformed) and problem in got.problem


def test_content_in_parts() -> None:
    assert read_message({"content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "!"}]}) == [words("Hi!")]


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ('Thought: look\nAction: find_ticket\nAction Input: {"email": "a@b"}\nObservation: []\nAction: x', [FIND]),
        (f"Thought:\nlook\nAction:\n{TEXT}", [FIND]),
        ("Thought: done\nFinal Answer: Moved.\nBye.", [words("Moved.\nBye.")]),
        ("Answer: Moved.", [words("Moved.")]),
        ("Action: respond\nAction Input: Shall I?", [words("Shall I?")]),
        ('Action: find_ticket\nAction Input:\n```json\n{"email": "a@b"}\n```', [FIND]),
    ],
)
def test_react(text: str, calls: Any) -> None:
    assert read_react(text) == calls


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("I think so.", "no line that begins with 'Action:'"),
        ("Action: find_ticket", "has no line that begins with 'Action Input:'"),
        ("Action: find_ticket\nAction Input: a@b", "What follows 'Action Input:' is not JSON"),
        ("Action: \nAction Input: {}", "has a 'name'"),
        ("Action: {", "What follows 'Action:' is not JSON"),
        ("Observation: x\nAction: find_ticket", "no line"),
        ("Final Answer:", "neither words"),
    ],
)
def test_react_malformed(text: str, problem: str) -> None:
    got = read_react(text)
    assert isinstance(got, Malformed) and problem in got.problem


PIECES = st.sampled_from(
    [
        "<tool_call>",
        "</tool_call>",
        "<think>",
        "</think>",
        TEXT,
        "{",
        "}",
        '"',
        "Action:",
        "Action Input:",
        "\n",
        "\ud800",
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=8), max_size=8).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "tool_calls", "function", "name", "arguments", "id"]), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(text=TEXTS, format=st.sampled_from(sorted(FORMATS)))
def test_no_text_raises(text: str, format: Any) -> None:  # noqa: A002
    env = ParseToolCalls(gym.make("TauMock-v0", user=USER), format)
    env.reset(seed=0)
    observation, _, terminated, _, info = env.step(text)
    assert observation["content"].startswith("Error:") == (info["malformed"] == 1) or observation["role"] == "tool"
    assert terminated or info["valid"]


@settings(max_examples=200, deadline=None)
@given(content=JSON, calls=JSON)
def test_no_message_raises(content: Any, calls: Any) -> None:
    env = ChatAction(gym.make("TauMock-v0", user=USER))
    env.reset(seed=0)
    assert env.step({"role": "assistant", "content": content, "tool_calls": calls})[4]["valid"]


def test_malformed_text_costs_a_step_and_changes_nothing() -> None:
    env = ParseToolCalls(StepPenalty(gym.make("TauMock-v0", user=USER, max_steps=3), 0.1))
    assert env.reset(seed=0)[1]["malformed"] == 0
    for count in (1, 2, 3):
        observation, reward, terminated, truncated, info = env.step(tagged(MOVE, "no call"))
        assert observation["content"].startswith(
            "Error: A call is an object with 'name' and 'arguments', not str. Write <"
        )
        assert observation["name"] == "malformed_call" and info["malformed"] == count
        assert reward == pytest.approx(-0.1)
    assert (terminated, truncated) == (False, True), "an agent that only stammers does not go on for ever"
    trace = env.unwrapped.trace()  # type: ignore[attr-defined]
    assert trace.effort.tool_errors == 3
    assert trace.events[1]["arguments"]["problem"].startswith("A call is an object")
    assert "T-1001" in trace.events[1]["arguments"]["text"]
    assert env.reset(seed=0)[1]["malformed"] == 0


def test_several_calls_are_made_in_order_until_the_end() -> None:
    env = ParseToolCalls(gym.make("TauMock-v0", user=USER))
    env.reset(seed=0)
    transfer = {"name": "transfer_to_human_agents", "arguments": {"summary": "?"}}
    observation, _, terminated, _, info = env.step(tagged(FIND, words("One moment."), transfer, MOVE))
    assert terminated and info["feedback"].effort.tool_calls == 2
    assert [o["name"] for o in info["observations"]] == ["find_ticket", "user", "transfer_to_human_agents"]
    assert observation["content"].splitlines() == [
        "[1] find_ticket: Error: no customer with that e-mail",
        "[2] user: Yes.",
        "[3] transfer_to_human_agents: Transfer successful",
    ]


def test_an_object_of_a_client_library() -> None:
    class Answer:
        def model_dump(self) -> dict[str, Any]:
            return {"role": "assistant", "content": "Hi.", "tool_calls": None}

    env = ChatAction(gym.make("TauMock-v0", user=USER))
    env.reset(seed=0)
    assert env.step(Answer())[0]["content"] == "Yes."


def test_what_is_not_from_a_model_is_an_error() -> None:
    parse, chat = (wrap(gym.make("TauMock-v0", user=USER)) for wrap in (ParseToolCalls, ChatAction))
    parse.reset(seed=0)
    chat.reset(seed=0)
    with pytest.raises(InvalidAction, match="ParseToolCalls takes the text that a model wrote, got dict"):
        parse.step(FIND)
    for action in (FIND, "Hi.", {"role": "user", "content": "Hi."}):
        with pytest.raises(InvalidAction, match=r'For example \{"role": "assistant", "content": "Hello!"\}'):
            chat.step(action)
    assert parse.step("Hi.")[0]["content"] == "Yes.", "the episode goes on"
    with pytest.raises(ValueError, match=r"Unknown format 'hermess'\. Did you mean 'hermes'"):
        ParseToolCalls(gym.make("TauMock-v0", user=USER), "hermess")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Put ChatAction inside ParseToolCalls or ChatAction"):
        ChatAction(parse)
