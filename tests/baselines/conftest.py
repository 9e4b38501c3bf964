"""One driver for all agents: an episode of a task through `TauEnv`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from usersim_env.agent import Agent
from usersim_env.domains import tau_bench
from usersim_env.env.tau_env import TauEnv
from usersim_env.errors import InstallError
from usersim_env.traces.trace import Trace
from usersim_env.users import User

Play: TypeAlias = Callable[..., Trace]


@pytest.fixture
def play() -> Play:
    """Plays one episode to its end and returns its trace."""
    envs: dict[str, TauEnv] = {}

    def run(agent: Agent, task_id: str, user: User, seed: int = 0) -> Trace:
        domain = task_id.split("/")[0]
        env = envs.setdefault(domain, TauEnv(domain, user))
        observation, info = env.reset(seed=seed, options={"task_id": task_id, "user": user})
        session = agent.begin(info, seed)
        over = False
        while not over:
            observation, _, terminated, truncated, _ = env.step(session.act(observation))
            over = terminated or truncated
        return env.trace()

    return run


@pytest.fixture(scope="session")
def tau() -> None:
    """Skips where τ-bench's tasks are not installed."""
    try:
        tau_bench.installed()
    except InstallError as error:
        pytest.skip(str(error))
