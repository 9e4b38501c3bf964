"""One episode with a person at the terminal."""

from __future__ import annotations

import os
from typing import Any

import gymnasium as gym

from usersim_env.agent import Agent, seat_of
from usersim_env.env.tau_env import TauEnv
from usersim_env.errors import unknown
from usersim_env.registration import env_id
from usersim_env.rollouts import play
from usersim_env.traces.file import TraceWriter
from usersim_env.traces.trace import Trace
from usersim_env.users.base import User
from usersim_env.users.terminal import TerminalUser


def play_terminal(
    agent: Agent,
    domain: str,
    task_id: str | None = None,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    user: User | None = None,
) -> Trace:
    """Seats whoever is at the terminal as the user side of one episode.

    Args:
        agent: who serves.
        domain: ``retail``, ``airline``, ``mock`` or one of your own.
        task_id: the task; ``None`` takes one by the seed.
        seed: for the choice of the task and for the agent.
        out: a file that the trace is appended to.
        user: another user side, for tests.

    Raises:
        TraceError: ``out`` holds something else; nobody has played yet.
    """
    writer = TraceWriter(out) if out is not None else None
    keywords: dict[str, Any] = {"user": user if user is not None else TerminalUser()}
    made = gym.make(env_id(domain, "human"), **keywords)
    try:
        env = made.unwrapped
        assert isinstance(env, TauEnv)
        if task_id is None:
            task_id = env.task_ids[seed % len(env.task_ids)]
        elif not task_id.startswith(domain + "/"):
            raise unknown(f"task of {domain}", task_id, env.task_ids)
        env.agent_seat = seat_of(agent)
        trace = play(agent, env, task_id, seed)
    finally:
        made.close()
    if writer is not None:
        writer.write(trace)
    return trace


def closing_line(trace: Trace) -> str:
    """How it ended, in one line."""
    if trace.reward is None:
        reason = trace.failure.message if trace.failure is not None else trace.ended_by
        return f"Not scored: {reason}"
    passed = ", ".join(f"{name} {'passed' if ok else 'missed'}" for name, ok in trace.checks.items())
    return f"Thank you. Rule reward {trace.reward:.0f} ({passed}); ended by {trace.ended_by}."
