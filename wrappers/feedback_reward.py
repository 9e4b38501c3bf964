"""`FeedbackReward`: the reward at the end is a weighted sum of the feedback's signals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import gymnasium as gym

from usersim_env.errors import UsageError, unknown
from usersim_env.feedback.survey import QUESTIONS
from usersim_env.feedback.values import Failure, Feedback
from usersim_env.wrappers.base import OBJECTIVE, AnyEnv, Reset, Step, TauWrapper, objective_of, tau_env

SIGNALS = ("rule", *(f"survey.{question.field}" for question in QUESTIONS), "survey.mean")
"""The signals that there are; which of them an episode has is in ``feedback.signals``."""


class FeedbackReward(TauWrapper):
    """Trains on what the user side thought, beside or instead of the rule reward.

    Description:
        The rule reward inside the last step's reward is taken out, and ``Σ weight · signal`` put in its place. This
        **changes the objective**: what is learnt is no longer τ-bench's task. ``info["objective"]`` says so at reset.

    Action space:
        Unchanged.

    Observation space:
        Unchanged.

    Rewards:
        ``Σ weight · signal`` at the end; on other steps unchanged, so step penalties and shaping below are kept.
        Gymnasium's wrappers that scale or clip rewards belong outside.

    Info:
        ``objective`` at reset. At the end of an episode without the signals it needs: ``valid`` is false, and
        ``missing_signals`` and ``failure`` name them. An episode that is not scored stays so whatever the weights: what
        `step` returns then means nothing, and no missing signal ever counts as 0.

    Args:
        env: an env with feedback.
        weights: signal → weight; the names are in `SIGNALS`.
        missing: what a missing signal does: ``invalid`` (the episode does not count) or ``renormalise`` (the others are
            scaled up to the same sum of absolute weights; invalid if none is there).

    Raises:
        UnknownName: no such signal.
        UsageError: no weights, a weight that is no finite number, or two `FeedbackReward` in one stack.

    Example:
        >>> import gymnasium as gym
        >>> from usersim_env import ScriptedUser
        >>> from usersim_env.wrappers import FeedbackReward
        >>> user = ScriptedUser(("Hello.",), answers={"overall_score": "4 (Good)"})
        >>> env = gym.make("TauMock-v0", user=user, tasks=["mock/test/0"])
        >>> env = FeedbackReward(env, {"rule": 1.0, "survey.overall_score": 0.5})
        >>> env.reset(seed=0)[1]["objective"]
        '(1*rule + 0.5*survey.overall_score)'
        >>> env.step({"name": "respond", "arguments": {"content": "Bye."}})[1]
        0.375
    """

    def __init__(
        self, env: AnyEnv, weights: Mapping[str, float], missing: Literal["invalid", "renormalise"] = "invalid"
    ) -> None:
        weights = _checked(weights)
        if missing not in ("invalid", "renormalise"):
            raise unknown("setting of missing", missing, ("invalid", "renormalise"))
        asked = [name for name in weights if name.startswith("survey.")]
        if asked and not tau_env(env, "FeedbackReward").settings.survey:
            raise UsageError(f"The weights name {asked[0]}, but the env asks for no survey (survey=False).")
        below: Any = env
        while isinstance(below, gym.Wrapper):
            if isinstance(below, FeedbackReward):
                raise UsageError("The stack has a FeedbackReward already: give one of them all the weights.")
            below = below.env
        super().__init__(env, weights=weights, missing=missing)
        self._weights = weights
        self._renormalise = missing == "renormalise"

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        """Starts an episode and says what the objective is."""
        observation, info = self.env.reset(seed=seed, options=options)
        mix = " + ".join(f"{weight:g}*{name}" for name, weight in self._weights.items())
        return observation, info | {OBJECTIVE: objective_of(info).replace("rule", f"({mix})", 1)}

    def step(self, action: Any) -> Step:
        """One action; the last step has the mixed reward."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        value = float(reward)
        if terminated or truncated:
            value, info = self._ended(value, info)
        return observation, value, terminated, truncated, info

    def _ended(self, reward: float, info: dict[str, Any]) -> tuple[float, dict[str, Any]]:
        feedback = info.get("feedback")
        if not isinstance(feedback, Feedback) or feedback.reward is None:  # cut from outside, or failed
            return reward, info | {"valid": False}
        there = {name: weight for name, weight in self._weights.items() if name in feedback.signals}
        reward -= feedback.reward
        whole, part = (math.fsum(map(abs, weights.values())) for weights in (self._weights, there))
        if len(there) < len(self._weights) and not (self._renormalise and part):
            names = ", ".join(name for name in self._weights if name not in there)
            failure = Failure("user", "missing_signals", f"The feedback lacks {names}.")
            return reward, info | {"valid": False, "missing_signals": names, "failure": failure}
        mix = math.fsum(weight * feedback.signals[name] for name, weight in there.items())
        return reward + mix * (whole / part), info


def _checked(weights: Mapping[str, float]) -> dict[str, float]:
    if not isinstance(weights, Mapping) or not weights:
        raise UsageError(f"weights is signal → weight such as {{'rule': 1.0}}, got {weights!r}.")
    for name, weight in weights.items():
        if name not in SIGNALS:
            raise unknown("signal", name, SIGNALS)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight) or not weight:
            raise UsageError(f"The weight of {name} is a finite number other than 0, got {weight!r}.")
    return {name: float(weight) for name, weight in weights.items()}
