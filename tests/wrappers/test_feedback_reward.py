"""`FeedbackReward` and `StepPenalty`: sums, and episodes that must not become a number."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest
from gymnasium.wrappers import TimeLimit

from usersim_env import Failure, ScriptedUser, Stop
from usersim_env.feedback.survey import QUESTIONS
from usersim_env.wrappers import FeedbackReward, PotentialShaping, StepPenalty
from usersim_env.wrappers.feedback_reward import SIGNALS

BYE = {"name": "respond", "arguments": {"content": "Done."}}
MOVE = {"name": "move_ticket", "arguments": {"ticket_id": "T-1001", "day": "tuesday"}}
GOOD = {"overall_score": "4 (Good)"}
Env = gym.Env[Any, Any]


def made(answers: Any = None, **keywords: Any) -> Env:
    user = ScriptedUser(("Tuesday, please.", Stop("Bye.")), answers=answers)
    return gym.make("TauMock-v0", user=user, split="train", tasks=["mock/train/0"], **keywords)


def ended(env: Env, solve: bool = True) -> tuple[float, dict[str, Any]]:
    env.reset(seed=0)
    if solve:
        assert float(env.step(MOVE)[1]) <= 0
    _, reward, *_, info = env.step(BYE)
    return float(reward), info


@pytest.mark.parametrize(("solve", "expected"), [(True, 1.0 + 0.5 * 0.75), (False, 0.5 * 0.75)])
def test_the_weighted_sum(solve: bool, expected: float) -> None:
    reward, info = ended(FeedbackReward(made(GOOD), {"rule": 1.0, "survey.overall_score": 0.5}), solve)
    assert reward == pytest.approx(expected)
    assert info["valid"] and info["feedback"].reward == float(solve), "the feedback itself is left as it is"


def test_without_the_rule_reward() -> None:
    assert ended(FeedbackReward(made(GOOD), {"survey.mean": -2.0}))[0] == pytest.approx(-1.5)


def test_a_missing_signal_makes_the_episode_invalid() -> None:
    weights = {"survey.reuse": 1.0, "rule": 1.0, "survey.efficiency": 0.1}
    reward, info = ended(FeedbackReward(made(GOOD), weights))
    assert info["valid"] is False
    assert info["missing_signals"] == "survey.reuse, survey.efficiency"
    assert info["failure"] == Failure("user", "missing_signals", "The feedback lacks survey.reuse, survey.efficiency.")
    assert reward == 0.0, "whatever is returned then is no part of the mix"


def test_a_missing_signal_renormalises_if_told_to() -> None:
    weights = {"rule": 1.0, "survey.overall_score": 1.0, "survey.reuse": 2.0}
    reward, info = ended(FeedbackReward(made(GOOD), weights, missing="renormalise"))
    assert reward == pytest.approx((1.0 + 0.75) * 4 / 2)
    assert info["valid"] is True and "missing_signals" not in info


def test_renormalising_nothing_is_invalid() -> None:
    reward, info = ended(FeedbackReward(made(None), {"survey.reuse": 2.0}, missing="renormalise"))
    assert (reward, info["valid"], info["missing_signals"]) == (0.0, False, "survey.reuse")


@pytest.mark.parametrize("missing", ["invalid", "renormalise"])
def test_a_failed_episode_stays_invalid(missing: Any) -> None:
    user = ScriptedUser(("hi", ConnectionError("gone")), answers=GOOD)
    env = FeedbackReward(gym.make("TauMock-v0", user=user), {"survey.mean": 1.0}, missing)
    reward, info = ended(env, solve=False)
    assert info["valid"] is False and info["failure"].kind == "error" and reward == 0.0


def test_cut_from_outside_is_invalid_not_zero() -> None:
    env = FeedbackReward(TimeLimit(made(GOOD), 1), {"rule": 1.0})
    env.reset(seed=0)
    *_, truncated, info = env.step(MOVE)
    assert truncated and info["valid"] is False and "feedback" not in info


def test_it_says_that_the_objective_is_another() -> None:
    assert "objective" not in made().reset(seed=0)[1]
    inside = FeedbackReward(StepPenalty(made()), {"rule": 2.0, "survey.mean": -0.5})
    outside = StepPenalty(FeedbackReward(made(), {"rule": 2.0, "survey.mean": -0.5}))
    said = {env.reset(seed=0)[1]["objective"] for env in (inside, outside)}
    assert said == {"(2*rule + -0.5*survey.mean) - 0.01 per step"}


def test_penalties_and_shaping_are_kept_in_any_order() -> None:
    weights = {"rule": 1.0, "survey.mean": 1.0}

    def total(env: Env) -> float:
        env.reset(seed=0)
        return float(env.step(MOVE)[1]) + float(env.step(BYE)[1])

    def phi(observation: Any) -> float:
        return float(len(observation["content"]))

    first = total(StepPenalty(PotentialShaping(FeedbackReward(made(GOOD), weights), phi), 0.1))
    last = total(FeedbackReward(PotentialShaping(StepPenalty(made(GOOD), 0.1), phi), weights))
    assert first == pytest.approx(1.75 - 0.2 - len("Tuesday, please."))
    assert last == pytest.approx(first)


def test_every_signal_has_a_name_here() -> None:
    answers = {question.field: next(iter(question.answers)) for question in QUESTIONS}
    assert set(ended(made(answers))[1]["feedback"].signals) == set(SIGNALS)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, "weights is signal → weight"),
        ({"rulee": 1.0}, "Unknown signal 'rulee'. Did you mean 'rule'"),
        ({"rule": 0.0}, "finite number other than 0, got 0.0"),
        ({"rule": float("nan")}, "finite number other than 0, got nan"),
        ({"rule": True}, "finite number other than 0, got True"),
        ({"rule": "1"}, "finite number other than 0, got '1'"),
    ],
)
def test_wrong_weights(weights: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeedbackReward(made(), weights)


def test_wrong_settings() -> None:
    with pytest.raises(ValueError, match="Unknown setting of missing 'zero'"):
        FeedbackReward(made(), {"rule": 1.0}, missing="zero")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="give one of them all the weights"):
        FeedbackReward(StepPenalty(FeedbackReward(made(), {"rule": 1.0})), {"rule": 1.0})
    for penalty in (0, -1.0, float("inf"), True, "1"):
        with pytest.raises(ValueError, match="penalty is a finite number above 0"):
            StepPenalty(made(), penalty)  # type: ignore[arg-type]
