"""`CostBudget`: so many dollars, then the episode is over."""

from __future__ import annotations

import math
from typing import Any, Literal

from usersim_env.conversation.notes import known_cost
from usersim_env.errors import UsageError, unknown
from usersim_env.feedback.values import Failure
from usersim_env.wrappers.base import AnyEnv, Reset, Step, TauWrapper, tau_env


class CostBudget(TauWrapper):
    """Ends an episode that has become too dear, and all of them when the money is gone.

    Description:
        Counts what the user side's language model costs, as its session reports it, and what the agent's costs, if
        `spend` is told. After a step that goes over a budget the episode ends as a failure of the seat that spent
        more, kind ``cost_budget``: truncated and *not scored*, since money says nothing about the agent.
        A model without a known price costs ``None``, never 0: by default that ends the episode as ``cost_unknown``.

    Action space:
        Unchanged.

    Observation space:
        Unchanged.

    Rewards:
        Unchanged; that of an episode over budget means nothing.

    Info:
        At such an end ``valid`` is false, ``failure`` says why, ``feedback`` is there; never a cost.

    Args:
        env: an env of this package.
        per_episode: US dollars that one episode may cost; ``None`` for no limit.
        total: US dollars for all episodes of this env together. When they are spent, `reset` raises `UsageError`.
        unknown_price: ``fail`` or ``ignore``.

    Raises:
        UsageError: no budget, or one that is not above 0.

    Example:
        >>> import gymnasium as gym
        >>> from usersim_env.wrappers import CostBudget
        >>> env = CostBudget(gym.make("TauMock-agenda-v0"), per_episode=0.10)
        >>> _ = env.reset(seed=0)
        >>> env.spend(0.25)  # what the agent's model has just cost
        >>> *_, truncated, info = env.step({"name": "respond", "arguments": {"content": "Hello!"}})
        >>> truncated, info["valid"], info["failure"].kind
        (True, False, 'cost_budget')
    """

    def __init__(
        self,
        env: AnyEnv,
        per_episode: float | None = None,
        total: float | None = None,
        unknown_price: Literal["fail", "ignore"] = "fail",
    ) -> None:
        for name, dollars in (("per_episode", per_episode), ("total", total)):
            if dollars is not None and not _dollars(dollars, above=0.0):
                raise UsageError(f"CostBudget: {name} is a number of US dollars above 0, got {dollars!r}.")
        if per_episode is None and total is None:
            raise UsageError("CostBudget needs per_episode=… or total=… in US dollars.")
        if unknown_price not in ("fail", "ignore"):
            raise unknown("setting of unknown_price", unknown_price, ("fail", "ignore"))
        super().__init__(env, per_episode=per_episode, total=total, unknown_price=unknown_price)
        self._env = tau_env(env, "CostBudget")
        self._per_episode = math.inf if per_episode is None else per_episode
        self._total = math.inf if total is None else total
        self._ignore = unknown_price == "ignore"
        self._agent, self._earlier, self._begun = 0.0, 0.0, False

    def spend(self, dollars: float) -> None:
        """Tells what the agent's side has just cost in this episode; reach it by ``env.get_wrapper_attr("spend")``."""
        if not _dollars(dollars):
            raise UsageError(f"spend takes US dollars, 0 or more, got {dollars!r}.")
        self._agent += dollars

    @property
    def spent(self) -> float:
        """US dollars of all episodes so far, with the running one; unknown prices left out."""
        return self._earlier + self._agent + (self._user() or 0.0)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        """Starts an episode; `UsageError` when the total is spent."""
        spent = self.spent
        if spent >= self._total:
            raise UsageError(f"The budget of ${self._total:g} is spent (${spent:.4f}). Make a new CostBudget to go on.")
        observation, info = self.env.reset(seed=seed, options=options)
        self._earlier, self._agent, self._begun = spent, 0.0, True
        return observation, info

    def step(self, action: Any) -> Step:
        """One action, after which the budgets are looked at."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        failure = None if terminated or truncated else self._over()
        if failure is not None:
            info, truncated = info | self._env.fail(failure), True
        return observation, float(reward), terminated, truncated, info

    def _user(self) -> float | None:
        """What the user side has cost in this episode; one that reports nothing has called no model."""
        return known_cost(self._env.trace().user.notes.get("cost", 0.0)) if self._begun else 0.0

    def _over(self) -> Failure | None:
        cost = self._user()
        if cost is None and not self._ignore:
            return Failure("user", "cost_unknown", "The price of the user side's model is unknown, so no budget holds.")
        user = cost or 0.0
        side = "agent" if self._agent > user else "user"
        for what, spent, budget in (
            ("This episode has", self._agent + user, self._per_episode),
            ("All episodes have", self._earlier + self._agent + user, self._total),
        ):
            if spent > budget:
                return Failure(side, "cost_budget", f"{what} cost ${spent:.4f}; the budget is ${budget:g}.")
        return None


def _dollars(value: Any, above: float = -1e-300) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and above < value < math.inf
