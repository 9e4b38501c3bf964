"""One episode by two policies, through either env."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import pytest

from usersim_env import Trace

Policies: TypeAlias = Mapping[str, Callable[[Any, Any], Any]]
Play: TypeAlias = Callable[..., Trace]


def play(env: Any, policies: Policies, seed: int | None = 0, **options: Any) -> Trace:
    """Through the AEC env; its trace."""
    env.reset(seed=seed, options=options)
    for name in env.agent_iter(5000):
        observation, _, terminated, truncated, info = env.last()
        env.step(None if terminated or truncated else policies[name](observation, info))
    trace: Trace = env.unwrapped.trace()
    return trace


def play_parallel(env: Any, policies: Policies, seed: int | None = 0, **options: Any) -> Trace:
    """Through the parallel env, where the seat that is not active acts at random."""
    observations, infos = env.reset(seed=seed, options=options)
    while env.agents:
        actions = {name: env.action_space(name).sample() for name in env.agents}
        active = infos[env.agents[0]]["active_agent"]
        actions[active] = policies[active](observations[active], infos[active])
        observations, _, _, _, infos = env.step(actions)
    trace: Trace = env.unwrapped.trace()
    return trace


@pytest.fixture(params=[play, play_parallel], ids=["aec", "parallel"])
def either(request: pytest.FixtureRequest) -> Play:
    """Both ways of playing."""
    played: Play = request.param
    return played


@pytest.fixture
def aec() -> Play:
    """Through the AEC env."""
    return play


@pytest.fixture
def timeless() -> Callable[[Trace], Trace]:
    """A trace without its times."""

    def strip(trace: Trace) -> Trace:
        return dataclasses.replace(trace, provenance=dataclasses.replace(trace.provenance, started="", seconds=0.0))

    return strip
