"""How the two user sides talk and judge: behaviour features and survey answers, each side for itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from usersim_env.feedback.behaviour import FEATURES, RATES
from usersim_env.feedback.survey import FIELDS
from usersim_env.gap.episodes import answer_of
from usersim_env.gap.sides import Side
from usersim_env.gap.task_means import behaviour_of


@dataclass(frozen=True)
class BehaviourRow:
    """Means of the 19 features over one side's conversations; rates and flags times 100.

    Attributes:
        values: feature → mean; empty without a conversation.
        n: conversations with at least one user turn.
    """

    values: Mapping[str, float]
    n: int


@dataclass(frozen=True)
class SurveyCounts:
    """How often each answer was given to one question: label → count, in the form's order."""

    field: str
    sim: Mapping[str, int]
    reference: Mapping[str, int]


def behaviour_row(side: Side, tasks: Sequence[str]) -> BehaviourRow:
    """The side's row over the scored episodes of the tasks (arXiv:2603.11245, rows of the User-Sim Index)."""
    found = [behaviour_of(trace) for task in tasks for trace in side.scored[task]]
    rows = [row for row in found if row is not None]
    if not rows:
        return BehaviourRow({}, 0)
    values = {name: math.fsum(row[name] for row in rows) / len(rows) for name in FEATURES}
    return BehaviourRow({name: x * 100 if name in RATES else x for name, x in values.items()}, len(rows))


def survey_counts(sim: Side, reference: Side, tasks: Sequence[str]) -> tuple[SurveyCounts, ...]:
    """The answers to each question that somebody answered."""
    found = []
    for field in FIELDS:
        counts = [_answers(side, tasks, field) for side in (sim, reference)]
        if any(sum(side.values()) for side in counts):
            found.append(SurveyCounts(field, counts[0], counts[1]))
    return tuple(found)


def _answers(side: Side, tasks: Sequence[str], field: str) -> dict[str, int]:
    counts = dict.fromkeys(FIELDS[field].answers, 0)
    for task in tasks:
        for trace in side.scored[task]:
            if (answer := answer_of(trace, field)) is not None:
                counts[answer] += 1
    return counts
