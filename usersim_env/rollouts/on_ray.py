"""Episodes on the workers of a Ray cluster; every trace comes back to the process that asked."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections import Counter, deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from usersim_env.agent import Agent
from usersim_env.env.threads import Threads
from usersim_env.errors import InstallError, UsageError, WorkerLost, told
from usersim_env.registration import load_plugin, plugin_of
from usersim_env.rollouts.plan import RolloutSettings, opened
from usersim_env.rollouts.playing import aplay
from usersim_env.traces.trace import Trace

AHEAD = 1
"""Episodes that a worker is given beyond those it plays, so that it never waits for the next one."""

Job: TypeAlias = tuple[str, int]
"""Task and seed of an episode."""

Sent: TypeAlias = tuple[Agent, str, RolloutSettings, str | None]
"""What a `Worker` is made from."""


@dataclass(frozen=True)
class RaySettings:
    """Where and how `rollout` runs on Ray.

    Attributes:
        address: of a running cluster, such as ``auto`` or ``10.0.0.1:6379``; ``None``: the one that this process is
            connected to, or that ``RAY_ADDRESS`` names; else one is started on this machine and stopped at the end.
        workers: processes, one CPU each; ``None``: as many as the cluster has CPUs.
        concurrency: episodes at once in each worker; more than 1 for seats that wait, such as models.
        retries: how often an episode is played again after its worker was lost.
    """

    address: str | None = None
    workers: int | None = None
    concurrency: int = 1
    retries: int = 3

    def __post_init__(self) -> None:
        for name, least in (("workers", 1), ("concurrency", 1), ("retries", 0)):
            value = getattr(self, name)
            if not (type(value) is int and value >= least) and not (name == "workers" and value is None):
                raise UsageError(f"{name} is a whole number of at least {least}, got {value!r}.")


def require_ray() -> None:
    """Does nothing where Ray is installed.

    Raises:
        InstallError: it is not; says what to type.
    """
    if importlib.util.find_spec("ray") is None:
        raise InstallError('backend="ray" needs Ray, which is not installed. Type: pip install "usersim_env[ray]"')


class Worker:
    """One process of the cluster: its env, and with it the domain, is made once and shared by its episodes.

    Args:
        job: who serves, the env's id, its keywords in `RolloutSettings`, and where a domain from outside is found.
    """

    def __init__(self, job: Sent) -> None:
        self._agent, env_id, settings, plugin = job
        if plugin is not None:
            load_plugin(plugin)
        self._opened = opened(self._agent, env_id, replace(settings, tasks=(), out=None))
        self._env = self._opened.__enter__()[0]
        self._threads = Threads()

    async def ready(self) -> None:
        """Returns once the worker has begun."""

    async def play(self, task_id: str, seed: int) -> Trace:
        """One episode."""
        return await aplay(self._agent, self._env.episode(task_id, seed), self._env.agent_seat, self._threads)


def run_on_ray(
    agent: Agent, env_id: str, settings: RolloutSettings, todo: Sequence[Job], on_ray: RaySettings
) -> Generator[Trace, None, None]:
    """Traces as they come; workers that are lost are replaced, and what they had not finished is played again.

    Raises:
        InstallError: Ray is missing.
        UsageError: no such cluster; agent, keywords or a domain from outside cannot be sent to another process;
            ``record=``.
        WorkerLost: the workers of some episode were lost at every try. All others are played first.
    """
    require_ray()
    import ray

    if settings.keywords.get("record") is not None:
        raise UsageError("record= is of loops of your own; here RolloutSettings(out=…) names the file.")
    if not todo:
        return
    sent = agent, env_id, settings, plugin_of(env_id)
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, on_ray)
    try:
        crew = _Crew(ray, _put(ray, sent), todo, on_ray)
        try:
            yield from crew.traces()
        finally:
            crew.dismiss()
    finally:
        if ours:
            ray.shutdown()


def _connect(ray: Any, on_ray: RaySettings) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # or it reports to its makers
    address = on_ray.address or os.environ.get("RAY_ADDRESS") or "local"
    here = {"num_cpus": on_ray.workers, "include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, logging_level=logging.WARNING, **here)
    except (ConnectionError, ValueError) as error:
        text = f"No Ray cluster at {address!r} ({error}). Start one with: ray start --head, or leave the address out."
        raise UsageError(text) from error
    except Exception as error:  # of no type of its own when the machine is too busy for Ray's own deadlines
        raise WorkerLost(f"Ray could not be started. {told(error)} Is the machine busy? Try again.") from error


def _put(ray: Any, job: Sent) -> Any:
    """What every worker needs, put where all of them can read it."""
    try:
        return ray.put(job)
    except Exception as error:
        text = f"The agent {job[0].name!r} or the keywords of the env cannot be sent to another process"
        raise UsageError(f"{text}: both must be picklable. {told(error)}") from error


class _Crew:
    """The workers, and who plays what."""

    def __init__(self, ray: Any, sent: Any, todo: Sequence[Job], on_ray: RaySettings) -> None:
        self._ray, self._settings, self._sent = ray, on_ray, sent
        self._actor = ray.remote(Worker).options(num_cpus=1, max_concurrency=on_ray.concurrency)
        self._left = deque(todo)
        self._losses: Counter[Job | None] = Counter()
        self._given_up: list[Job] = []
        self._workers: dict[int, Any] = {}
        self._hired = 0
        self._busy: Counter[int] = Counter()  # worker → episodes it was given
        self._alone: set[int] = set()
        self._promised: dict[Any, tuple[int, Job | None]] = {}  # Ray's reference → who owes what; None: to be ready

    def traces(self) -> Generator[Trace, None, None]:
        """Traces as they come."""
        # A machine that is lost takes finished traces with it that were not fetched yet.
        lost = (self._ray.exceptions.RayActorError, self._ray.exceptions.ObjectLostError)
        wanted = self._settings.workers or int(self._ray.cluster_resources().get("CPU", 1))
        for _ in range(min(wanted, len(self._left))):
            self._hire()
        while self._left or any(self._busy.values()):
            for ref in self._ray.wait(list(self._promised))[0]:
                who, job = self._promised.pop(ref)
                try:
                    came = self._ray.get(ref)
                except lost as error:
                    self._lose(who, job, error)
                    continue
                if job is None:
                    self._busy[who] = 0
                else:
                    self._busy[who] -= 1
                    self._alone.discard(who)
                    yield came
                self._feed(who)
        if self._given_up:
            names = ", ".join(f"{task_id} (seed {seed})" for task_id, seed in self._given_up)
            raise WorkerLost(
                f"Their workers were lost {self._settings.retries + 1} times: {names}. All other episodes are "
                "finished; run it again for these, with fewer workers if the machine ran out of memory."
            )

    def dismiss(self) -> None:
        """Ends all workers."""
        for worker in self._workers.values():
            self._ray.kill(worker)

    def _hire(self) -> None:
        worker = self._workers[self._hired] = self._actor.remote(self._sent)
        self._promised[worker.ready.remote()] = self._hired, None
        self._hired += 1

    def _feed(self, who: int) -> None:
        """Gives a worker that is ready as much as it can take; an episode's last try has a worker for itself.

        So that an episode that kills its worker takes no other one with it.
        """
        while self._left and who not in self._alone and self._busy[who] < self._settings.concurrency + AHEAD:
            last_try = self._losses[self._left[0]] == self._settings.retries > 0
            if last_try and self._busy[who]:
                return
            job = self._left.popleft()
            self._promised[self._workers[who].play.remote(*job)] = who, job
            self._busy[who] += 1
            if last_try:
                self._alone.add(who)

    def _lose(self, who: int, job: Job | None, error: Exception) -> None:
        """A worker did not keep a promise; a new one comes in its place, and the others take what it was to play."""
        if who in self._workers:
            self._ray.kill(self._workers.pop(who))
            del self._busy[who]
            self._hire()
        self._losses[job] += 1
        too_often = self._losses[job] > self._settings.retries
        if job is None and too_often:
            raise WorkerLost(
                f"{self._losses[None]} workers were lost before they could begin. {told(error)}"
            ) from error
        if job is not None:
            (self._given_up if too_often else self._left).append(job)
        for other in self._busy:
            self._feed(other)
