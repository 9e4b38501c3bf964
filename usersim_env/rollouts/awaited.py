"""Hundreds of episodes at once in one process: on one event loop, without a thread for each."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from usersim_env.agent import Agent
from usersim_env.env.raised import LET_THROUGH
from usersim_env.env.tau_env import TauEnv
from usersim_env.env.threads import Threads
from usersim_env.errors import UsageError, UsersimError, unknown
from usersim_env.registration import env_parts
from usersim_env.rollouts.plan import RolloutSettings, opened, sole_writer
from usersim_env.rollouts.playing import aplay
from usersim_env.rollouts.progress import ProgressBar
from usersim_env.rollouts.result import RolloutResult
from usersim_env.traces.file import TraceWriter
from usersim_env.traces.trace import Trace

Came: TypeAlias = "asyncio.Queue[Trace | BaseException]"


async def rollout_async(
    agent: Agent, env_id: str | Sequence[str], settings: RolloutSettings | None = None, concurrency: int = 256
) -> RolloutResult:
    """`rollout` with many episodes at once: the same traces in the same order.

    What can be awaited is awaited: an agent's ``aact``, a user side's ``areply``. Seats that say ``blocking = True``
    and have no such twin wait in at most 32 threads. Everything else is called on the loop, one after the other.
    When it is cancelled, no task stays behind, every session is closed, and what has finished is on disk.

    Args:
        agent: who serves, in every episode.
        env_id: such as ``TauRetail-agenda-v0``; or several ids, which share seeds and keywords.
        settings: tasks, seeds, file.
        concurrency: episodes at once; `Model.max_parallel` and `Model.rpm` say how many calls an address gets.

    Raises:
        UnknownName: no such task; checked before the first episode.
        UsageError: a setting that does not fit; another rollout is writing to the file, or it holds something else.
    """
    settings = settings if settings is not None else RolloutSettings()
    with _opened(agent, env_id, settings, concurrency) as run:
        found = dict(run.found)
        async with contextlib.aclosing(_finished(agent, run, settings, concurrency)) as traces:
            async for trace in traces:
                found[trace.id] = trace
    return RolloutResult(tuple(found[key] for key in run.wanted), len(run.found), len(run.others))


async def rollout_stream(
    agent: Agent,
    env_id: str | Sequence[str],
    settings: RolloutSettings | None = None,
    concurrency: int = 256,
    ordered: bool = False,
) -> AsyncGenerator[Trace, None]:
    """The traces of `rollout_async` one by one, those on disk first.

    To leave it before its end, close it, or the episodes in flight end when Python finds the time::

        async with contextlib.aclosing(rollout_stream(agent, "TauRetail-agenda-v0")) as traces:
            async for trace in traces: ...

    Args:
        agent: as the following, of `rollout_async`.
        env_id: one id or several.
        settings: tasks, seeds, file.
        concurrency: episodes at once.
        ordered: in the order of tasks and seeds, and not as they finish.

    Raises:
        UnknownName, UsageError: as `rollout_async`, when the first trace is asked for.
    """
    settings = settings if settings is not None else RolloutSettings()
    with _opened(agent, env_id, settings, concurrency) as run:
        early = dict(run.found)
        order = [key for key in run.wanted if ordered or key in early]
        async with contextlib.aclosing(_finished(agent, run, settings, concurrency)) as traces:
            for key in order:
                while key not in early:
                    trace = await anext(traces)
                    early[trace.id] = trace
                yield early.pop(key)
            async for trace in traces:
                yield trace


@dataclass(frozen=True)
class _Run:
    """The episodes of one or more envs: ids in order, those on disk, and env, task and seed of those to run."""

    wanted: tuple[str, ...]
    found: Mapping[str, Trace]
    others: frozenset[str]
    todo: tuple[tuple[TauEnv, str, int], ...]


@contextlib.contextmanager
def _opened(agent: Agent, env_id: str | Sequence[str], settings: RolloutSettings, concurrency: int) -> Iterator[_Run]:
    if type(concurrency) is not int or concurrency < 1:
        raise UsageError(f"concurrency is a whole number of at least 1, got {concurrency!r}.")
    if settings.keywords.get("record") is not None:
        raise UsageError("record= is of loops of your own; here RolloutSettings(out=…) names the file.")
    ids = [env_id] if isinstance(env_id, str) else list(env_id)
    with contextlib.ExitStack() as stack:
        stack.enter_context(sole_writer(settings))
        wanted: dict[str, None] = {}
        found: dict[str, Trace] = {}
        others: frozenset[str] = frozenset()
        todo: list[tuple[TauEnv, str, int]] = []
        for name, own in zip(ids, _shared_out(settings, ids), strict=True):
            env, plan = stack.enter_context(opened(agent, name, own))
            todo += [(env, *plan.wanted[key]) for key in plan.wanted if key not in plan.found and key not in wanted]
            wanted |= dict.fromkeys(plan.wanted)
            found |= plan.found
            others |= plan.others
        yield _Run(tuple(wanted), found, others - wanted.keys(), tuple(todo))


def _shared_out(settings: RolloutSettings, ids: Sequence[str]) -> list[RolloutSettings]:
    """The settings of each env: where there are several, each gets the tasks of its domain."""
    if settings.tasks is None or len(ids) == 1:
        return [settings] * len(ids)
    domains = [env_parts(name)[0] for name in ids]
    for task in settings.tasks:
        if task.split("/")[0] not in domains:
            raise unknown("task", task, [f"{domain}/test/0" for domain in domains])
    return [
        dataclasses.replace(settings, tasks=[task for task in settings.tasks if task.split("/")[0] == domain])
        for domain in domains
    ]


async def _finished(
    agent: Agent, run: _Run, settings: RolloutSettings, concurrency: int
) -> AsyncGenerator[Trace, None]:
    """Traces as they finish, each of them on disk."""
    came: Came = asyncio.Queue()
    jobs = iter(run.todo)
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(ProgressBar(len(run.wanted), agent.name, run.found.values(), settings.progress))
        writer = stack.enter_context(TraceWriter(settings.out)) if settings.out is not None else None
        threads = Threads()
        workers = [
            asyncio.create_task(_work(agent, jobs, writer, threads, came, settings.on_error == "raise"))
            for _ in range(min(concurrency, len(run.todo)))
        ]
        try:
            for _ in run.todo:
                trace = await came.get()
                if isinstance(trace, BaseException):
                    raise trace
                bar.add(trace)
                yield trace
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)


async def _work(
    agent: Agent,
    jobs: Iterator[tuple[TauEnv, str, int]],
    writer: TraceWriter | None,
    threads: Threads,
    came: Came,
    raising: bool,
) -> None:
    """Plays one episode after the other; its own end by an error is put where the traces go."""
    LET_THROUGH.set(raising)  # of this task alone
    try:
        for env, task_id, seed in jobs:
            trace = await aplay(agent, env.episode(task_id, seed), env.agent_seat, threads)
            if writer is not None:
                writer.write(trace)
            came.put_nowait(trace)
    except asyncio.CancelledError:
        # By us, and then nobody reads this; or a seat let a cancellation of its own escape.
        came.put_nowait(UsersimError("An episode was cancelled from inside: a seat raised asyncio.CancelledError."))
        raise
    except BaseException as error:
        came.put_nowait(error)
        raise
