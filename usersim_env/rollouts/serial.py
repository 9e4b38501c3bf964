"""`rollout`: an agent on every task and seed, one after the other, or on the workers of a Ray cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from usersim_env.agent import Agent
from usersim_env.env.raised import let_through
from usersim_env.env.tau_env import TauEnv
from usersim_env.errors import UsageError, unknown
from usersim_env.rollouts.on_ray import RaySettings, run_on_ray
from usersim_env.rollouts.plan import Plan, RolloutSettings, check_settings, opened, sole_writer
from usersim_env.rollouts.playing import play
from usersim_env.rollouts.progress import ProgressBar
from usersim_env.rollouts.result import RolloutResult
from usersim_env.traces.file import TraceWriter
from usersim_env.traces.trace import Trace

BACKENDS = ("serial", "ray")


def rollout(
    agent: Agent, env_id: str, settings: RolloutSettings | None = None, backend: str | RaySettings = "serial"
) -> RolloutResult:
    """Runs one agent on every task and seed. Finished episodes are on disk as soon as they are finished.

    An exception of the agent ends its episode as failed (side ``agent``), not as 0, and the next one begins.

    Args:
        agent: who serves.
        env_id: such as ``TauRetail-agenda-v0``.
        settings: tasks, seeds, file.
        backend: ``serial``; or ``ray`` (or its `RaySettings`): on all cores of this machine or of a cluster, with the
            same traces.

    Raises:
        UnknownName: no such task, or backend; checked before the first episode.
        UsageError: another rollout is writing to the same file, or the file holds something else; so is this.
        InstallError: Ray is missing.
        WorkerLost: workers were lost too often; finished episodes are on disk.
    """
    settings = settings if settings is not None else RolloutSettings()
    if not isinstance(backend, RaySettings) and backend not in BACKENDS:
        raise unknown("backend", backend, BACKENDS)
    check_settings(settings)
    raising = settings.on_error == "raise"
    if raising and backend != "serial":
        raise UsageError(
            "on_error='raise' goes with the serial backend: an exception of a worker is not that of a seat."
        )
    with (
        let_through() if raising else contextlib.nullcontext(),
        sole_writer(settings),
        opened(agent, env_id, settings) as (env, plan),
    ):
        found = dict(plan.found)
        bar = ProgressBar(len(plan.wanted), agent.name, plan.found.values(), settings.progress)
        with bar, contextlib.closing(_finished(agent, env_id, settings, backend, (env, plan))) as traces:
            for trace in traces:
                found[trace.id] = trace
                bar.add(trace)
    return RolloutResult(tuple(found[key] for key in plan.wanted), len(plan.found), len(plan.others))


def _finished(
    agent: Agent, env_id: str, settings: RolloutSettings, backend: str | RaySettings, at: tuple[TauEnv, Plan]
) -> Generator[Trace, None, None]:
    """Traces as they come, each of them on disk."""
    env, plan = at
    if backend == "serial":
        traces = (play(agent, env, task_id, seed) for task_id, seed in plan.todo)
    else:
        on_ray = backend if isinstance(backend, RaySettings) else RaySettings()
        traces = run_on_ray(agent, env_id, settings, plan.todo, on_ray)
    with contextlib.ExitStack() as stack:
        stack.callback(traces.close)
        writer = stack.enter_context(TraceWriter(settings.out)) if settings.out is not None else None
        for trace in traces:
            if writer is not None:
                writer.write(trace)
            yield trace
