from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import ArrayLike

from usersim_env.gap.sign_flip import SignFlip, holm, sign_flip


def flipped(values: ArrayLike, draws: int = 10_000, seed: int = 0) -> SignFlip:
    (found,) = sign_flip(np.asarray(values, dtype=float).reshape(-1, 1), draws, seed)
    assert found is not None
    return found


def by_hand(values: list[float]) -> float:
    sums = [
        abs(sum(s * x for s, x in zip(signs, values, strict=True))) for signs in product((1, -1), repeat=len(values))
    ]
    limit = abs(sum(values))
    return float(np.mean([1.0 if s > limit + 1e-9 else 0.5 if s > limit - 1e-9 else 0.0 for s in sums]))


@pytest.mark.parametrize(
    "values", [[0.5, 0.25, -0.25], [1.0, 1.0, 1.0, 1.0, 0.0], [0.3, -0.1, 0.7, 0.2, 0.2, -0.4], [0.1] * 7, [1.0, -1.0]]
)
def test_small_samples_count_every_flip(values: list[float]) -> None:
    found = flipped(values)
    assert found.exact
    assert found.p == pytest.approx(by_hand(values))
    assert found.flips == 2 ** (np.count_nonzero(values) - 1)


def test_all_flips_are_counted_up_to_fourteen_tasks_that_differ() -> None:
    values = np.arange(1, 16) / 16
    assert [flipped(values[:n]).exact for n in (13, 14, 15)] == [True, True, False]
    assert flipped(values[:3], draws=4).exact


def test_drawn_flips_agree_with_all_flips() -> None:
    values = np.random.default_rng(1).normal(0.2, 0.4, 13)
    every, drawn = flipped(values), flipped(values, draws=4_000)
    assert every.exact and not drawn.exact
    assert drawn.p == pytest.approx(every.p, abs=0.02)
    assert drawn == flipped(values, draws=4_000)
    assert drawn != flipped(values, draws=4_000, seed=1)


def test_a_drawn_p_value_is_never_zero() -> None:
    found = flipped(np.full(60, 0.5) + np.arange(60) / 1000, draws=999)
    assert found.p == pytest.approx(0.0005)


def test_sign_and_scale_do_not_matter() -> None:
    values = np.random.default_rng(2).normal(0.1, 0.3, 30)
    assert flipped(values).p == flipped(-values).p == flipped(values / 8).p


def test_a_column_is_not_changed_by_its_neighbours_or_by_tasks_without_a_difference() -> None:
    table = np.random.default_rng(3).normal(0.1, 0.3, (40, 3))
    table[5:9, 1] = np.nan
    table[:30, 2] = 0
    together = sign_flip(table)
    for column in range(3):
        assert together[column] == sign_flip(table[:, [column]])[0]
    assert together[2] == flipped(table[30:, 2])


def test_equal_sides_have_no_evidence_and_one_task_has_no_test() -> None:
    assert flipped([0.0] * 9) == SignFlip(1.0, True, 1)
    assert sign_flip(np.array([[0.5, np.nan], [np.nan, np.nan]])) == [None, None]


def test_holm_is_that_of_the_definition() -> None:
    tests = [SignFlip(p, True, 8) if p is not None else None for p in (0.01, 0.04, None, 0.03, 0.005, 0.9)]
    assert holm(tests) == [pytest.approx(x) if x is not None else None for x in (0.04, 0.09, None, 0.09, 0.025, 0.9)]
    assert holm([SignFlip(0.7, True, 8)] * 3) == [1.0] * 3
    assert holm([]) == []


def test_false_alarms_are_about_as_rare_as_they_should_be() -> None:
    generator = np.random.default_rng(7)
    chance = generator.beta(1.2, 0.6, (50, 600))  # one column, one study
    differences = (generator.binomial(4, chance) - generator.binomial(4, chance)) / 4
    wrong = np.mean([test is not None and test.p <= 0.05 for test in sign_flip(differences, draws=1_000)])
    assert 0.03 <= wrong <= 0.07
