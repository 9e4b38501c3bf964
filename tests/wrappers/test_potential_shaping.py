"""`PotentialShaping` on small decision processes that are solved exactly: every policy is tried."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import pytest
from gymnasium import spaces

from usersim_env import ScriptedUser
from usersim_env.wrappers import PotentialShaping

STATES, HORIZON, GAMMA = 3, 4, 0.9
# (state, action) → (next state, reward, terminated). Action 1 in state 2 wins; action 0 in state 0 gives up at once.
MODEL: Mapping[tuple[int, int], tuple[int, float, bool]] = {
    (0, 0): (3, 0.1, True),
    (0, 1): (1, 0.0, False),
    (1, 0): (0, 0.05, False),
    (1, 1): (2, 0.0, False),
    (2, 0): (1, 0.02, False),
    (2, 1): (4, 1.0, True),
}
Phi = Callable[[Any], float]
Policy = tuple[int, ...]
MISLEADING: Phi = {0: 0.3, 1: -2.0, 2: 5.0, 3: 40.0, 4: -40.0}.__getitem__
"""Not 0 at the ends, where it would turn the best policy round if it were believed."""


class Chain(gym.Env[Any, Any]):
    """Three states, two ends, and a horizon that truncates."""

    observation_space = spaces.Discrete(5)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self._state, self._steps = 0, 0
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        self._state, reward, terminated = MODEL[self._state, action]
        self._steps += 1
        return self._state, reward, terminated, self._steps >= HORIZON and not terminated, {}


class Naive(gym.Wrapper[Any, Any, Any, Any]):
    """Shaping that believes the potential of an end: what the wrapper must not be."""

    def reset(self, **keywords: Any) -> Any:
        self._last, info = self.env.reset(**keywords)
        return self._last, info

    def step(self, action: Any) -> Any:
        state, reward, *rest = self.env.step(action)
        reward = float(reward) + GAMMA * MISLEADING(state) - MISLEADING(self._last)
        self._last = state
        return state, reward, *rest


def value(env: gym.Env[Any, Any], policy: Policy, bootstrap: Mapping[int, float] | None = None) -> float:
    """The discounted return of a policy over states and time; both are deterministic."""
    state, _ = env.reset()
    total, discount = 0.0, 1.0
    for step in range(HORIZON):
        state, reward, terminated, truncated, _ = env.step(policy[step * STATES + state])
        total += discount * float(reward)
        discount *= GAMMA
        if truncated and bootstrap is not None:
            total += discount * bootstrap[state]
        if terminated or truncated:
            break
    return total


POLICIES: list[Policy] = list(itertools.product((0, 1), repeat=STATES * HORIZON))
BOOTSTRAP = {0: 0.2, 1: 0.5, 2: 0.95}


def ranking(env: gym.Env[Any, Any], bootstrap: Mapping[int, float] | None = None) -> list[float]:
    return [value(env, policy, bootstrap) for policy in POLICIES]


def best(values: list[float]) -> set[int]:
    return {index for index, one in enumerate(values) if one > max(values) - 1e-9}


def test_every_policy_is_worth_the_same_but_for_one_constant() -> None:
    plain, shaped = ranking(Chain()), ranking(PotentialShaping(Chain(), MISLEADING, GAMMA))
    assert len(set(plain)) > 5, "the policies differ"
    assert {round(b - a, 9) for a, b in zip(plain, shaped, strict=True)} == {-MISLEADING(0)}
    assert best(shaped) == best(plain)


def test_the_naive_potential_of_an_end_would_change_the_best_policy() -> None:
    assert not best(ranking(Naive(Chain()))) & best(ranking(Chain()))


def test_a_learner_that_bootstraps_keeps_the_potential_at_a_truncation() -> None:
    plain = ranking(Chain(), BOOTSTRAP)
    shaped_values = {state: BOOTSTRAP[state] - MISLEADING(state) for state in BOOTSTRAP}
    shaped = ranking(PotentialShaping(Chain(), MISLEADING, GAMMA, truncation="bootstrap"), shaped_values)
    assert {round(b - a, 9) for a, b in zip(plain, shaped, strict=True)} == {-MISLEADING(0)}
    assert best(shaped) == best(plain)


def test_a_learner_that_bootstraps_is_misled_by_the_default() -> None:
    def low(state: int) -> float:
        return -5.0 if state == 2 else 0.0

    values = {state: BOOTSTRAP[state] - low(state) for state in BOOTSTRAP}
    best_plain = best(ranking(Chain(), BOOTSTRAP))
    assert best(ranking(PotentialShaping(Chain(), low, GAMMA, truncation="bootstrap"), values)) == best_plain
    assert best(ranking(PotentialShaping(Chain(), low, GAMMA), values)) != best_plain


def test_at_a_truncation_the_sum_needs_the_end() -> None:
    """A learner that adds up and is told `bootstrap` is misled, which is why `end` is the default."""
    kept = ranking(PotentialShaping(Chain(), MISLEADING, GAMMA, truncation="bootstrap"))
    assert best(kept) != best(ranking(Chain()))


def test_value_iteration_finds_the_same_greedy_actions() -> None:
    """The same by dynamic programming with time to go, from the rewards that the wrapped env pays."""

    def greedy(shaped: bool) -> dict[tuple[int, int], int]:
        values = dict.fromkeys(range(5), 0.0)
        actions = {}
        for left in range(1, HORIZON + 1):
            new = dict(values)
            for state in range(STATES):
                worth = {}
                for action in (0, 1):
                    after, reward, terminated = MODEL[state, action]
                    over = terminated or left == 1
                    if shaped:
                        reward += GAMMA * (0.0 if over else MISLEADING(after)) - MISLEADING(state)
                    worth[action] = reward + (0.0 if over else GAMMA * values[after])
                actions[left, state] = max(worth, key=worth.__getitem__)
                new[state] = max(worth.values())
            values = new
        return actions

    assert greedy(True) == greedy(False)
    found = greedy(False)
    policy = tuple(found[HORIZON - step, state] for step in range(HORIZON) for state in range(STATES))
    assert POLICIES.index(policy) in best(ranking(PotentialShaping(Chain(), MISLEADING, GAMMA)))


def test_the_sum_over_an_episode_is_minus_the_first_potential() -> None:
    user = ScriptedUser(("one", "two", "three"))
    env = PotentialShaping(gym.make("TauMock-v0", user=user), lambda o: float(len(o["content"])))
    for _ in range(2):  # nothing is left over from the episode before
        env.reset(seed=0)
        total, over = 0.0, False
        while not over:
            step = env.step({"name": "respond", "arguments": {"content": "Hm."}})
            total += step[4]["shaping"]
            over = step[2] or step[3]
        assert total == -len("one")


@pytest.mark.parametrize("got", [float("nan"), float("inf"), "many", None])
def test_a_potential_that_is_no_number(got: Any) -> None:
    with pytest.raises(ValueError, match="phi gives a finite number, got"):
        PotentialShaping(Chain(), lambda state: got).reset()


def test_wrong_settings() -> None:
    for gamma in (0, -1, 1.01, "1", True):
        with pytest.raises(ValueError, match="gamma is a discount above 0 and at most 1"):
            PotentialShaping(Chain(), float, gamma)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="phi is a function from an observation to a number, got float"):
        PotentialShaping(Chain(), 1.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Unknown setting of truncation 'stop'"):
        PotentialShaping(Chain(), float, truncation="stop")  # type: ignore[arg-type]
