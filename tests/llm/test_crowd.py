"""Many episodes at once against a server that misbehaves in every way: each ends as it should, and none hangs."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.llm.conftest import Server, serving
from tests.llm.test_faults import FAULTS, QUOTED, STOP, Fault
from usersim_env.agent import Action, AgentSession, Observation
from usersim_env.llm import Model
from usersim_env.rollouts import RolloutSettings, failure_name, rollout_async
from usersim_env.traces.trace import Trace
from usersim_env.users.llm import LLMUser

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
TRIES = 3
SLOW = ("hang", "trickle", "huge", "endless")


class Numbered:
    """An agent that says which case it is, so that the server can tell the episodes apart."""

    name, privileged = "numbered", False

    def __init__(self) -> None:
        self._numbers = itertools.count()

    def describe(self) -> dict[str, Any]:
        return {}

    def begin(self, info: Any, seed: int) -> AgentSession:
        return Saying(next(self._numbers))


class Saying(AgentSession):
    def __init__(self, number: int) -> None:
        self._number = number

    def act(self, observation: Observation) -> Action:
        return {"name": "respond", "arguments": {"content": f"Case {self._number}: your e-mail?"}}


class Crowd(Server):
    """Each case has a fault of its own, for the customer's second turn."""

    request_queue_size = 1024

    def __init__(self, faults: list[Fault], count: int) -> None:
        super().__init__()
        self.faults = [faults[number % len(faults)] for number in range(count)]
        self._scripts = [_script(fault) for fault in self.faults]

    def next_fault(self, body: dict[str, Any]) -> str:
        case = re.search(r"Case (\d+):", str(body["messages"][-1]["content"]))
        if case is None or "response_format" in body:
            return "ok"
        script = self._scripts[int(case[1])]
        return script.pop(0) if script else "ok"


def _script(fault: Fault) -> list[str]:
    """One for ever lasts for all tries, whatever their number is in the other tests."""
    lasting = fault.kind is not None and len(set(fault.script)) == 1
    return fault.script[:1] * TRIES if lasting else list(fault.script)


@pytest.fixture
def crowd(request: pytest.FixtureRequest, imported: None) -> Iterator[Crowd]:
    count, slow = request.param
    pytest.importorskip("litellm")
    faults = [fault for fault in FAULTS if slow or not set(SLOW) & set(fault.script)]
    with Crowd(faults, count) as running, serving(running):
        yield running


def ended(fault: Fault) -> str:
    """What an episode with such a fault is counted under."""
    if fault.kind is not None:
        return f"user:{fault.kind}"
    return "user" if STOP in str(fault.script) and fault.words != QUOTED else "limit"


def case_of(trace: Trace) -> int:
    said = next(message.content for message in trace.messages if message.role == "agent")
    return int(said.removeprefix("Case ").partition(":")[0])


@pytest.mark.parametrize(
    "crowd", [(48, False), pytest.param((256, True), marks=pytest.mark.slow)], indirect=True, ids=["some", "256"]
)
def test_every_episode_ends_as_its_fault_says(crowd: Crowd, loop: asyncio.AbstractEventLoop) -> None:
    count = len(crowd.faults)
    model = Model("openai/local", crowd.base, timeout=20.0, retries=TRIES - 1, backoff=0.01, prices=(0.01, 0.01))
    settings = RolloutSettings(
        seeds=range(count // 4), keywords={"user": LLMUser(model), "max_steps": 1}, progress=False
    )
    began = time.perf_counter()
    result = loop.run_until_complete(rollout_async(Numbered(), "TauMock-v0", settings, count))
    assert not crowd.release.is_set(), "what hangs still hangs, and nobody waits for it"

    came = {case_of(t): t.ended_by if t.valid else failure_name(t.failure, t.ended_by) for t in result.traces}
    assert came == {case: ended(fault) for case, fault in enumerate(crowd.faults)}
    expected = Counter(map(ended, crowd.faults))
    assert Counter(came.values()) == expected and expected.total() == count
    assert result.failed == {name: n for name, n in expected.items() if ":" in name}
    assert all((trace.reward is None) is not trace.valid for trace in result.traces), "a failure is no reward of 0"
    print(f"\n{count} episodes at once: {time.perf_counter() - began:.0f} s, load {os.getloadavg()[0]:.1f}")
    for name, number in sorted(expected.items()):
        print(f"{name:22} {number:4}")
    print(f"{'in all':22} {expected.total():4}")
