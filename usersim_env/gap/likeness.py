"""The User-Sim Index of the simulated side against the other side of a comparison (arXiv:2603.11245).

Against people it is the index. Against any other side the same figures say how alike the two are, and nothing about
people.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from usersim_env.errors import UsersimError
from usersim_env.gap.pairing import Pairing
from usersim_env.gap.sides import Side
from usersim_env.gap.usi.calibration import MIN_SAMPLES, given_difficulty, pooled_difficulty
from usersim_env.gap.usi.files import read_sessions
from usersim_env.gap.usi.index import compare_batch
from usersim_env.gap.usi.result import UsiRow
from usersim_env.gap.usi.sessions import ByTask, Sessions


@dataclass(frozen=True)
class Likeness:
    """How alike the user sides are.

    Attributes:
        against: label of the second side, ``human`` or ``reference``.
        batches: of the second side; 0 if there is no row.
        sim: the simulated side's row; ``None`` if it cannot be computed.
        between: the batches of the second side against each other; ``None`` if there is one.
        notes: what a reader needs to judge the figures, or why there are none.
    """

    against: str
    batches: int
    sim: UsiRow | None
    between: UsiRow | None
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON values; each figure is ``[mean, deviation]`` or ``null``."""
        rows = {"sim": self.sim, "between_batches": self.between}
        figures = {key: None if row is None else row.as_dict() for key, row in rows.items()}
        return {"against": self.against, "batches": self.batches, **figures, "notes": list(self.notes)}


def likeness(pairing: Pairing, difficulty: Mapping[str, float] | None = None) -> Likeness:
    """The simulated side against the other; where it cannot be computed, a note says why.

    The other side's batches are those its traces name (``user.notes["batch"]``); without them it is one batch.

    Args:
        pairing: both sides.
        difficulty: task → success rate; pooled from the simulated side if not given.
    """
    against = pairing.reference.label
    try:
        sim = _sessions(pairing.sim)
        other = _sessions(pairing.reference)
        table, origin = _table(sim, difficulty)
    except UsersimError as error:
        return Likeness(against, 0, None, None, (f"The User-Sim Index cannot be computed: {error}",))
    batches: list[Mapping[int, ByTask]] = [other.copies]
    if any(isinstance(trace.user.notes.get("batch"), int) for trace in pairing.reference.traces):
        batches = [{n: sessions} for n, sessions in other.copies.items()]
    row = UsiRow(pairing.sim.label, tuple(compare_batch(sim.copies, batch, table) for batch in batches), None)
    pairs = itertools.combinations(batches, 2)
    name = f"{against}, between batches"
    between = UsiRow(name, tuple(compare_batch(a, b, table) for a, b in pairs), None) if len(batches) > 1 else None
    if table:
        shared = sim.tasks & other.tasks
        origin += f": {len(shared & table.keys())} of {len(shared)} shared tasks have one; ECE is over those."
    return Likeness(against, len(batches), row, between, (origin, *_notes(row, len(batches), against)))


def _sessions(side: Side) -> Sessions:
    return read_sessions(side.traces, "human" if side.role == "real" else "llm", f"the {side.label} side")


def _table(sim: Sessions, difficulty: Mapping[str, float] | None) -> tuple[Mapping[str, float], str]:
    """The difficulty of the tasks, and where it is from or why there is none."""
    if difficulty is not None:
        return given_difficulty(difficulty), "Difficulty of the tasks as given"
    try:
        return pooled_difficulty([sim]), f"Difficulty of the tasks pooled from {MIN_SAMPLES} or more simulated episodes"
    except UsersimError:
        scored = Counter(task for run in sim.copies.values() for task, s in run.items() if s.reward is not None)
        most = max(scored.values(), default=0)
        return {}, (
            f"No calibration (ECE), and so no index: the difficulty of a task takes {MIN_SAMPLES} scored simulated "
            f"episodes of it, and there are {most} at most. Give a table with --difficulty FILE."
        )


def _notes(row: UsiRow, batches: int, against: str) -> tuple[str, ...]:
    found = []
    if against != "human":
        found.append("This is likeness to the reference side, no human baseline: it says nothing about people.")
    if any(None in scores.alike.values() for scores in row.scores):
        found.append(f"D1 to D4: in a batch of {against} sessions no shared task has user turns on both sides.")
    spread = f"Mean ± standard deviation over {batches} batches" if batches > 1 else "One batch, so no deviation"
    found.append(
        f"{spread}. D1 to D4 and the index: 0 to 100, higher is more alike; ECE: 0 to 1, lower is. The index is that "
        "of five parts, without evaluative agreement, which takes surveys: see usersim-env usi."
    )
    return tuple(found)
