from __future__ import annotations

import math

import pytest

from usersim_env.gap.bootstrap import DEGENERATE, ONE_TASK, Interval
from usersim_env.gap.power import detectable, tasks_needed


def test_the_effect_is_that_of_the_formula() -> None:
    found = detectable(Interval(0.1, 0.0, 0.2, 0.04, 40))
    assert found.gap == pytest.approx((2.0227 + 0.8513) * 0.04, rel=2e-3)  # Student's t with 39 degrees of freedom
    assert found.n_tasks == 40


def test_more_confidence_needs_a_larger_effect() -> None:
    gap = Interval(0.1, 0.0, 0.2, 0.04, 40)
    small, large = detectable(gap, 0.9).gap, detectable(gap, 0.99).gap
    assert small is not None and large is not None
    assert small < large


def test_the_tasks_needed_make_the_gap_detectable_and_one_fewer_does_not() -> None:
    spread = 0.3
    for target in (0.05, 0.1, 0.2):
        n = tasks_needed(target, spread)
        with_n, without = (detectable(Interval(0, -1, 1, spread / math.sqrt(tasks), tasks)).gap for tasks in (n, n - 1))
        assert with_n is not None and without is not None
        assert with_n <= target < without


@pytest.mark.parametrize(
    ("gap", "word"),
    [
        (Interval(0.5, None, None, None, 1, ONE_TASK), "one task"),
        (Interval(0.5, 0.5, 0.5, 0.0, 9, DEGENERATE), "degenerate: tasks do not differ, so their spread is unknown"),
    ],
)
def test_without_a_spread_there_is_a_word_and_no_number(gap: Interval, word: str) -> None:
    found = detectable(gap)
    assert (found.gap, found.tasks_for, found.word) == (None, {}, word)
