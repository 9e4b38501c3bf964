"""Picks the pairs of conversations that differ most, to be read side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usersim_env.feedback.behaviour import FEATURES
from usersim_env.gap.episodes import AnyEpisode, Episode
from usersim_env.gap.pairing import Pairing
from usersim_env.gap.task_means import behaviour_of

_MOST = 64  # episodes of a task and side that are looked at


@dataclass(frozen=True)
class Example:
    """Two episodes of one task, and how much they differ: rule reward first, then behaviour (0 … 2)."""

    task_id: str
    sim: AnyEpisode
    reference: AnyEpisode
    difference: float


def most_different(pairing: Pairing, n: int = 5, restricted: bool = False) -> tuple[Example, ...]:
    """The ``n`` tasks with the most different pair of scored episodes, one pair per task, most different first.

    The difference is that of the rule rewards plus the mean over the 19 features of
    ``|a − b| / (a + b)`` (0 where both are 0). Traces whose terms restrict them are left out, as
    their text is not for passing on, unless ``restricted`` asks for them. Of a task with many episodes, 64 of each
    side are looked at, evenly spaced.
    """
    found = []
    for task in pairing.tasks:
        mine, theirs = (
            [trace for trace in side.scored[task] if (restricted or shown(trace)) and _talked(trace)]
            for side in pairing.sides
        )
        if mine and theirs:
            found.append(_of_task(task, _some(mine), _some(theirs)))
    return tuple(sorted(found, key=lambda example: -example.difference)[:n])


def _talked(trace: AnyEpisode) -> bool:
    return trace.talked if isinstance(trace, Episode) else bool(trace.messages)


def shown(trace: AnyEpisode) -> bool:
    """Whether the terms allow the text of a trace to stand in a report."""
    return trace.terms.training and trace.terms.sharing is not False


def _some(traces: Sequence[AnyEpisode]) -> Sequence[AnyEpisode]:
    """At most `_MOST` of them, evenly spaced: every pair is looked at, so that all would take time in the square."""
    step = len(traces) / _MOST
    return traces if step <= 1 else [traces[int(number * step)] for number in range(_MOST)]


def _of_task(task: str, mine: Sequence[AnyEpisode], theirs: Sequence[AnyEpisode]) -> Example:
    a, b = (_features(traces) for traces in (mine, theirs))
    total = a[:, None] + b[None]
    apart = np.abs(a[:, None] - b[None]) / np.where(total > 0, total, 1)
    rewards = [np.array([trace.reward for trace in traces], dtype=float) for traces in (mine, theirs)]
    difference = np.abs(rewards[0][:, None] - rewards[1][None]) + apart.mean(axis=2)
    i, j = np.unravel_index(int(difference.argmax()), difference.shape)
    return Example(task, mine[int(i)], theirs[int(j)], float(difference[i, j]))


def _features(traces: Sequence[AnyEpisode]) -> NDArray[np.float64]:
    rows: list[Mapping[str, float]] = [behaviour_of(trace) or {} for trace in traces]
    return np.array([[row.get(name, 0.0) for name in FEATURES] for row in rows])
