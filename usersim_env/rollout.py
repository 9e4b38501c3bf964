"""Runs agents over tasks and seeds; finished episodes are on disk as soon as they are finished."""

from __future__ import annotations

import dataclasses
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from usersim_env.agent import Agent, AgentSession, seat_of
from usersim_env.domains import get_domain
from usersim_env.env import TauEnv
from usersim_env.errors import InvalidAction, UsageError, told
from usersim_env.feedback import Failure
from usersim_env.trace import Trace
from usersim_env.trace_file import TraceWriter, iter_traces, latest


@dataclass(frozen=True)
class RolloutSettings:
    """What is run.

    Attributes:
        tasks: ids such as ``retail/test/17``; ``None`` is the env's whole split.
        seeds: one episode per task and seed.
        out: file of traces; episodes that it already holds are not run again.
        keywords: further keywords of `gym.make`.
        progress: show a progress bar (on standard error).
        retry_failed: run episodes again that ``out`` holds without a reward; the new trace replaces the old one for
            every reader of the file.
    """

    tasks: Sequence[str] | None = None
    seeds: Sequence[int] = (0,)
    out: str | os.PathLike[str] | None = None
    keywords: Mapping[str, Any] = field(default_factory=dict)
    progress: bool = True
    retry_failed: bool = False


@dataclass(frozen=True)
class RolloutResult:
    """Traces in the order of tasks and seeds, and how many of them were on disk already."""

    traces: tuple[Trace, ...]
    resumed: int = 0

    @property
    def scored(self) -> tuple[Trace, ...]:
        """Episodes with a reward."""
        return tuple(t for t in self.traces if t.valid)

    @property
    def failed(self) -> dict[str, int]:
        """Episodes without a reward, by ``side:kind``."""
        return dict(Counter(failure_name(t) for t in self.traces if not t.valid))

    @property
    def success(self) -> float | None:
        """Mean rule reward of the scored episodes; ``None`` when there is none."""
        rewards = [t.reward for t in self.traces if t.reward is not None]
        return sum(rewards) / len(rewards) if rewards else None

    def summary(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {
            "episodes": len(self.traces),
            "resumed": self.resumed,
            "scored": len(self.scored),
            "failed": self.failed,
            "success": self.success,
        }


def failure_name(trace: Trace) -> str:
    """What an episode without a reward is counted under."""
    return f"{trace.failure.side}:{trace.failure.kind}" if trace.failure is not None else trace.ended_by


def rollout(agent: Agent, env_id: str, settings: RolloutSettings | None = None) -> RolloutResult:
    """Runs one agent on every task and seed, in order.

    An exception of the agent ends its episode as failed (side ``agent``), not as 0, and the next one begins.

    Raises:
        UnknownName: no such task; checked before the first episode.
    """
    settings = settings if settings is not None else RolloutSettings()
    with opened(agent, env_id, settings) as (env, plan):
        found = dict(plan.found)
        with _Progress(len(plan.wanted), agent.name, settings.progress) as progress:
            for trace in plan.found.values():
                progress.add(trace)
            for trace in _run(agent, env, plan.todo, settings.out):
                found[trace.id] = trace
                progress.add(trace)
    return RolloutResult(tuple(found[key] for key in plan.wanted), len(plan.found))


@dataclass(frozen=True)
class Plan:
    """The episodes of a rollout.

    Attributes:
        wanted: id → task and seed, in order.
        found: id → trace of those that the file holds already.
    """

    wanted: Mapping[str, tuple[str, int]]
    found: Mapping[str, Trace]

    @property
    def todo(self) -> list[tuple[str, int]]:
        """Task and seed of the episodes that are left to run."""
        return [at for key, at in self.wanted.items() if key not in self.found]


@contextmanager
def opened(agent: Agent, env_id: str, settings: RolloutSettings) -> Iterator[tuple[TauEnv, Plan]]:
    """The env with the agent seated, and what there is to run; nothing runs and no file is made.

    Raises:
        UnknownName: no such task.
    """
    # The checker that gym.make adds would run a second, unrecorded reset.
    made = gym.make(env_id, disable_env_checker=True, **settings.keywords)
    try:
        env = made.unwrapped
        assert isinstance(env, TauEnv)
        env.agent_seat = seat_of(agent)
        tasks = env.task_ids if settings.tasks is None else settings.tasks
        wanted = {env.episode_id(task, seed): (task, seed) for task in tasks for seed in settings.seeds}
        yield env, Plan(wanted, _on_disk(settings.out, wanted, settings.retry_failed))
    finally:
        made.close()


def _on_disk(out: str | os.PathLike[str] | None, wanted: Iterable[str], retry_failed: bool) -> dict[str, Trace]:
    if out is None or not Path(out).exists():
        return {}
    ids = set(wanted)
    finished = (t for t in latest(iter_traces(out)) if t.ended_by != "cut" and not (retry_failed and t.failure))
    return {trace.id: trace for trace in finished if trace.id in ids}


def _run(
    agent: Agent, env: TauEnv, todo: Iterable[tuple[str, int]], out: str | os.PathLike[str] | None
) -> Iterator[Trace]:
    writer = TraceWriter(out) if out is not None else None
    try:
        for task_id, seed in todo:
            trace = play(agent, env, task_id, seed)
            if writer is not None:
                writer.write(trace)
            yield trace
    finally:
        if writer is not None:
            writer.close()


def play(agent: Agent, env: TauEnv, task_id: str, seed: int) -> Trace:
    """One episode of an agent in an env."""
    observation, info = env.reset(seed=seed, options={"task_id": task_id})
    if not info["valid"]:
        env.step({"name": "respond", "arguments": {"content": ""}})
        return env.trace()
    session: AgentSession | None = None
    over = False
    while not over:
        # Only what the agent does is the agent's failure: an error of the env or the disk is not caught.
        try:
            if session is None:
                session = agent.begin(info, agent_seed(task_id, seed))
            action = session.act(observation)
        except Exception as error:
            env.fail(_agent_failure(error))
            break
        try:
            observation, _, terminated, truncated, _ = env.step(action)
        except InvalidAction as error:
            env.fail(Failure("agent", "invalid_action", str(error)))
            break
        over = terminated or truncated
    env.agent_seat = dataclasses.replace(env.agent_seat, notes=_notes(session))
    return env.trace()


def _notes(session: AgentSession | None) -> dict[str, Any]:
    """What the agent's session says of the episode (``notes()``, where it has one): calls, tokens, cost."""
    notes = getattr(session, "notes", None)
    return dict(notes()) if callable(notes) else {}


def _agent_failure(error: Exception) -> Failure:
    kind = getattr(error, "kind", None)
    return Failure("agent", kind if isinstance(kind, str) else "error", told(error))


def agent_seed(task_id: str, seed: int) -> int:
    """The seed that an agent gets: another one for every task, the same whatever the user side."""
    return int(np.random.SeedSequence((seed, zlib.crc32(task_id.encode()))).generate_state(1)[0])


def select_tasks(domain: str, split: str, selection: str) -> list[str]:
    """Task ids from ``all``, ``0-9``, ``1,4``, ids such as ``retail/test/17``, or a mixture such as ``0-4,17``."""
    ids = [task.id for task in get_domain(domain).tasks(split)]
    if selection == "all":
        return ids
    chosen: list[str] = []
    for part in selection.split(","):
        if "/" in part:
            chosen.append(get_domain(domain).task(part.strip()).id)
            continue
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(f"--tasks takes all, 0-9, 1,4 or ids; got {selection!r}.")
        low, high = int(first), int(last or first)
        if high >= len(ids) or low > high:
            raise UsageError(f"--tasks {part.strip()}: {domain} {split} has the tasks 0 to {len(ids) - 1}.")
        chosen += ids[low : high + 1]
    return list(dict.fromkeys(chosen))


class _Progress:
    """A bar with success so far and failures so far."""

    def __init__(self, total: int, name: str, shown: bool) -> None:
        self._scored = self._sum = self._failed = 0.0
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(
            *columns, TextColumn("{task.fields[so_far]}"), disable=not shown, console=Console(stderr=True)
        )
        self._task = self._bar.add_task(name, total=total, so_far="")

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def add(self, trace: Trace) -> None:
        """Counts one finished episode."""
        if trace.reward is None:
            self._failed += 1
        else:
            self._scored += 1
            self._sum += trace.reward
        success = f"success {self._sum / self._scored:.3f}" if self._scored else "none scored"
        failed = f", {self._failed:.0f} failed" if self._failed else ""
        self._bar.update(self._task, advance=1, so_far=success + failed)
