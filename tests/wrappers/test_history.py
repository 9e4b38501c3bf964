"""`ChatHistory` and `TextObservation`: what the agent reads."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from usersim_env import ScriptedUser
from usersim_env.wrappers import ChatAction, ChatHistory, HideTools, ParseToolCalls, TextObservation, chatml

USER = ScriptedUser(("Hello.", "Yes.", "Thanks."))
FIND = {"name": "find_ticket", "arguments": {"email": "a@b"}}
NOBODY = "Error: no customer with that e-mail"


def made(**keywords: Any) -> gym.Env[Any, Any]:
    settings: dict[str, Any] = {"user": USER}
    return gym.make("TauMock-v0", **settings | keywords)


def say(words: str) -> dict[str, Any]:
    return {"name": "respond", "arguments": {"content": words}}


def call(call_id: str, name: str = "find_ticket", arguments: str = '{"email": "a@b"}') -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_conversation_with_calls() -> None:
    env = ChatHistory(made())
    first, _ = env.reset(seed=0)
    assert [m["role"] for m in first] == ["system", "user"]
    assert first[0]["content"] == env.get_wrapper_attr("policy") and first[1]["content"] == "Hello."
    second = env.step(FIND)[0]
    env.step(FIND)
    messages = env.step(say("Sure?"))[0]
    assert (len(first), len(second)) == (2, 4), "what was given out does not grow"
    made_calls = [m["tool_calls"][0] for m in messages if "tool_calls" in m]
    assert [one["id"] for one in made_calls] == ["call_1", "call_2"]
    assert [m["tool_call_id"] for m in messages if m["role"] == "tool"] == ["call_1", "call_2"]
    assert messages[-2:] == [{"role": "assistant", "content": "Sure?"}, {"role": "user", "content": "Yes."}]
    assert [m["role"] for m in env.reset(seed=0)[0]] == ["system", "user"]


def test_system_message() -> None:
    assert ChatHistory(made(), system=False).reset(seed=0)[0] == [{"role": "user", "content": "Hello."}]
    assert ChatHistory(made(), system="Be kind.").reset(seed=0)[0][0] == {"role": "system", "content": "Be kind."}


def test_lazy_open_begins_with_nothing_said() -> None:
    env = ChatHistory(made(), system=False)
    assert env.reset(seed=0, options={"lazy_open": True})[0] == []
    assert [m["role"] for m in env.step(say("Hi!"))[0]] == ["assistant", "user"]


def test_arguments_that_are_no_json() -> None:
    env = ChatHistory(made())
    env.reset(seed=0)
    messages = env.step({"name": "find_ticket", "arguments": {"email": np.float64("nan"), "x": object()}})[0]
    assert messages in env.observation_space and messages[-1]["content"].startswith("Error: ")
    messages = env.step({"name": "respond", "arguments": {"content": 5}})[0]
    assert messages[-1]["content"] == "Error: respond needs a str 'content', got int"


def test_texts_are_kept_as_the_model_wrote_them() -> None:
    env = ChatHistory(ParseToolCalls(made()), system=False)
    env.reset(seed=0)
    text = 'I look. <tool_call>{"name": "find_ticket", "arguments": {"email": "a@b"}}</tool_call>'
    messages = env.step(text)[0]
    assert messages[1:] == [
        {"role": "assistant", "content": text},
        {"role": "tool", "name": "find_ticket", "content": NOBODY},
    ]
    assert env.step("<tool_call>")[0][-1]["content"].startswith("Error: <tool_call> and </tool_call> do not")


def test_every_call_of_a_message_is_answered() -> None:
    env = ChatHistory(ChatAction(made()), system=False)
    env.reset(seed=0)
    calls = [call("a"), call("b", "respond", '{"content": "Sure?"}'), call("c", "transfer_to_human_agents"), call("d")]
    calls[2]["function"]["arguments"] = '{"summary": "?"}'
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    messages, _, terminated, _, _ = env.step(message)
    assert terminated and messages[1] == message
    answers = [(m["tool_call_id"], m["content"]) for m in messages if m["role"] == "tool"]
    assert answers == [("a", NOBODY), ("b", "Said."), ("c", "Transfer successful"), ("d", "Not executed.")]
    assert messages[-1] == {"role": "user", "content": "Yes."}


def test_a_message_that_cannot_be_read_is_answered_too() -> None:
    env = ChatHistory(ChatAction(made()), system=False)
    env.reset(seed=0)
    bad = {"role": "assistant", "content": None, "tool_calls": [call("a", arguments="{"), call("b")]}
    messages, *_, info = env.step(bad)
    assert info["malformed"] == 1
    assert [m["tool_call_id"] for m in messages[-2:]] == ["a", "b"]
    assert messages[-2]["content"].startswith("Error: 'arguments' of find_ticket is not JSON")
    for odd in (
        {"tool_calls": "x"},
        {"tool_calls": [7]},
        {"content": [{"type": "text", "text": "Hi"}]},
        {"content": 7},
    ):
        assert env.step({"role": "assistant"} | odd)[0] in env.observation_space


def test_history_inside_several_calls_holds_them_all() -> None:
    env = ChatAction(ChatHistory(made(), system=False))
    env.reset(seed=0)
    messages = env.step({"role": "assistant", "content": None, "tool_calls": [call("a"), call("b")]})[0]
    assert [m["role"] for m in messages] == ["user", "assistant", "tool", "assistant", "tool"]


def test_text_holds_everything_in_order() -> None:
    env = TextObservation(ChatHistory(HideTools(made(), ["move_ticket"])))
    text, _ = env.reset(seed=0)
    assert text.startswith("<|im_start|>system\n# Repair desk") and text.endswith("<|im_start|>assistant\n")
    assert '"name": "find_ticket"' in text and '"name": "move_ticket"' not in text
    later = env.step(FIND)[0]
    assert later.startswith(text) and f"<tool_response>\n{NOBODY}\n</tool_response>" in later
    assert '<tool_call>{"name": "find_ticket", "arguments": {"email": "a@b"}}</tool_call>' in later


def test_text_without_history_is_what_was_received() -> None:
    env = TextObservation(made())
    assert env.reset(seed=0)[0] == "<|im_start|>user\nHello.<|im_end|>\n<|im_start|>assistant\n"


def test_tools_are_shown_without_a_policy_too() -> None:
    text = TextObservation(ChatHistory(made(), system=False)).reset(seed=0)[0]
    assert text.startswith("<|im_start|>system\n") and "<tools>" in text


def test_a_template_of_your_own() -> None:
    seen: list[Any] = []

    def template(messages: Any, tools: Any) -> str:
        seen.append((len(messages), len(tools)))
        return "|".join(m["role"] for m in messages)

    assert TextObservation(ChatHistory(made()), template).reset(seed=0)[0] == "system|user"
    assert seen == [(2, 3)]
    with pytest.raises(ValueError, match="template gives a str, got int"):
        TextObservation(made(), lambda messages, tools: 5).reset()  # type: ignore[arg-type, return-value]


def test_chatml_of_broken_calls() -> None:
    assert "null" in chatml([{"role": "assistant", "content": None, "tool_calls": [{"function": 7}, 7]}], [])


def test_the_wrong_order_is_refused() -> None:
    with pytest.raises(ValueError, match="ChatHistory wraps an env that gives role, name and content, got UnicodeText"):
        ChatHistory(TextObservation(made()))
    with pytest.raises(ValueError, match="TextObservation wraps an env that gives messages, got UnicodeText"):
        TextObservation(TextObservation(made()))
