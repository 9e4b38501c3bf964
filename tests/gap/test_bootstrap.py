from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from usersim_env.errors import UsageError
from usersim_env.gap.bootstrap import (
    DEGENERATE,
    ONE_TASK,
    BootstrapSettings,
    Interval,
    interval,
    intervals,
    student_quantile,
)

FAST = BootstrapSettings(replicates=1000)


def drawn(n: int, width: int = 1, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(-0.6, 1, (n, width))


def found(values: object, settings: BootstrapSettings = FAST) -> Interval:
    result = interval(np.asarray(values), settings)
    assert result is not None
    return result


def test_estimate_and_standard_error_are_those_of_the_task_means() -> None:
    values = drawn(30)
    result = found(values)
    assert result.estimate == pytest.approx(values.mean())
    assert result.se == pytest.approx(values.std(ddof=1) / np.sqrt(30))
    assert result.n_tasks == 30
    assert result.low is not None and result.high is not None
    assert result.low < result.estimate < result.high


def test_the_ends_are_those_of_a_plain_loop() -> None:
    values, n = drawn(12)[:, 0], 12
    variance = values.var(ddof=1)
    counts = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=1000)
    t = []
    for row in counts:
        sample = np.repeat(values, row)
        spread = (((sample - sample.mean()) ** 2).sum() + variance) / n
        t.append((sample.mean() - values.mean()) / np.sqrt(spread / n))
    below, above = np.quantile(t, (0.025, 0.975))
    student, se = student_quantile(0.975, n - 1), np.sqrt(variance / n)
    result = found(values)
    assert result.low == pytest.approx(values.mean() - max(above, student) * se)
    assert result.high == pytest.approx(values.mean() - min(below, -student) * se)


def test_equal_seeds_give_equal_intervals_and_other_seeds_others() -> None:
    values = drawn(25) ** 3
    assert found(values) == found(values)
    assert found(values) != found(values, BootstrapSettings(replicates=1000, seed=1))


def test_a_column_is_not_changed_by_its_neighbours() -> None:
    table = drawn(20, 4)
    table[3:6, 1] = np.nan
    together = intervals(table, FAST)
    for column, result in enumerate(together):
        alone = found(table[~np.isnan(table[:, column]), column])
        assert result is not None
        assert [result.low, result.high] == pytest.approx([alone.low, alone.high])
    assert [i.n_tasks for i in together if i is not None] == [20, 17, 20, 20]


def test_replicates_may_come_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = found(drawn(20))
    monkeypatch.setattr("usersim_env.gap.bootstrap._CHUNK", 20 * 64)
    assert found(drawn(20)) == whole


@pytest.mark.parametrize("value", [0.0, 0.25, -1.0])
def test_equal_values_give_a_point_with_its_name(value: float) -> None:
    assert found([value] * 9) == Interval(value, value, value, 0.0, 9, DEGENERATE)


def test_one_task_has_no_interval_and_none_has_no_estimate() -> None:
    table = np.full((5, 2), np.nan)
    table[2, 0] = 0.5
    assert intervals(table, FAST) == [Interval(0.5, None, None, None, 1, ONE_TASK), None]


def test_replicates_without_variance_stay_finite_and_widen_the_interval() -> None:
    result = found([0.0] * 19 + [1.0])
    assert result.low is not None and result.high is not None
    assert result.low < 0
    assert 0.15 < result.high < 0.4  # the exact interval for one in twenty ends at 0.25


def test_an_interval_stays_within_what_is_possible_and_is_nowhere_narrower_than_students() -> None:
    result = found([1.0, 1.0, 0.0], BootstrapSettings(replicates=1000, bounds=(0, 1)))
    assert (result.low, result.high) == (0, 1)
    values = drawn(10)
    narrow, reach = found(values), student_quantile(0.975, 9) * values.std(ddof=1) / np.sqrt(10)
    assert narrow.low is not None and narrow.low <= values.mean() - reach + 1e-12
    assert narrow.high is not None and narrow.high >= values.mean() + reach - 1e-12


@pytest.mark.parametrize(
    ("freedom", "expected"), [(1, 12.7062), (2, 4.30265), (3, 3.18245), (9, 2.26216), (19, 2.09302), (164, 1.97453)]
)
def test_student_quantiles_are_those_of_the_tables(freedom: int, expected: float) -> None:
    assert student_quantile(0.975, freedom) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: BootstrapSettings(replicates=10), "replicates is 10; expected at least 100"),
        (lambda: BootstrapSettings(level=95), "level is 95; expected a number between 0.5 and 1"),
        (lambda: intervals([1.0, 2.0]), "values has 1 dimensions; expected 2"),
        (lambda: intervals([[np.inf], [0.0]]), "infinite"),
    ],
)
def test_bad_input_says_what_came(build: object, message: str) -> None:
    assert callable(build)
    with pytest.raises(UsageError, match=message):
        build()


@pytest.mark.parametrize(("tasks", "episodes"), [(20, (4, 4)), (20, (1, 6)), (50, (4, 4)), (50, (1, 6))])
def test_intervals_cover_a_known_gap_about_as_often_as_they_say(tasks: int, episodes: tuple[int, int]) -> None:
    generator = np.random.default_rng(7)
    chance = generator.beta(1.2, 0.6, (tasks, 600))  # one column, one study
    sim = generator.binomial(episodes[1], chance) / episodes[1]
    reference = generator.binomial(episodes[0], 0.8 * chance) / episodes[0]
    results = intervals(reference - sim, BootstrapSettings(replicates=500))
    gap = -0.2 * 1.2 / 1.8
    hits = [i.low <= gap <= i.high for i in results if i and i.low is not None and i.high is not None]
    assert len(hits) == 600
    assert 0.925 <= np.mean(hits) <= 0.975
