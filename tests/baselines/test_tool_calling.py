import json
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from usersim_env import llm
from usersim_env.agent import Agent
from usersim_env.baselines import ToolCalling
from usersim_env.baselines.tool_calling import MALFORMED
from usersim_env.errors import ModelError, UsageError
from usersim_env.llm import Completion, Request
from usersim_env.traces.trace import Trace
from usersim_env.users import ScriptedUser

USER = ScriptedUser(("ada@mock.example, move it to wednesday", "yes"))


def call(name: str, arguments: Any, call_id: str = "c1") -> dict[str, Any]:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}


class Model:
    """A transport that gives planned messages, then a farewell, and keeps the requests."""

    def __init__(self, *messages: Mapping[str, Any]) -> None:
        self.messages = list(messages)
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Completion:
        self.requests.append(request)
        message: Mapping[str, Any] = self.messages.pop(0) if self.messages else {"content": "Goodbye."}
        return Completion(message.get("content"), tuple(message.get("tool_calls") or ()))


def test_it_solves_a_task_and_shows_the_model_what_happened(play: Callable[..., Trace]) -> None:
    move = {"ticket_id": "T-1001", "day": "wednesday", "note": "canary-4711-note"}
    model = Model(
        {"content": None, "tool_calls": [call("find_ticket", {"email": "ada@mock.example"}, "a")]},
        {"content": "Shall I move it?", "tool_calls": None},
        {"content": "", "tool_calls": [call("move_ticket", move, "b"), call("find_ticket", {}, "not run")]},
    )
    agent: Agent = ToolCalling("test/model", complete=model)
    trace = play(agent, "mock/test/0", USER, 7)
    assert (trace.reward, trace.effort.tool_calls) == (1.0, 2)
    last = model.requests[-1].messages
    assert [m["role"] for m in last] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
        "assistant",
        "tool",
    ]
    assert "Repair desk" in last[0]["content"]
    assert last[3]["tool_call_id"] == "a" and last[7]["tool_call_id"] == "b"
    assert len(last[6]["tool_calls"]) == 1
    assert last[5] == {"role": "user", "content": "yes"}


def test_the_request_holds_tools_and_seed(play: Callable[..., Trace]) -> None:
    model = Model()
    play(ToolCalling("a/b", complete=model), "mock/test/0", USER, 7)
    assert model.requests[0].tools[0]["function"]["name"] == "find_ticket"
    assert model.requests[0].seed == 7


@pytest.mark.parametrize("text", ['{"email": ', "[1]", "null", '"x"', "[" * 100_000, "NaN"])
def test_arguments_that_are_no_object_reach_the_tool_as_malformed(play: Callable[..., Trace], text: str) -> None:
    trace = play(ToolCalling("m", complete=Model({"tool_calls": [call("find_ticket", text)]})), "mock/test/0", USER)
    event = next(e for e in trace.events if e["event"] == "act")
    assert event["name"] == "find_ticket" and event["arguments"] == {MALFORMED: text}
    assert event["error"] and trace.valid


@pytest.mark.parametrize("arguments", ["", None])
def test_no_arguments_are_an_empty_object(play: Callable[..., Trace], arguments: str | None) -> None:
    function = {"id": "a", "function": {"name": "find_ticket", "arguments": arguments}}
    trace = play(ToolCalling("m", complete=Model({"tool_calls": [function]})), "mock/test/0", USER)
    assert next(e for e in trace.events if e["event"] == "act")["arguments"] == {}


def test_an_empty_message_is_said_as_it_is(play: Callable[..., Trace]) -> None:
    trace = play(ToolCalling("m", complete=Model({"content": None})), "mock/test/0", USER)
    assert trace.events[1] == {"event": "act", "name": "respond", "arguments": {"content": ""}}


def test_a_failing_transport_is_not_swallowed(play: Callable[..., Trace]) -> None:
    def refuse(request: Request) -> Completion:
        raise ConnectionError("refused")

    with pytest.raises(ConnectionError):
        play(ToolCalling("m", complete=refuse), "mock/test/0", USER)


def test_settings_are_checked_described_and_pickled() -> None:
    agent = ToolCalling("openai/gpt-4o")
    assert not agent.privileged
    described = {"model": "openai/gpt-4o", "api_base": None, "temperature": 0.0, "send_seed": True}
    assert agent.describe() == described
    assert pickle.loads(pickle.dumps(agent)) == agent
    with pytest.raises(UsageError, match="needs a model, for example tool_calling:model="):
        ToolCalling("")
    with pytest.raises(UsageError, match="temperature is a number from 0 to 2, or None, got 3"):
        ToolCalling("m", temperature=3)
    with pytest.raises(UsageError, match="timeout is a number of seconds above 0, got 0"):
        ToolCalling("m", timeout=0)
    with pytest.raises(UsageError, match="policy and tools"):
        agent.begin({"task_id": "mock/test/0"}, 0)


def test_it_asks_through_the_one_door(play: Callable[..., Trace], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[llm.Model, Any]] = []

    def send(model: llm.Model, body: Any) -> Completion | ModelError:
        asked.append((model, body))
        return Completion("Goodbye.") if len(asked) == 1 else ModelError("too long", "context_length")

    monkeypatch.setattr("usersim_env.llm.transport.send", send)
    agent = ToolCalling("a/b", "http://x/v1", 0.5, timeout=9.0)
    with pytest.raises(ModelError, match="too long"):
        play(agent, "mock/test/0", USER, 7)
    model, body = asked[0]
    assert model == agent.setting == llm.Model("a/b", "http://x/v1", temperature=0.5, timeout=9.0)
    assert (body["model"], body["seed"], body["temperature"]) == ("a/b", 7, 0.5)
    given = ToolCalling(llm.Model("a/b", max_tokens=9, send_seed=False))
    assert given.setting.max_tokens == given.describe()["max_tokens"] == 9
