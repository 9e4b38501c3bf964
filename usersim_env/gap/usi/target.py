"""A target: the rows of behaviour features and success that a simulator is tuned towards, with the terms of their data.

A row is means over tasks, so the file holds no conversation. There are two, over different tasks: ``tuning`` is what a
simulator may be fitted to, ``held_out`` what it is judged by afterwards.
"""

from __future__ import annotations

import bisect
import json
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from usersim_env.errors import TermsError, TraceError, UsageError, unknown
from usersim_env.feedback.behaviour import FEATURES, RATES
from usersim_env.gap.usi.calibration import CUTS, Difficulty, given_difficulty
from usersim_env.gap.usi.files import read_object
from usersim_env.gap.usi.sessions import task_key
from usersim_env.importers.fields import Fields, load_json, unit_number
from usersim_env.traces.trace import Seat, Terms
from usersim_env.users.recorded.sources import PURPOSES

FORMAT = "usersim_env target 1"
PARTS = ("tuning", "held_out")
OVERALL = "all"
"""Key of the success over all tasks; the other keys are `BINS`."""

BINS = tuple(f"{low:.1f}-{high:.1f}" for low, high in zip((0.0, *CUTS), (*CUTS, 1.0), strict=True))
"""Bins of difficulty, hardest first: a difficulty is a success rate."""

HOW = "python -m usersim_env.baselines.target_row --help"


@dataclass(frozen=True)
class TargetRow:
    """What the tasks of one part had on average.

    Attributes:
        tasks: their ids.
        features: feature → mean; rates, flags and shares times 100, as in `Row`. What is missing is absent.
        success: `OVERALL` or a bin of `BINS` → share of rule rewards above 0; absent where there is no task.
        difficulty: task key → success rate, which gives a task its bin; empty: success is compared overall.
        episodes: how many the means are over.
    """

    tasks: tuple[str, ...]
    features: Mapping[str, float]
    success: Mapping[str, float] = field(default_factory=dict)
    difficulty: Difficulty = field(default_factory=dict)
    episodes: int = 0

    def bin_of(self, task_id: str) -> str | None:
        """The bin that a task's success is compared in: `OVERALL` without difficulties, ``None`` where it has none."""
        if not self.difficulty:
            return OVERALL
        rate = self.difficulty.get(task_key(task_id))
        return None if rate is None else BINS[bisect.bisect_right(CUTS, rate)]


@dataclass(frozen=True)
class Target:
    """Both rows, and where they are from.

    Attributes:
        user: who spoke in the user's seat. A synthetic one is no person, whatever its name says.
        agent: whom they spoke with; behaviour depends on it.
        terms: of the data behind the rows. What forbids training on it forbids tuning to its means.
        rows: by `PARTS`.
        where: names it in messages.
    """

    user: Seat
    agent: Seat
    terms: Terms
    rows: Mapping[str, TargetRow]
    where: str = "the target"

    @property
    def who(self) -> str:
        """Who spoke in the user's seat, in words."""
        if self.user.kind == "human":
            return self.user.name
        persona = self.user.settings.get("persona")
        name = persona if isinstance(persona, str) else self.user.name
        return f"{self.user.kind} {name} (synthetic: it says nothing about people)"

    def for_training(self) -> Target:
        """Itself.

        Raises:
            TermsError: its terms forbid training; names them.
        """
        if not self.terms.training:
            raise TermsError(
                f"{self.where} may not be trained on. Its terms: {self.terms.licence!r}. Give another target, or read "
                "it with purpose='evaluation' if nothing is tuned by what comes out."
            )
        return self

    def part(self, name: str) -> TargetRow:
        """One of its rows; an `UnknownName` lists them."""
        if name not in self.rows:
            raise unknown("part of a target", name, self.rows)
        return self.rows[name]


def read_target(path: str | os.PathLike[str], purpose: str = "training") -> Target:
    """Reads a target, and holds its terms to the purpose before anything else can be done with it.

    Args:
        path: a file that `write_target` wrote, or one of the same form.
        purpose: ``training`` or ``evaluation``.

    Raises:
        TraceError: it is missing or broken: which field, what came.
        TermsError: its terms forbid training; names them.
        UnknownName: an unknown purpose.
    """
    if purpose not in PURPOSES:
        raise unknown("purpose", purpose, PURPOSES)
    if not Path(path).is_file():
        raise TraceError(f"No target at {path}. How to make one: {HOW}")
    file = Fields(read_object(path), str(path))
    if file.value.get("format") != FORMAT:
        raise file.error("format", f"expected {FORMAT!r}, got {file.value.get('format')!r:.80}. Make one: {HOW}")
    terms = file.inside("terms")
    rows = file.inside("rows")
    difficulty = given_difficulty(table) if (table := file.find("difficulty", dict)) else {}
    target = Target(
        user=_seat(file.inside("user")),
        agent=_seat(file.inside("agent")),
        terms=Terms(terms.get("licence", str), terms.get("training", bool)),
        rows={name: _row(rows.inside(name), difficulty) for name in PARTS},
        where=str(path),
    )
    if both := set(target.rows["tuning"].tasks) & set(target.rows["held_out"].tasks):
        raise rows.error("held_out", f"{sorted(both)[0]} is a task of tuning too; a task is tuned on or held out.")
    return target if purpose == "evaluation" else target.for_training()


def write_target(target: Target, path: str | os.PathLike[str]) -> None:
    """Writes a target as JSON; figures are rounded to six places. An earlier target of that name is replaced.

    Raises:
        UsageError: the file holds something else; it is left as it is.
    """
    check_target_path(path)
    about = f"Means over conversations. User side: {target.who}."
    difficulty = {task: rate for row in target.rows.values() for task, rate in row.difficulty.items()}
    content = {
        "format": FORMAT,
        "about": about,
        "user": _who(target.user),
        "agent": _who(target.agent),
        "terms": {"licence": target.terms.licence, "training": target.terms.training},
        "rows": {
            name: {
                "episodes": row.episodes,
                "tasks": list(row.tasks),
                "features": _rounded(row.features),
                "success": _rounded(row.success),
            }
            for name, row in target.rows.items()
        },
        "difficulty": _rounded(difficulty),
    }
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def check_target_path(path: str | os.PathLike[str]) -> None:
    """Looks whether a target may be written there, before anything is played for it.

    Raises:
        UsageError: the file holds something else.
    """
    if not os.path.lexists(path):
        return
    content = None
    with suppress(OSError, ValueError):
        content = load_json(Path(path).read_bytes()) if Path(path).is_file() else None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UsageError(f"{path} is no target, and would be replaced. It was left as it is. Name another file.")


def common_terms(terms: Sequence[Terms]) -> Terms:
    """The terms of data of several terms: every licence, and no training if one forbids it.

    Raises:
        UsageError: there are none.
    """
    if not terms:
        raise UsageError("Terms of no data at all: give at least one trace.")
    licences = dict.fromkeys(t.licence for t in terms)
    return Terms("; ".join(licences), all(t.training for t in terms))


def _who(seat: Seat) -> dict[str, Any]:
    return {"kind": seat.kind, "name": seat.name, "settings": seat.settings, "privileged": seat.privileged}


def _seat(fields: Fields) -> Seat:
    settings = fields.find("settings", dict) or {}
    privileged = bool(fields.find("privileged", bool))
    return Seat(fields.get("kind", str), fields.get("name", str), settings, privileged)


def _row(fields: Fields, difficulty: Difficulty) -> TargetRow:
    tasks = fields.get("tasks", list)
    if not tasks or not all(isinstance(task, str) for task in tasks):
        raise fields.error("tasks", f"expected a list of task ids such as 'retail/test/0', got {tasks!r:.80}")
    if len(set(tasks)) != len(tasks):
        raise fields.error("tasks", "a task occurs twice; give each once")
    return TargetRow(
        tasks=tuple(tasks),
        features=_features(fields.inside("features")),
        success=_success(fields.maybe("success")),
        difficulty=difficulty,
        episodes=fields.find("episodes", int) or 0,
    )


def _features(fields: Fields) -> dict[str, float]:
    found = {}
    for name in fields.value:
        if name not in FEATURES:
            raise fields.error(name, f"no such feature; there are {', '.join(FEATURES)}")
        value = fields.get(name, int, float)
        if not 0 <= value < math.inf or (name in RATES and value > 100):
            unit = "from 0 to 100" if name in RATES else "0 or more"
            raise fields.error(name, f"expected a number {unit}, got {value!r:.80}; what is not known is left out")
        found[name] = float(value)
    if not found:
        raise TraceError(f"{fields.where}: there is no feature in it. Give at least one of {', '.join(FEATURES)}")
    return found


def _success(fields: Fields) -> dict[str, float]:
    for name in fields.value:
        if name not in (OVERALL, *BINS):
            raise fields.error(name, f"no such bin of difficulty; there are {OVERALL}, {', '.join(BINS)}")
    return {name: rate for name in fields.value if (rate := unit_number(fields, name)) is not None}


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in values.items()}
