"""D1 to D4: how alike two rows of behaviour features are (arXiv:2603.11245)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from usersim_env.feedback.behaviour import DIMENSIONS, FEATURES, RATES
from usersim_env.gap.usi.sessions import ByTask

Row = Mapping[str, float]
"""Feature → mean over conversations; rates, flags and shares times 100."""


def feature_row(sessions: ByTask, tasks: Iterable[str]) -> Row | None:
    """The row of the sessions of some tasks; ``None`` if none of them has a user turn."""
    found = [sessions[task].features for task in sorted(tasks)]
    features = [row for row in found if row is not None]
    if not features:
        return None
    means = {name: math.fsum(row[name] for row in features) / len(features) for name in FEATURES}
    return {name: x * 100 if name in RATES else x for name, x in means.items()}


def mean_row(rows: Iterable[Row | None]) -> Row | None:
    """The mean of several rows; ``None`` if there is none."""
    found = [row for row in rows if row is not None]
    if not found:
        return None
    return {name: math.fsum(row[name] for row in found) / len(found) for name in FEATURES}


def similarity(a: float, b: float) -> float:
    """From 0 to 1: ``2 min / sum`` of the two amounts; 1 if both are 0."""
    total = abs(a) + abs(b)
    return 2 * min(abs(a), abs(b)) / total if total else 1.0


def dimensions(sim: Row, human: Row) -> dict[str, float]:
    """D1 to D4, each from 0 to 100: the mean similarity of the dimension's features."""
    return {
        name: 100 * math.fsum(similarity(sim[f], human[f]) for f in features) / len(features)
        for name, features in DIMENSIONS.items()
    }
