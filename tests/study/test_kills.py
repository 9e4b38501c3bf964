"""``kill -9`` at random moments under load: nothing acknowledged is lost, nothing doubled, everybody gets to the end.

The figures: `make study-proofs`.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.study.crowd import Measured, Participant, differences, stored_twice
from tests.study.serving import ServerProcess
from usersim_env.agent import Action, Observation
from usersim_env.baselines import make_agent
from usersim_env.env.episode import received
from usersim_env.importers.rescore import rescore
from usersim_env.rollouts import agent_seed
from usersim_env.study.export import export_study
from usersim_env.traces.file import read_traces
from usersim_env.traces.trace import Trace

AGENTS = "tests.study.proof_agents"


@dataclass
class Killing:
    """A study that is killed while a crowd takes part; as people finish, others begin.

    Attributes:
        server: of the study.
        seed: of the moments.
        kills: made so far.
        early: of these, before the server had said its address.
        starting: seconds that a server needs to start.
    """

    server: ServerProcess
    seed: int
    measured: Measured = field(default_factory=Measured)
    participants: list[Participant] = field(default_factory=list)
    kills: int = 0
    early: int = 0
    starting: float = 0.0

    async def run(self, kills: int, people: int, turns: int, longest: float) -> None:
        """All of it.

        Args:
            kills: how many.
            people: at once.
            turns: of each.
            longest: seconds that a server lives at most once it answers.
        """
        await asyncio.to_thread(self.server.start)
        await asyncio.to_thread(self.server.wait)
        names = itertools.count(1)
        ending = asyncio.create_task(self.kill(kills, longest))

        async def seat() -> None:
            while True:
                participant = Participant(self.server.origin, f"p{next(names)}", self.measured)
                self.participants.append(participant)
                await participant.take_part(turns, lambda: rng.uniform(0, 0.2))
                if ending.done():
                    return

        rng = random.Random(f"thought {self.seed}")
        await asyncio.gather(ending, *(seat() for _ in range(people)))

    async def kill(self, kills: int, longest: float) -> None:
        rng = random.Random(f"kill {self.seed}")
        while self.kills < kills:
            early = self.kills % 5 == 2
            if early:  # while it starts, or takes its sittings up
                await asyncio.sleep(rng.uniform(0.0, self.starting))
                self.early += 1
            else:
                await asyncio.to_thread(self.server.wait)
                await asyncio.sleep(rng.uniform(0.0, longest))
                self.server.memory()
            await asyncio.to_thread(self.server.kill)
            self.kills += 1
            began = time.monotonic()
            await asyncio.to_thread(self.server.start)
            if self.kills == 1:
                await asyncio.to_thread(self.server.wait)
                self.starting = time.monotonic() - began
        await asyncio.to_thread(self.server.wait)


def killed_study(tmp_path: Path, kills: int, people: int, turns: int, agent: str, domain: str = "mock") -> Killing:
    """Kills a study under load, lets everybody finish, and compares."""
    per_task = "1000" if domain == "mock" else "20"
    words = ("--domain", domain, "--per-task", per_task, "--agent", agent, "--provider", "nobody else")
    killing = Killing(ServerProcess(tmp_path / "study", "--participants-from", "prolific", *words), seed=kills)
    try:
        everything = killing.run(kills, people, turns, longest=1.0)
        asyncio.run(asyncio.wait_for(everything, 60 + 30 * kills))  # a conversation that stands still is a loss too
        killing.server.memory()
        export_study(killing.server.folder, tmp_path / "people.jsonl")
    finally:
        killing.server.stop()
    traces = read_traces(tmp_path / "people.jsonl")
    assert differences(killing.participants, traces) == []
    assert stored_twice(killing.server.folder, traces) == []
    again = rescore([tmp_path / "people.jsonl"])
    assert (again.agree, again.disagree) == (len(traces), ())
    assert killing.measured.counts["connections lost or refused"] > 0
    return killing


def uninterrupted(trace: Trace, agent: str) -> Iterator[tuple[Action, Action]]:
    """Each action in a trace, and what the agent does in its place when nobody kills it."""
    session = make_agent(agent).begin({"task_id": trace.task_id}, agent_seed(trace.task_id, trace.seed))
    observation: Observation = received("user", "user", "")
    for event in trace.events:
        if event["event"] == "act":
            yield {"name": event["name"], "arguments": event["arguments"]}, session.act(observation)
            observation = received("tool", event["name"], event.get("result", ""))
        elif event["event"] == "say":
            observation = received("user", "user", event["content"])


def report(killing: Killing, tmp_path: Path, agent: str, seconds: float) -> None:
    counts, traces = killing.measured.counts, read_traces(tmp_path / "people.jsonl")
    print(
        f"\n{agent}: {killing.kills} kills ({killing.early} before the server answered) in {seconds:.0f} s; "
        f"{len(traces)} people, all with survey and code; {dict(counts)}; "
        f"{sum(len(t.events) for t in traces)} events, {sum(t.effort.tool_calls for t in traces)} tool calls, "
        f"reward 1 in {sum(t.reward == 1 for t in traces)}; lost, doubled, reordered, scored twice: 0; "
        f"memory {killing.server.peak:.0f} MB"
    )


def test_three_kills_lose_nothing(tmp_path: Path) -> None:
    killing = killed_study(tmp_path, 3, 20, 3, f"{AGENTS}:at_once")
    assert killing.kills == 3 and len(killing.participants) >= 20


@pytest.mark.slow
def test_100_kills(tmp_path: Path) -> None:
    began, agent = time.monotonic(), f"{AGENTS}:short"
    killing = killed_study(tmp_path, 100, 20, 10, agent, "retail")
    report(killing, tmp_path, agent, time.monotonic() - began)


@pytest.mark.slow
def test_100_kills_of_an_agent_that_remembers(tmp_path: Path) -> None:
    began = time.monotonic()
    killing = killed_study(tmp_path, 100, 20, 10, "clerk", "retail")
    report(killing, tmp_path, "clerk", time.monotonic() - began)
    traces = read_traces(tmp_path / "people.jsonl")
    assert all(done == again for trace in traces for done, again in uninterrupted(trace, "clerk"))
    assert any(trace.reward == 1 for trace in traces)
