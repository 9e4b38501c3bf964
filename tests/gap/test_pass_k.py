from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from usersim_env.gap import GapSettings, compare
from usersim_env.gap.bootstrap import BootstrapSettings
from usersim_env.gap.pass_k import PassK, pass_k, succeeded

SETTINGS = BootstrapSettings(200)


def found(sim: Sequence[Sequence[float]], reference: Sequence[Sequence[float]]) -> tuple[PassK, ...]:
    sides = [
        {str(task): [{"rule": x} for x in rewards] for task, rewards in enumerate(side)} for side in (sim, reference)
    ]
    return pass_k(sides[0], sides[1], SETTINGS, SETTINGS)


def drawn(rewards: Sequence[float], k: int) -> float:
    """The chance that k episodes drawn without putting back all succeed."""
    return float(np.mean([all(chosen) for chosen in combinations(rewards, k)]))


def test_it_is_the_chance_of_drawing_successes_only() -> None:
    sim = [[1.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]
    reference = [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]
    rows = found(sim, reference)
    assert [row.k for row in rows] == [1, 2, 3]
    for row in rows:
        assert row.sim.estimate == pytest.approx(np.mean([drawn(rewards, row.k) for rewards in sim]))
        assert row.reference.estimate == pytest.approx(np.mean([drawn(rewards, row.k) for rewards in reference]))
        assert row.gap.estimate == pytest.approx(row.reference.estimate - row.sim.estimate)


def test_a_task_counts_where_both_sides_have_k_episodes() -> None:
    rows = found([[1.0, 1.0], [1.0, 1.0], [1.0], [0.0] * 5], [[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [1.0] * 5])
    assert [(row.k, row.n_tasks) for row in rows] == [(1, 4), (2, 3)]  # one task alone has more
    assert rows[1].sim.estimate == pytest.approx(2 / 3)


def test_the_first_row_is_the_gap_itself(make: Any) -> None:
    result = compare(
        make.drawn(make.SIM, 12, 3, 0.7, 1), make.drawn(make.REFERENCE, 12, 2, 0.4, 2), GapSettings(replicates=500)
    )
    first = result.pass_k[0]
    assert (first.gap, first.sim, first.reference) == (result.rule.gap, *result.success)
    assert len(result.pass_k) == 2


def test_success_is_a_reward_of_one() -> None:
    assert [succeeded(x) for x in (0.0, 0.5, 1 - 1e-9, 1.0)] == [False, False, True, True]
