"""Gymnasium's `TimeLimit` around an env of this package: it cuts an episode off before its end.

The env has a limit of its own, ``max_steps``, at which an episode ends: it is scored, and there is feedback. A
`TimeLimit` only stops asking.
"""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
from gymnasium.utils import RecordConstructorArgs
from gymnasium.wrappers import TimeLimit


def guarded(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """The env as it is, or where a `TimeLimit` is in it, an `UnscoredCut` around it. Every id is registered with this.

    Warns:
        UserWarning: there is a `TimeLimit`; what to say instead.
    """
    inner = env
    while isinstance(inner, gym.Wrapper):
        if isinstance(inner, TimeLimit):
            warnings.warn(
                "max_episode_steps cuts an episode off without a score and without feedback. Say max_steps=… instead: "
                "there an episode ends as the rules have it.",
                stacklevel=3,
            )
            return UnscoredCut(env)
        inner = inner.env
    return env


class UnscoredCut(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Says of an episode that a `TimeLimit` has cut off that it is not valid."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """A step; at a truncation without feedback ``info["valid"]`` is false."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        if truncated and not terminated and "feedback" not in info:
            info = info | {"valid": False}
        return observation, reward, terminated, truncated, info
