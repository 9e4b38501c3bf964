"""`StepPenalty`: every step costs a little."""

from __future__ import annotations

import math
from typing import Any

from usersim_env.errors import UsageError
from usersim_env.wrappers.base import OBJECTIVE, AnyEnv, Reset, Step, TauWrapper, objective_of


class StepPenalty(TauWrapper):
    """Takes a constant off every reward, so that shorter episodes are better.

    Description:
        This **changes the objective**: a long success may become worth less than a short failure. ``info["objective"]``
        says so at reset. For denser rewards that keep the best policy, see `PotentialShaping`.

    Action space:
        Unchanged.

    Observation space:
        Unchanged.

    Rewards:
        Those of the env minus ``penalty``.

    Info:
        ``objective`` at reset. ``info["valid"]`` and ``info["feedback"]`` are as they were.

    Args:
        env: any Gymnasium env. Inside `ParseToolCalls` or `ChatAction` every call costs, outside every text does.
        penalty: what a step costs; a finite number above 0.

    Raises:
        UsageError: a penalty of another kind.

    Example:
        >>> import gymnasium as gym
        >>> from usersim_env.wrappers import StepPenalty
        >>> env = StepPenalty(gym.make("TauMock-agenda-v0"), penalty=0.01)
        >>> env.reset(seed=0)[1]["objective"]
        'rule - 0.01 per step'
        >>> env.step({"name": "find_ticket", "arguments": {"email": "ada@mock.example"}})[1]
        -0.01
    """

    def __init__(self, env: AnyEnv, penalty: float = 0.01) -> None:
        if isinstance(penalty, bool) or not isinstance(penalty, int | float) or not 0 < penalty < math.inf:
            raise UsageError(f"penalty is a finite number above 0, got {penalty!r}.")
        super().__init__(env, penalty=penalty)
        self._penalty = float(penalty)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        """Starts an episode and says what the objective is."""
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, info | {OBJECTIVE: f"{objective_of(info)} - {self._penalty:g} per step"}

    def step(self, action: Any) -> Step:
        """One action, less the penalty."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, float(reward) - self._penalty, terminated, truncated, info
