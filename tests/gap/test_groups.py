from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from usersim_env.errors import UsageError
from usersim_env.gap import GapSettings, compare, read_difficulty
from usersim_env.gap.groups import BINS, bin_of

FAST = GapSettings(replicates=200)


@pytest.mark.parametrize(
    ("success", "place"), [(0, 0), (0.19, 0), (0.2, 1), (0.6, 3), (0.7 + 0.1, 4), (0.79, 3), (0.8, 4), (1, 4)]
)
def test_a_value_below_a_cut_off_belongs_to_the_lower_bin(success: float, place: int) -> None:
    assert bin_of(success) == BINS[place]


def test_bins_are_made_of_success_pooled_over_both_sides_with_equal_weight(make: Any) -> None:
    sim = make.side(make.SIM, [[1.0, 1.0, 1.0], [0.0], [1.0], [1.0]])
    reference = make.side(make.REFERENCE, [[0.0], [0.0], [1.0], [0.0]])
    bins = compare(sim, reference, FAST).bins
    assert [(row.name, row.n_tasks, row.gap.estimate) for row in bins] == [
        (BINS[0], 1, 0.0),
        (BINS[2], 2, -1.0),
        (BINS[4], 1, 0.0),
    ]
    assert bins[1].sim.estimate == 1.0 and bins[1].reference.estimate == 0.0


def test_a_difficulty_from_elsewhere_decides_and_tasks_without_one_are_left_out(make: Any) -> None:
    difficulty = {"mock/test/0": 0.1, "mock/test/1": 0.9}
    sim, reference = (make.side(user, [[1.0], [0.0], [1.0]]) for user in (make.SIM, make.REFERENCE))
    bins = compare(sim, reference, GapSettings(replicates=200, difficulty=difficulty)).bins
    assert [(row.name, row.sim.estimate) for row in bins] == [(BINS[0], 1.0), (BINS[4], 0.0)]


def test_a_difficulty_of_other_tasks_is_told_what_to_do(make: Any) -> None:
    sim, reference = (make.side(user, [[1.0], [0.0]]) for user in (make.SIM, make.REFERENCE))
    with pytest.raises(UsageError, match=r"has retail/test/0, but none of the 2 compared tasks .* or leave it out"):
        compare(sim, reference, GapSettings(difficulty={"retail/test/0": 0.5}))


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_difficulty_file_has_our_names_or_those_of_tau_usi(wrapped: bool, tmp_path: Path) -> None:
    table = {"airline_0": 0.7164, "retail/test/3": 0}
    file = tmp_path / "difficulty.json"
    file.write_text(json.dumps({"difficulty": table} if wrapped else table), encoding="utf-8")
    assert read_difficulty(file) == {"airline/test/0": 0.7164, "retail/test/3": 0.0}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No difficulty can be read from .*: No such file"),
        ("x", "is not JSON"),
        ("[1]", 'holds no difficulty; expected {"difficulty"'),
        ("{}", "holds no difficulty"),
        ('{"retail_0": 3}', "the difficulty of retail_0 is 3; expected a mean success from 0 to 1"),
        ('{"retail_0": "hard"}', "the difficulty of retail_0 is 'hard'"),
        ('{"retail_0": NaN}', "the difficulty of retail_0 is nan"),
    ],
)
def test_a_bad_difficulty_file_is_named_with_what_is_wrong(content: str | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "difficulty.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        read_difficulty(file)
