"""`RecordTrace`: every episode into a file, with what the wrappers made of it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym

from usersim_env.errors import UsageError
from usersim_env.traces.file import TraceWriter
from usersim_env.traces.trace import Trace
from usersim_env.wrappers.base import OBJECTIVE, AnyEnv, Reset, Step, TauWrapper, objective_of, tau_env


class RecordTrace(TauWrapper):
    """Appends every episode to a file of traces; safe for many processes at once.

    Description:
        The traces are those of ``gym.make(…, record=…)``, and in the agent's ``notes`` is what this place of the stack
        saw: ``wrappers`` (inmost first), ``objective``, and ``return``, the sum of rewards (``None`` for an episode
        that is not valid here). An episode that is broken off, by `reset`, `close` or Gymnasium's ``TimeLimit``, is
        ``ended_by="cut"`` and not scored.

    Action space:
        Unchanged.

    Observation space:
        Unchanged.

    Rewards:
        Unchanged.

    Info:
        Unchanged.

    Args:
        env: an env of this package, made without ``record=`` (or every episode is written twice).
        path: the file; it is appended to.

    Example:
        >>> import gymnasium as gym, tempfile
        >>> from usersim_env import read_traces
        >>> from usersim_env.wrappers import RecordTrace, StepPenalty
        >>> path = tempfile.mkdtemp() + "/traces.jsonl"
        >>> env = RecordTrace(StepPenalty(gym.make("TauMock-agenda-v0", max_steps=1), penalty=0.5), path)
        >>> _ = env.reset(seed=0)
        >>> _ = env.step({"name": "respond", "arguments": {"content": "Hello!"}})
        >>> env.close()
        >>> read_traces(path)[0].agent.notes["return"]
        -0.5
    """

    def __init__(self, env: AnyEnv, path: str | os.PathLike[str]) -> None:
        super().__init__(env, path=path)
        self._env = tau_env(env, "RecordTrace")
        recorded = self._env.settings.record
        if recorded is not None and Path(recorded).absolute() == Path(path).absolute():
            raise UsageError(f"The env records into {path} already: leave out record=, or all is written there twice.")
        self._writer: TraceWriter | None = None
        self._path = path
        self._running = False
        self._return = 0.0
        self._objective = "rule"

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        """Starts an episode; one that was running is written as ``cut``."""
        if self._writer is None:  # not before it is needed: an env that is only made holds no file
            self._writer = TraceWriter(self._path)
        cut = self._trace(valid=False) if self._running else None
        observation, info = self.env.reset(seed=seed, options=options)
        if cut is not None:  # only now: a reset that was refused has not ended the episode
            self._write(cut)
        self._running, self._return, self._objective = True, 0.0, objective_of(info)
        return observation, info

    def step(self, action: Any) -> Step:
        """One action; the last of an episode writes its trace."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._return += float(reward)
        if (terminated or truncated) and self._running:
            self._running = False
            self._write(self._trace(valid="feedback" in info and info.get("valid") is True))
        return observation, float(reward), terminated, truncated, info

    def close(self) -> None:
        """Writes an episode that is still running as ``cut`` and closes the file."""
        if self._running:
            self._running = False
            self._write(self._trace(valid=False))
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        super().close()

    def _trace(self, valid: bool) -> Trace:
        trace = self._env.trace()
        below: Any = self.env
        names = []
        while isinstance(below, gym.Wrapper):
            names.append(type(below).__name__)
            below = below.env
        seen = {"wrappers": names[::-1], OBJECTIVE: self._objective, "return": self._return if valid else None}
        return replace(trace, agent=replace(trace.agent, notes=trace.agent.notes | seen))

    def _write(self, trace: Trace) -> None:
        assert self._writer is not None  # opened by reset
        self._writer.write(trace)
