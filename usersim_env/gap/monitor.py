"""`GapMonitor`: watches the gap between two user sides while a policy is trained."""

from __future__ import annotations

import os
import warnings
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from usersim_env.agent import Agent, seat_of
from usersim_env.env.tau_env import TauEnv
from usersim_env.errors import UsageError
from usersim_env.gap.monitor_file import HistoryFile
from usersim_env.gap.monitor_history import History, Look, MonitorSettings, SideScores
from usersim_env.gap.monitor_plot import write_monitor_plot
from usersim_env.gap.monitor_tasks import MonitorWarning, cautions, check_failures, check_signal, checked_tasks
from usersim_env.gap.pairing import pair
from usersim_env.gap.sides import Side, describe_terms
from usersim_env.rollouts import play
from usersim_env.traces.trace import Seat, Trace

MakeEnv = Callable[[], "gym.Env[Any, Any]"]
"""Makes a `TauEnv`, wrapped or not; what the wrappers do to reward and action is not seen here."""


class GapMonitor:
    """Plays a policy against two user sides on the same held-out tasks, and tells when they drift apart.

    A policy that learns the simulator's habits gets better there and not with people: |gap| grows. Each look plays
    fresh episodes. Over a whole run of looks, an alarm while |gap| has not grown has a chance of at most 1 − ``level``.
    That takes for granted that the looks do not shape the policy, other than by ending its training at an alarm, and
    that the tasks' episodes are independent of each other; see `monitor_bound` and docs/measuring.md.

    ::

        import gymnasium as gym
        import usersim_env
        from usersim_env.baselines import Clerk
        from usersim_env.gap import GapMonitor, MonitorSettings

        monitor = GapMonitor(
            lambda: gym.make("TauRetail-agenda-v0", persona="cooperative"),
            lambda: gym.make("TauRetail-agenda-v0", persona="humanlike"),
            [f"retail/test/{i}" for i in range(20)],
            MonitorSettings(every=50, episodes=1),
        )
        for step in range(101):
            look = monitor.maybe_look(step, Clerk())  # the policy as it is now
            if look is not None:
                print(step, look.numbers()["gap"], look.alarm)
        monitor.plot("gap.png")

    Args:
        make_sim: makes the env with the simulated user side; called at every look.
        make_reference: makes the one with people, or with another user side to compare with.
        tasks: ids of held-out tasks; the same at every look.
        settings: how often, how many episodes, how sure.
        on_look: called after every look with flat numbers (``gap``, ``gap_low``, ``growth``, ``alarm``, …), for
            TensorBoard, W&B or anything else.
        file: keeps the history as JSON lines; a file that is there is continued, so that a restarted run goes on.

    Raises:
        UnknownName: no such task.
        UsageError: fewer than two tasks, a task twice, or ``file`` holds another run.

    Warns:
        MonitorWarning: tasks that are trained on, or may be; too few tasks for any alarm; terms that forbid training on
            what is to steer it.
    """

    def __init__(
        self,
        make_sim: MakeEnv,
        make_reference: MakeEnv,
        tasks: Sequence[str],
        settings: MonitorSettings | None = None,
        on_look: Callable[[dict[str, float]], object] | None = None,
        file: str | os.PathLike[str] | None = None,
    ) -> None:
        for name, maker in (("make_sim", make_sim), ("make_reference", make_reference)):
            if not callable(maker):
                raise UsageError(
                    f"{name} is a function that makes an env, got {type(maker).__name__}; for example "
                    'lambda: gym.make("TauRetail-agenda-v0").'
                )
        self._settings = settings if settings is not None else MonitorSettings()
        self._makers = make_sim, make_reference
        self._on_look = on_look
        fresh = History(checked_tasks(tasks), self._settings)
        for text in cautions(fresh):
            warnings.warn(text, MonitorWarning, stacklevel=2)
        self._file = HistoryFile(file) if file is not None else None
        self._history = self._file.resume(fresh) if self._file is not None else fresh
        self._terms_told = False

    @property
    def history(self) -> History:
        """All looks, with the settings."""
        return self._history

    @property
    def looks(self) -> tuple[Look, ...]:
        """All looks so far, oldest first."""
        return self._history.looks

    @property
    def grown(self) -> bool:
        """Whether any look so far showed that |gap| has grown since the first one."""
        return self._history.grown

    def maybe_look(self, step: int, agent: Agent) -> Look | None:
        """Looks if it is the first time, or ``every`` steps after the last look; else ``None``, at no cost.

        Args:
            step: training steps so far.
            agent: the policy as it is now.
        """
        if self.looks and step - self.looks[-1].step < self._settings.every:
            return None
        return self.look(step, agent)

    def look(self, step: int, agent: Agent) -> Look:
        """Plays all tasks on both sides now, whatever ``every`` says.

        Raises:
            UsageError: the step is not after the last one's; at the first look also: fewer than two tasks are scored on
                both sides, which leaves nothing to compare later looks with.

        Warns:
            ComparisonWarning: at the first look, if the sides differ in more than the user side.
            MonitorWarning: a later look had fewer than two tasks scored on both sides.
        """
        if self.looks and step <= self.looks[-1].step:
            raise UsageError(f"A look at step {step} cannot follow one at step {self.looks[-1].step}: count upwards.")
        seat_of(agent)  # before any episode: what comes may be no agent
        sim, other = (Side("sim", self._play(make, agent)) for make in self._makers)
        reference = Side("real" if all(trace.human for trace in other.traces) else "reference", other.traces)
        if not self.looks:
            pair(sim.traces, reference.traces)  # raises and warns
        self._check_terms(reference)
        zero = self._settings.agent_failures == "zero"
        scores = [SideScores.of(side, self._settings.signal, zero) for side in (sim, reference)]
        check_signal(scores, self._settings.signal, first=not self.looks)
        check_failures(step, scores)
        found = self._history.add(step, *scores)
        if self._file is not None:
            self._file.append(self._history, found)
        if self._on_look is not None:
            self._on_look(found.numbers())
        return found

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Writes both curves and the gap with its band as PNG, SVG or PDF; needs matplotlib."""
        write_monitor_plot(self._history, path)

    def to_json(self) -> str:
        """The history as JSON lines; `History.from_json` reads it back."""
        return self._history.to_json()

    def _play(self, make: MakeEnv, agent: Agent) -> tuple[Trace, ...]:
        made = make()
        try:
            env = made.unwrapped
            if not isinstance(env, TauEnv):
                raise UsageError(
                    f"An env factory of GapMonitor returned {type(env).__name__}; expected a TauEnv, for example "
                    'lambda: gym.make("TauRetail-agenda-v0").'
                )
            env.agent_seat = Seat("agent", agent.name, agent.describe(), agent.privileged)
            number = len(self.looks)
            episodes = range(self._settings.episodes_of(number))
            tasks = self._history.tasks
            return tuple(play(agent, env, t, _seed(self._settings.seed, number, e, t)) for t in tasks for e in episodes)
        finally:
            made.close()

    def _check_terms(self, reference: Side) -> None:
        forbidden = sorted({describe_terms(t.terms) for t in reference.traces if not t.terms.training})
        if forbidden and self._settings.steering and not self._terms_told:
            self._terms_told = True
            warnings.warn(
                f"steering=True, but the {reference.label} side may not be trained on ({'; '.join(forbidden)}). "
                "Ending training or choosing a checkpoint by it is a use for training: watch only, or use other data.",
                MonitorWarning,
                stacklevel=3,
            )


def _seed(seed: int, look: int, episode: int, task: str) -> int:
    """Another seed for every look, episode and task; the same on both sides.

    Tasks that shared a seed would share the user side's draws, and would not be independent.
    """
    return int(np.random.SeedSequence((seed, look, episode, zlib.crc32(task.encode()))).generate_state(1)[0])
