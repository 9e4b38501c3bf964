"""`PotentialShaping`: denser rewards that leave the best policy the best."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from usersim_env.errors import UsageError, unknown
from usersim_env.wrappers.base import AnyEnv, Reset, Step, TauWrapper


class PotentialShaping(TauWrapper):
    """Adds ``gamma · phi(s') - phi(s)`` to every reward (Ng, Harada and Russell 1999).

    Description:
        Added up over an episode with the discount they cancel to ``-phi(s0)``, whatever the agent did, so the best
        policy of the wrapped reward stays the best. That holds only if the potential of an end is 0 (Grześ 2017,
        *Reward Shaping in Episodic Reinforcement Learning*), so it is, whatever ``phi`` says of the last observation.

        A truncation is an end for a learner that adds up what it got (``truncation="end"``, the default; the step
        limit here scores 0 and nothing comes after). A learner that bootstraps at a truncation from the value of the
        last observation goes on in its books, so the potential there is kept: ``truncation="bootstrap"``.

    Action space:
        Unchanged.

    Observation space:
        Unchanged. ``phi`` sees the observation at this place of the stack and must be a function of it alone: put
        `ChatHistory` below for a potential of the whole conversation.

    Rewards:
        Those of the env plus the shaping.

    Info:
        ``shaping``: what was added, at every step.

    Args:
        env: any Gymnasium env.
        phi: observation → potential, a finite number.
        gamma: the learner's discount, in (0, 1].
        truncation: ``end`` or ``bootstrap``.

    Raises:
        UsageError: ``gamma`` out of range, or a potential that is no finite number.

    Example:
        >>> import gymnasium as gym
        >>> from usersim_env.wrappers import ChatHistory, PotentialShaping
        >>> env = ChatHistory(gym.make("TauMock-agenda-v0"))
        >>> env = PotentialShaping(env, phi=lambda messages: sum(m["role"] == "tool" for m in messages) / 10, gamma=0.5)
        >>> _ = env.reset(seed=0)
        >>> env.step({"name": "find_ticket", "arguments": {"email": "ada@mock.example"}})[1]
        0.05
    """

    def __init__(
        self,
        env: AnyEnv,
        phi: Callable[[Any], float],
        gamma: float = 1.0,
        truncation: Literal["end", "bootstrap"] = "end",
    ) -> None:
        if not callable(phi):
            raise UsageError(f"phi is a function from an observation to a number, got {type(phi).__name__}.")
        if isinstance(gamma, bool) or not isinstance(gamma, int | float) or not 0 < gamma <= 1:
            raise UsageError(f"gamma is a discount above 0 and at most 1, got {gamma!r}.")
        if truncation not in ("end", "bootstrap"):
            raise unknown("setting of truncation", truncation, ("end", "bootstrap"))
        super().__init__(env, phi=phi, gamma=gamma, truncation=truncation)
        self._phi = phi
        self._gamma = float(gamma)
        self._keep = truncation == "bootstrap"
        self._before = 0.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        """Starts an episode from the potential of its first observation."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._before = self._potential(observation)
        return observation, info

    def step(self, action: Any) -> Step:
        """One action, with the shaping added."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        over = terminated or (truncated and not self._keep)
        after = 0.0 if over else self._potential(observation)
        shaping = self._gamma * after - self._before
        self._before = after
        return observation, float(reward) + shaping, terminated, truncated, info | {"shaping": shaping}

    def _potential(self, observation: Any) -> float:
        value = self._phi(observation)
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise UsageError(f"phi gives a finite number, got {value!r}.")
        return number
