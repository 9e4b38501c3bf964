"""Calls at once and in a minute, by address, for plain and awaited calls; and agents that await their model."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import Any

import pytest

from usersim_env import ScriptedUser
from usersim_env.baselines.registry import make_agent
from usersim_env.baselines.tool_calling import ToolCalling
from usersim_env.errors import UsageError
from usersim_env.llm import Completion, Model, ModelSession, Request
from usersim_env.llm.limits import Gate, gate
from usersim_env.rollouts import RolloutSettings, rollout, rollout_async
from usersim_env.users.llm import LLMUser

ASK = Request(({"role": "user", "content": "Hello"},))


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Answers after a moment; counts how many calls each address has at once."""
    now: Counter[str] = Counter()
    most: Counter[str] = Counter()
    lock = threading.Lock()

    def enter(model: Model, by: int) -> None:
        with lock:
            now[model.api_base or ""] += by
            most[model.api_base or ""] = max(most[model.api_base or ""], now[model.api_base or ""])

    def send(model: Model, body: Any) -> Completion:
        enter(model, 1)
        threading.Event().wait(0.01)
        enter(model, -1)
        return Completion("Yes.", (), "stop", 10, 5, 0.001)

    async def asend(model: Model, body: Any) -> Completion:
        enter(model, 1)
        await asyncio.sleep(0.01)
        enter(model, -1)
        return Completion("Yes.", (), "stop", 10, 5, 0.001)

    monkeypatch.setattr("usersim_env.llm.transport.send", send)
    monkeypatch.setattr("usersim_env.llm.transport.asend", asend)
    return most


def test_calls_at_once_are_counted_by_address(busy: Counter[str]) -> None:
    models = [Model("openai/a", "http://one", max_parallel=3), Model("openai/b", "http://one", max_parallel=3)]
    models += [Model("openai/a", "http://two", max_parallel=2), Model("openai/a", "http://three")]

    async def ask() -> None:
        await asyncio.gather(*(ModelSession(model).acomplete(ASK) for model in models for _ in range(8)))

    for _ in range(2):  # a second event loop has places of its own
        asyncio.run(ask())
    assert busy == {"http://one": 3, "http://two": 2, "http://three": 8}


def test_plain_calls_of_threads_keep_the_limit_too(busy: Counter[str]) -> None:
    session = ModelSession(Model("openai/a", "http://plain", max_parallel=2))
    threads = [threading.Thread(target=session.complete, args=(ASK,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert busy == {"http://plain": 2}


def test_both_seats_of_a_rollout_share_the_places_of_their_address(busy: Counter[str]) -> None:
    model = Model("openai/a", "http://both", max_parallel=5)
    settings = RolloutSettings(None, range(10), None, {"user": LLMUser(model), "max_steps": 3}, False)
    result = asyncio.run(rollout_async(ToolCalling(model), "TauMock-v0", settings))
    assert len(result.traces) == 40 and busy == {"http://both": 5}
    assert all(trace.user.notes["calls"] >= 4 for trace in result.traces)


def test_calls_in_a_minute_are_spaced_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usersim_env.llm.limits.time.monotonic", lambda: 1000.0)
    pauses: list[float] = []
    monkeypatch.setattr("usersim_env.llm.limits.time.sleep", pauses.append)
    limited, free = Gate(rpm=120), Gate()
    for one in (limited, limited, limited, free):
        with one.passed():
            pass
    assert pauses == [0.0, 0.5, 1.0, 0.0]


def test_awaited_calls_wait_for_their_turn_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usersim_env.llm.limits.time.monotonic", lambda: 1000.0)
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def run() -> None:
        monkeypatch.setattr("usersim_env.llm.limits.asyncio.sleep", sleep)
        limited = Gate(2, rpm=60)
        for _ in range(3):
            async with limited.apassed():
                pass

    asyncio.run(run())
    assert pauses == [1.0, 2.0]


def test_models_of_one_address_and_equal_limits_have_one_gate() -> None:
    assert gate(Model("openai/a", rpm=5)) is gate(Model("openai/b", rpm=5))
    assert gate(Model("openai/a", rpm=5)) is not gate(Model("azure/a", rpm=5))
    assert gate(Model("openai/a", "http://x", rpm=5)) is not gate(Model("openai/a", "http://y", rpm=5))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_parallel": 0}, "max_parallel is a whole number of at least 1, or None, got 0"),
        ({"max_parallel": 2.5}, "max_parallel is a whole number of at least 1, or None, got 2.5"),
        ({"rpm": 0}, "rpm is a number of calls above 0, or None, got 0"),
    ],
)
def test_senseless_limits(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Model("openai/a", **wrong)


def test_limits_of_the_agent_by_its_text() -> None:
    agent: Any = make_agent("tool_calling:model=openai/a,max_parallel=8,rpm=90.5")
    assert (agent.setting.max_parallel, agent.setting.rpm) == (8, 90.5)
    with pytest.raises(UsageError, match="max_parallel of tool_calling is an integer, got 'x'"):
        make_agent("tool_calling:model=openai/a,max_parallel=x")


def test_an_agent_that_awaits_its_model_does_the_same(busy: Counter[str]) -> None:
    settings = RolloutSettings(None, (0, 1), None, {"user": ScriptedUser(("hi", "yes"))}, False)
    agent = ToolCalling(Model("openai/a", "http://agent"))
    alone = rollout(agent, "TauMock-v0", settings).traces
    assert busy == {"http://agent": 1}
    many = asyncio.run(rollout_async(agent, "TauMock-v0", settings)).traces
    assert busy == {"http://agent": 8}
    assert [(t.events, t.agent) for t in many] == [(t.events, t.agent) for t in alone]
    own = ToolCalling(Model("openai/a"), complete=lambda request: Completion("Yes."))
    threads = asyncio.run(rollout_async(own, "TauMock-v0", settings)).traces
    assert [t.events for t in threads] == [t.events for t in alone]
