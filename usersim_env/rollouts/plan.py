"""What a rollout runs: its settings, and the episodes that are left to run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym

from usersim_env.agent import Agent, seat_of
from usersim_env.domains import get_domain
from usersim_env.env.tau_env import TauEnv
from usersim_env.errors import UsageError
from usersim_env.feedback.scoring import SCORING_VERSION
from usersim_env.jsonl.claim import claimed
from usersim_env.jsonl.lines import JsonLines
from usersim_env.traces.file import TRACES, iter_traces, latest
from usersim_env.traces.trace import Trace


@dataclass(frozen=True)
class RolloutSettings:
    """What is run.

    Attributes:
        tasks: ids such as ``retail/test/17``; ``None`` is the env's whole split.
        seeds: one episode per task and seed.
        out: file of traces; episodes that it already holds are not run again.
        keywords: further keywords of `gym.make`.
        progress: show a progress bar (on standard error).
        on_error: what an exception of the agent or the user side does: ``record`` it as a failure of its episode, or
            ``raise`` it, which ends the rollout; finished episodes are on disk.
        retry_failed: run episodes again that ``out`` holds without a reward; the new trace replaces the old one for
            every reader of the file.
    """

    tasks: Sequence[str] | None = None
    seeds: Sequence[int] = (0,)
    out: str | os.PathLike[str] | None = None
    keywords: Mapping[str, Any] = field(default_factory=dict)
    progress: bool = True
    retry_failed: bool = False
    on_error: Literal["record", "raise"] = "record"

    def __post_init__(self) -> None:
        if isinstance(self.tasks, str):
            raise UsageError(f"tasks is a list of task ids such as ['retail/test/0'], got {self.tasks!r}.")
        if isinstance(self.seeds, str) or not isinstance(self.seeds, Iterable):
            raise UsageError(f"seeds is a list of seeds such as range(3), got {self.seeds!r}.")
        if self.on_error not in ("record", "raise"):
            raise UsageError(f"on_error is 'record' or 'raise', got {self.on_error!r}.")
        if not isinstance(self.keywords, Mapping):
            raise UsageError(f"keywords is a dict of further keywords of gym.make, got {self.keywords!r}.")


@dataclass(frozen=True)
class Plan:
    """The episodes of a rollout.

    Attributes:
        wanted: id → task and seed, in order.
        found: id → trace of those that the file holds already.
        others: ids of what else the file holds.
    """

    wanted: Mapping[str, tuple[str, int]]
    found: Mapping[str, Trace]
    others: frozenset[str] = frozenset()

    @property
    def todo(self) -> list[tuple[str, int]]:
        """Task and seed of the episodes that are left to run."""
        return [at for key, at in self.wanted.items() if key not in self.found]


@contextmanager
def sole_writer(settings: RolloutSettings) -> Iterator[None]:
    """Keeps other rollouts from the output file while this one runs; begins before the file is read.

    Raises:
        UsageError: another rollout is writing to it, or (`TraceError`) it holds something else.
    """
    check_settings(settings)
    if settings.out is None:
        yield
        return
    JsonLines(settings.out, TRACES).check()
    with claimed(settings.out, "rollout"):
        yield


@contextmanager
def opened(agent: Agent, env_id: str, settings: RolloutSettings) -> Iterator[tuple[TauEnv, Plan]]:
    """The env with the agent seated, and what there is to run; nothing runs and no file is made.

    Raises:
        UnknownName: no such task.
    """
    check_settings(settings)
    made = gym.make(env_id, **settings.keywords)
    try:
        env = made.unwrapped
        assert isinstance(env, TauEnv)
        env.agent_seat = seat_of(agent)
        tasks = env.task_ids if settings.tasks is None else settings.tasks
        wanted = {env.episode_id(task, seed): (task, seed) for task in tasks for seed in settings.seeds}
        yield env, _plan(settings, wanted)
    finally:
        made.close()


def check_settings(settings: object) -> None:
    """Raises a `UsageError` where they are none."""
    if not isinstance(settings, RolloutSettings):
        raise UsageError(f"settings is a RolloutSettings(tasks, seeds, out, keywords), got {type(settings).__name__}.")


def _plan(settings: RolloutSettings, wanted: Mapping[str, tuple[str, int]]) -> Plan:
    out = settings.out
    traces = latest(iter_traces(out)) if out is not None and Path(out).exists() else []
    others = frozenset(trace.id for trace in traces) - wanted.keys()
    _same_scoring(settings, (trace for trace in traces if trace.id in wanted))
    finished = (t for t in traces if t.ended_by != "cut" and not (settings.retry_failed and t.failure))
    return Plan(wanted, {trace.id: trace for trace in finished if trace.id in wanted}, others)


def _same_scoring(settings: RolloutSettings, traces: Iterable[Trace]) -> None:
    """Rewards of two scoring versions must not come into one result without a word."""
    for trace in traces:
        if trace.valid and trace.scoring != SCORING_VERSION:
            raise UsageError(
                f"{settings.out}: trace {trace.id} ({trace.task_id}) was scored by version "
                f"{trace.scoring or 'unknown'} of the rules, this is version {SCORING_VERSION}. Name another --out, or "
                f"compare the rewards with: usersim-env rescore {settings.out}"
            )


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
        if low > high:
            raise UsageError(f"--tasks {part.strip()}: the smaller number comes first: {high}-{low}.")
        if high >= len(ids):
            raise UsageError(f"--tasks {part.strip()}: {domain} {split} has the tasks 0 to {len(ids) - 1}.")
        chosen += ids[low : high + 1]
    return list(dict.fromkeys(chosen))
