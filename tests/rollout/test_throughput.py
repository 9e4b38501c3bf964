"""Throughput and memory beside their bounds, ratios within one run: `make rollouts` prints them and checks them."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import statistics
import threading
import time
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

import usersim_env  # noqa: F401 - registers the ids
from usersim_env import ScriptedUser, Trace
from usersim_env.agent import Action, Observation
from usersim_env.baselines.silent import Silent
from usersim_env.baselines.tool_calling import ToolCalling
from usersim_env.llm import Model, close_connections, transport
from usersim_env.rollouts import RolloutSettings, play, rollout_async, rollout_stream
from usersim_env.users.llm import LLMUser

AT_ONCE = 256
NO = {"name": "respond", "arguments": {"content": "no"}}


# -- a model that answers after 200 ms ---------------------------------------------------------------------------------


async def timed_rollout(model: Model, episodes: int) -> tuple[float, list[list[dict[str, Any]]]]:
    """Calls in a second, and the calls themselves, one list for each episode."""
    chains: dict[Any, list[dict[str, Any]]] = {}
    plain = transport._keywords

    def kept(model: Model, body: Mapping[str, Any], client: Any) -> dict[str, Any]:
        keywords = plain(model, body, client)
        bare = {name: value for name, value in keywords.items() if name != "client"}  # it belongs to this loop
        chains.setdefault(asyncio.current_task(), []).append(bare)
        return keywords

    keywords = {"user": LLMUser(model), "survey": False, "max_steps": 3}
    settings = RolloutSettings(None, range(episodes // 4), None, keywords, progress=False)
    transport._keywords = kept
    try:
        start = time.perf_counter()
        result = await rollout_async(ToolCalling(model), "TauMock-v0", settings, AT_ONCE)
        seconds = time.perf_counter() - start
    finally:
        transport._keywords = plain
        await rested()
    assert not result.failed and len(result.traces) == episodes
    return sum(map(len, chains.values())) / seconds, list(chains.values())


async def rested() -> None:
    """litellm does some of its work after it has answered: none of it may fall into the next measurement."""
    from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER

    await GLOBAL_LOGGING_WORKER.flush()
    await close_connections()


async def timed_bare(chains: list[list[dict[str, Any]]]) -> float:
    """The same calls with nothing of ours: each list one after the other, all lists at once."""
    import litellm

    async def chain(calls: list[dict[str, Any]]) -> None:
        for keywords in calls:
            await litellm.acompletion(**keywords)

    start = time.perf_counter()
    await asyncio.gather(*map(chain, chains))
    seconds = time.perf_counter() - start
    await rested()
    return sum(map(len, chains)) / seconds


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_calls_in_a_second_beside_bare_litellm(late_server: str) -> None:
    """In short turns, in one run: a core of a shared machine can be a quarter slower for some seconds."""
    model = Model("openai/local", late_server, timeout=60.0)
    _, chains = asyncio.run(timed_rollout(model, AT_ONCE))  # the first run imports much of litellm
    asyncio.run(timed_bare(chains))
    shares = []
    for turn in range(10):
        if turn % 2:
            they, we = asyncio.run(timed_bare(chains)), asyncio.run(timed_rollout(model, AT_ONCE))[0]
        else:
            we, they = asyncio.run(timed_rollout(model, AT_ONCE))[0], asyncio.run(timed_bare(chains))
        shares.append(we / they)
        print(f"\nbare litellm {they:.0f} calls/s, rollout_async {we:.0f}: {shares[-1]:.1%}", end="")
    print(f"\n{AT_ONCE} episodes at once, {sum(map(len, chains))} calls that take 200 ms: median of ", end="")
    print(f"{len(shares)} turns {statistics.median(shares):.1%}")
    assert statistics.median(shares) >= 0.9


# -- the engine alone --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_steps_in_a_second_with_instant_seats() -> None:
    keywords = {"user": ScriptedUser(("hello",), repeat=True), "max_steps": 30}
    settings = RolloutSettings(["mock/test/0"], range(1000), None, keywords, progress=False)
    best = computed = 0.0
    for _ in range(5):
        start, cpu = time.perf_counter(), time.process_time()
        result = asyncio.run(rollout_async(Silent(), "TauMock-v0", settings, 1000))
        steps = sum(t.effort.agent_turns for t in result.traces)
        best = max(best, steps / (time.perf_counter() - start))
        computed = max(computed, steps / (time.process_time() - cpu))
    print(f"\n1,000 interleaved episodes of 30 steps, one process, best of 5: {best:,.0f} steps/s")
    print(f"({computed:,.0f} for each second of the processor)")
    assert best >= 20_000


class Waits(Silent):
    """Speaks four times, then waits for ever."""

    def begin(self, info: Mapping[str, Any], seed: int) -> Any:
        return WaitsSession()


class WaitsSession:
    def __init__(self) -> None:
        self._said = 0

    async def aact(self, observation: Observation) -> Action:
        self._said += 1
        if self._said > 4:
            await asyncio.Event().wait()
        return dict(NO)


@pytest.mark.slow
@pytest.mark.parametrize("domain", ["Retail", "Airline"])
def test_memory_of_an_open_episode(domain: str) -> None:
    """Everything that an open episode holds, with policy and tools as the agent got them; it has few words so far."""
    keywords = {"user": ScriptedUser(("hello",), repeat=True)}
    tasks = [f"{domain.lower()}/test/0"]

    async def held(episodes: int) -> int:
        settings = RolloutSettings(tasks, range(episodes), None, keywords, progress=False)
        gc.collect()
        tracemalloc.start()
        running = asyncio.create_task(rollout_async(Waits(), f"Tau{domain}-v0", settings, episodes))
        for _ in range(200):
            await asyncio.sleep(0)
        if running.done():  # else a rollout that died at once would be measured as one that needs nothing
            running.result()
        gc.collect()
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return size

    asyncio.run(held(10))
    few, many = asyncio.run(held(100)), asyncio.run(held(600))
    each = (many - few) / 500 / 1000
    print(f"\n{domain}: {each:.1f} KB for each open episode")
    assert 0 < each <= 250


# -- nothing piles up --------------------------------------------------------------------------------------------------


def _held() -> tuple[int, int, float]:
    """Threads, file descriptors, and memory in MB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return threading.active_count(), len(os.listdir("/proc/self/fd")), pages * os.sysconf("SC_PAGE_SIZE") / 1e6


needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")


@needs_proc
def test_a_thousand_resets_in_mid_episode_leave_nothing() -> None:
    env = gym.make("TauRetail-agenda-v0", disable_env_checker=True)

    def resets(many: int) -> None:
        for seed in range(many):
            env.reset(seed=seed)
            env.step(dict(NO))

    resets(1000)
    before = _held()
    resets(1000)
    after = _held()
    print(f"\n1,000 resets: threads, descriptors, MB: {before} -> {after}")
    assert after[:2] == before[:2] and after[2] - before[2] < 8
    env.close()


@needs_proc
def test_a_thousand_cancelled_episodes_leave_nothing() -> None:
    settings = RolloutSettings(["retail/test/0"], range(200), None, {"persona": "humanlike"}, progress=False)

    async def cancelled() -> None:
        running = asyncio.create_task(rollout_async(Waits(), "TauRetail-agenda-v0", settings, 200))
        for _ in range(30):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    async def rounds(many: int) -> None:
        for _ in range(many):
            await cancelled()

    asyncio.run(rounds(5))
    before = _held()
    asyncio.run(rounds(5))
    after = _held()
    print(f"\n1,000 cancelled episodes: threads, descriptors, MB: {before} -> {after}")
    assert after[:2] == before[:2] and after[2] - before[2] < 8


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("driver", ["env", "async"])
def test_ten_thousand_episodes_leave_nothing(driver: str, tmp_path: Path) -> None:
    keywords: dict[str, Any] = {"user": ScriptedUser(("hi", "yes", "no")), "survey": False}
    made = gym.make("TauMock-v0", disable_env_checker=True, **keywords)
    core: Any = made.unwrapped

    def run(many: int, name: str) -> int:
        if driver == "env":
            return sum(play(Silent(), core, "mock/test/0", seed).valid for seed in range(many))
        settings = RolloutSettings(["mock/test/0"], range(many), tmp_path / name, keywords, progress=False)

        async def stream() -> int:
            return sum([trace.valid async for trace in rollout_stream(Silent(), "TauMock-v0", settings)])

        return asyncio.run(stream())

    run(5000, "a.jsonl")
    before = _held()
    assert run(10_000, "b.jsonl") == 10_000
    after = _held()
    print(f"\n10,000 episodes, {driver}: threads, descriptors, MB: {before} -> {after}")
    assert after[:2] == before[:2] and after[2] - before[2] < 16
    made.close()


def test_messages_of_an_open_episode_are_small() -> None:
    """So that the figure of `test_memory_of_an_open_episode` is that of everything else."""
    env: Any = gym.make("TauRetail-v0", user=ScriptedUser(("hello",), repeat=True), max_steps=4).unwrapped
    trace: Trace = play(Silent(), env, "retail/test/0", 0)
    assert len(json.dumps(trace.events)) < 2000
