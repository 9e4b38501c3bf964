"""The bound of the monitor: false alarms over whole runs of looks, and what it sees."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from usersim_env.gap.bootstrap import student_quantile
from usersim_env.gap.monitor_bound import band, fewest_tasks, grown, growth, share
from usersim_env.gap.monitor_history import MonitorSettings

LOOKS = 20
Array = NDArray[np.float64]
Success = Callable[[Array, float], tuple[Array, Array]]
"""Difficulty per task in [0, 1] and progress in [0, 1] → chances of success, simulated and real."""


def flat(x: Array, progress: float) -> tuple[Array, Array]:
    return x, x


def constant(x: Array, progress: float) -> tuple[Array, Array]:
    return 0.25 + 0.75 * x, 0.75 * x


def learning(x: Array, progress: float) -> tuple[Array, Array]:
    """Better on both sides, up to nearly always right, with the gap of every task where it was."""
    better = 0.3 * x + 0.55 * progress
    return better + 0.12, better


def moving(x: Array, progress: float) -> tuple[Array, Array]:
    """Every task's gap changes, a tenth of them a lot and the other way; the mean stays −0.2."""
    seldom = x < 0.1
    real = np.where(seldom, 0.05 + 0.9 * progress, 0.65 - 0.1 * progress)
    return np.where(seldom, 0.25, 0.85), real


def crossing(x: Array, progress: float) -> tuple[Array, Array]:
    """A gap of −0.3 that shrinks, crosses 0, and ends at 0.3: as large as at the start, never larger."""
    shift = 0.3 * (1 - 2 * progress)
    return 0.3 + 0.4 * x + shift / 2, 0.3 + 0.4 * x - shift / 2


def rare(x: Array, progress: float) -> tuple[Array, Array]:
    """Almost every task is decided beforehand."""
    return np.where(x < 0.15, 0.5, 0.98), np.where(x < 0.15, 0.5, 0.98)


def growing(x: Array, progress: float) -> tuple[Array, Array]:
    """From no gap to −0.3."""
    return 0.3 + 0.4 * x + 0.15 * progress, 0.3 + 0.4 * x - 0.15 * progress


def widening(x: Array, progress: float) -> tuple[Array, Array]:
    """From −0.1 to −0.4."""
    return 0.3 + 0.4 * x + 0.05 + 0.15 * progress, 0.3 + 0.4 * x - 0.05 - 0.15 * progress


NULLS = [flat, constant, learning, moving, crossing, rare]


@dataclass(frozen=True)
class Study:
    """Runs of a monitor on made-up policies, with its own rule.

    Attributes:
        sampled: draw the tasks anew in every run; otherwise they are the same, evenly spread.
    """

    success: Success
    tasks: int
    episodes: int = 2
    sampled: bool = False

    def alarm(self, seed: int) -> bool:
        """One run: the start and 20 more looks at the same tasks, fresh episodes each time."""
        generator = np.random.default_rng((seed, self.tasks, self.episodes))
        settings = MonitorSettings(episodes=self.episodes, looks=LOOKS)
        difficulty = generator.random(self.tasks) if self.sampled else (np.arange(self.tasks) + 0.5) / self.tasks
        start: Array | None = None
        for look in range(LOOKS + 1):
            n = settings.episodes_of(look)
            chances = self.success(difficulty, look / LOOKS)
            sim, real = (generator.binomial(n, np.clip(p, 0, 1)) / n for p in chances)
            if start is None:
                start = real - sim
            elif grown(start, real - sim, settings.error(look)):
                return True
        return False

    def rate(self, runs: int) -> float:
        return sum(map(self.alarm, range(runs))) / runs


@pytest.mark.parametrize("success", NULLS)
def test_false_alarms_are_rare(success: Success) -> None:
    assert Study(success, tasks=50).rate(100) <= 0.05


@pytest.mark.parametrize("success", [growing, widening])
def test_a_growing_gap_is_seen(success: Success) -> None:
    assert Study(success, tasks=50).rate(40) >= 0.75


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [20, 50, 110])
@pytest.mark.parametrize("success", NULLS)
def test_false_alarms_over_2000_runs(success: Success, tasks: int) -> None:
    rates = {episodes: Study(success, tasks, episodes).rate(2000) for episodes in (2, 8)}
    print(f"{success.__name__}, {tasks} tasks: false alarms in 2,000 runs of {LOOKS} looks, by episodes: {rates}")
    assert max(rates.values()) <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [50, 110])
@pytest.mark.parametrize("success", NULLS)
def test_false_alarms_where_tasks_are_a_sample(success: Success, tasks: int) -> None:
    rates = {episodes: Study(success, tasks, episodes, sampled=True).rate(2000) for episodes in (2, 8)}
    print(f"{success.__name__}, {tasks} tasks drawn anew: false alarms in 2,000 runs, by episodes: {rates}")
    assert max(rates.values()) <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("tasks", "least"), [(20, 0.2), (50, 0.9), (110, 0.98)])
@pytest.mark.parametrize("success", [growing, widening])
def test_power_over_1000_runs(success: Success, tasks: int, least: float) -> None:
    rate = Study(success, tasks).rate(1000)
    print(f"{success.__name__}, {tasks} tasks: seen in {rate:.3f} of 1,000 runs of {LOOKS} looks")
    assert rate >= least


# -- the parts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("planned", [1, 5, 20, 1000])
def test_the_shares_of_an_endless_run_sum_to_one(planned: int) -> None:
    last = 200_000
    total = math.fsum(share(test, planned) for test in range(1, last + 1))
    assert total < 1
    assert total == pytest.approx(1 - 0.1 * (planned + 1) / (last + 1), abs=1e-12)


def test_planned_looks_have_equal_shares() -> None:
    assert {share(test, 20) for test in range(1, 21)} == {0.9 / 20}
    assert share(20, 20) > share(21, 20) > share(22, 20) > 0


def upper_tail(t: float, freedom: int) -> float:
    """Of Student's distribution, by the trapezium rule."""
    x = np.linspace(t, 2000, 2_000_001)
    density = (1 + x**2 / freedom) ** (-(freedom + 1) / 2)
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    return float(scale * (density.sum() - (density[0] + density[-1]) / 2) * (x[1] - x[0]))


@pytest.mark.parametrize("freedom", [10, 19, 49, 114])
@pytest.mark.parametrize("tail", [1e-2, 1e-3, 1e-4])
def test_quantile_is_good_enough_far_out(freedom: int, tail: float) -> None:
    assert upper_tail(student_quantile(1 - tail, freedom), freedom) == pytest.approx(tail, rel=0.06)


ERROR = 0.05 * 0.9 / 20
STEADY = np.random.default_rng(0).choice([-0.5, 0.0, 0.5], 50)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.0, -0.4, True),
        (0.0, 0.4, True),
        (-0.2, -0.7, True),
        (0.2, 0.7, True),
        (-0.2, 0.7, True),
        (-0.4, 0.0, False),
        (-0.4, 0.4, False),
        (-0.4, -0.4, False),
        (-0.5, 0.3, False),
    ],
)
def test_growth_is_that_of_the_size(start: float, end: float, expected: bool) -> None:
    noise = np.random.default_rng(1).choice([-0.1, 0.1], (2, 50))
    assert grown(start + noise[0], end + noise[1], ERROR) is expected


def test_the_same_numbers_raise_no_alarm() -> None:
    assert not grown(STEADY, STEADY, ERROR)
    assert not grown(np.zeros(50), np.zeros(50), ERROR)


def test_few_changed_tasks_are_never_enough() -> None:
    least = fewest_tasks(ERROR)
    assert least == 10
    for changed, expected in ((least - 1, False), (least, True)):
        after = np.zeros(least)
        after[:changed] = -1.0
        assert grown(np.zeros(least), after, ERROR) is expected


def test_growth_is_over_the_tasks_of_both_looks() -> None:
    start = {f"t{i}": 0.0 for i in range(30)}
    now = {f"t{i}": -0.5 for i in range(10, 40)}
    found = growth(start, now, ERROR)
    assert found is not None
    assert (found.estimate, found.n_tasks, found.alarm) == (0.5, 20, True)
    assert growth(start, {"t0": 1.0, "x": 1.0}, ERROR) is None


def test_band_covers_all_looks_together() -> None:
    generator = np.random.default_rng(5)
    missed = 0
    for _ in range(300):
        looks = [generator.binomial(2, 0.6, 50) / 2 - generator.binomial(2, 0.5, 50) / 2 for _ in range(10)]
        bands = [band(dict(enumerate(map(float, look))), 0.05 * share(i + 1, 10)) for i, look in enumerate(looks)]  # type: ignore[arg-type]
        missed += not all(b is not None and b.low <= 0.1 <= b.high for b in bands)
    assert missed / 300 <= 0.06


def test_band_of_one_task_is_none() -> None:
    assert band({"a": 0.5}, 0.01) is None
    found = band({"a": 1.0, "b": -1.0}, 0.01)
    assert found is not None and (found.low, found.high) == (-1.0, 1.0)
