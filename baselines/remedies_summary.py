"""Means over seeds of what `remedies` ran, with intervals, against the first arm; as CSV and as lines of text."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usersim_env.gap.bootstrap import BootstrapSettings, Interval, interval
from usersim_env.gap.wording import signed, span
from usersim_env.visible import csv_cell

Row = dict[str, Any]

_DIFFERENCES = BootstrapSettings(bounds=(-2, 2))
RATES = ("sim", "reference", "survey_sim", "survey_reference")
MEASURES = ("sim", "reference", "gap", "growth", "survey_sim", "survey_reference", "survey_gap")
"""Of the last policy, on fresh episodes; ``growth``: the gap there minus the gap before training."""


@dataclass(frozen=True)
class Cell:
    """One measure of one arm: mean over seeds with its interval, and minus that of the first arm, seed by seed."""

    numbers: str
    arm: str
    measure: str
    mean: Interval
    against: Interval | None


def summarise(lines: Iterable[Row]) -> list[Cell]:
    """Means over seeds with 95 % intervals (studentised bootstrap over seeds, nowhere narrower than Student's)."""
    last = [line for line in lines if line["kind"] == "last"]
    values: dict[tuple[str, str, str], dict[int, float]] = {}
    for line in last:
        for measure in MEASURES:
            values.setdefault((line["numbers"], line["arm"], measure), {})[line["seed"]] = line[measure]
    cells = []
    first = last[0]["arm"]
    for (numbers, arm, measure), by_seed in values.items():
        mean = interval(list(by_seed.values()), BootstrapSettings(bounds=(0, 1) if measure in RATES else (-2, 2)))
        assert mean is not None
        base = values[numbers, first, measure]
        against = None if arm == first else interval([x - base[seed] for seed, x in by_seed.items()], _DIFFERENCES)
        cells.append(Cell(numbers, arm, measure, mean, against))
    return cells


def write_csv(lines: Sequence[Row], path: Path) -> None:
    """Rows as CSV, with the columns of all of them; numbers to four places."""
    columns = list(dict.fromkeys(name for line in lines for name in line))
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        for line in lines:
            writer.writerow({k: round(v, 4) if isinstance(v, float) else csv_cell(v) for k, v in line.items()})


def summary_rows(cells: Iterable[Cell]) -> list[Row]:
    """The summary as rows of a CSV."""
    found = []
    for cell in cells:
        row: Row = {"numbers": cell.numbers, "arm": cell.arm, "measure": cell.measure, "seeds": cell.mean.n_tasks}
        row |= {"mean": cell.mean.estimate, "low": cell.mean.low, "high": cell.mean.high}
        if cell.against is not None:
            a = cell.against
            row |= {"minus_rule_alone": a.estimate, "minus_low": a.low, "minus_high": a.high}
        found.append(row)
    return found


def print_cells(cells: Iterable[Cell]) -> None:
    """The gaps and successes as a table."""
    for cell in cells:
        against = f"  minus rule alone: {signed(cell.against.estimate)} {span(cell.against)}" if cell.against else ""
        mean = f"{signed(cell.mean.estimate)} {span(cell.mean)}"
        print(f"{cell.numbers:16} {cell.arm:18} {cell.measure:17} {mean:26}{against}")
