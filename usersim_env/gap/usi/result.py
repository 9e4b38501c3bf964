"""The rows of the index, with mean and spread over the human batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from usersim_env.feedback.behaviour import DIMENSIONS
from usersim_env.gap.usi.similarity import Row, mean_row
from usersim_env.visible import html_table

HUMAN = "Human (inter-ann.)"
"""Name of the row that compares people with people."""

Stat: TypeAlias = "tuple[float, float | None] | None"
"""Mean and population standard deviation; no deviation where there is a single value, nothing where there is none."""


@dataclass(frozen=True)
class Scores:
    """One comparison with one batch of people.

    Attributes:
        alike: D1 to D4 (0 … 100); ``None`` where a side has no user turn.
        agreement: evaluative agreement (0 … 100).
        ece: outcome calibration error (0 … 1).
        sim, human: the rows of features that `alike` compares.
    """

    alike: Mapping[str, float | None]
    agreement: float | None
    ece: float | None
    sim: Row | None
    human: Row | None

    @property
    def usi5(self) -> float | None:
        """The mean of D1 to D4 and calibration; ``None`` unless all are there."""
        return _mean_of_all([*self.alike.values(), _calibration(self.ece)])

    @property
    def usi6(self) -> float | None:
        """The same with evaluative agreement."""
        return _mean_of_all([*self.alike.values(), _calibration(self.ece), self.agreement])


@dataclass(frozen=True)
class UsiRow:
    """One line of the table.

    Attributes:
        name: `HUMAN` or the simulator's.
        scores: one for each human batch; in the human row one for each pair of batches.
        eval_agree: evaluative agreement over batches; in the human row over the sessions that were rated again.
    """

    name: str
    scores: tuple[Scores, ...]
    eval_agree: Stat

    def dimension(self, name: str) -> Stat:
        """D1 to D4 by their names in `DIMENSIONS`."""
        return self._over(lambda scores: scores.alike[name])

    @property
    def ece(self) -> Stat:
        """Outcome calibration error."""
        return self._over(lambda scores: scores.ece)

    @property
    def usi5(self) -> Stat:
        """The index without evaluative agreement."""
        return self._over(lambda scores: scores.usi5)

    @property
    def usi(self) -> Stat:
        """The index; without surveys it is `usi5`."""
        return self.usi5 if self.eval_agree is None else self._over(lambda scores: scores.usi6)

    @property
    def features(self) -> tuple[Row | None, Row | None]:
        """The 19 features of simulator and people, each the mean over the comparisons."""
        return mean_row(s.sim for s in self.scores), mean_row(s.human for s in self.scores)

    def as_dict(self) -> dict[str, Any]:
        """The row as JSON values; each figure is ``[mean, deviation]`` or ``null``."""
        found: dict[str, Stat] = {name: self.dimension(name) for name in DIMENSIONS}
        found |= {"eval_agree": self.eval_agree, "ece": self.ece, "usi": self.usi, "usi5": self.usi5}
        return {"name": self.name, **{key: None if stat is None else list(stat) for key, stat in found.items()}}

    def _over(self, figure: Callable[[Scores], float | None]) -> Stat:
        return spread([value for scores in self.scores if (value := figure(scores)) is not None])


@dataclass(frozen=True)
class UsiResult:
    """The table.

    Attributes:
        rows: the human row first.
        notes: sentences that a reader needs to judge the figures.
        terms: ``human`` and the simulators' names → terms of their data.
    """

    rows: tuple[UsiRow, ...]
    notes: tuple[str, ...]
    terms: Mapping[str, tuple[str, ...]]

    def __repr__(self) -> str:
        return f"<UsiResult: {len(self.rows) - 1} simulators, {len(self.notes)} notes>"

    def _repr_html_(self) -> str:
        """The rows as a table, for notebooks."""
        found = [row.as_dict() for row in self.rows]
        header = list(found[0]) if found else []
        return html_table(repr(self).strip("<>"), header, ([_cell(row[name]) for name in header] for row in found))

    def as_dict(self) -> dict[str, Any]:
        """Rows, notes and terms as JSON values."""
        return {
            "rows": [row.as_dict() for row in self.rows],
            "notes": list(self.notes),
            "terms": {name: list(terms) for name, terms in self.terms.items()},
        }


def _cell(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ± ".join(_cell(part) for part in value)
    return f"{value:.1f}" if isinstance(value, float) else "" if value is None else str(value)


def spread(values: Sequence[float]) -> Stat:
    """Mean and population standard deviation."""
    if not values:
        return None
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, None
    return mean, math.sqrt(math.fsum((x - mean) ** 2 for x in values) / len(values))


def _calibration(ece: float | None) -> float | None:
    return None if ece is None else 100 * (1 - ece)


def _mean_of_all(values: Iterable[float | None]) -> float | None:
    found = list(values)
    known = [x for x in found if x is not None]
    return math.fsum(known) / len(known) if len(known) == len(found) else None
