"""The reward of a learner in the user's seat: how close the means of its episodes come to a target row.

Moment matching, dimension by dimension: the mean of each feature over tasks is compared with the target's by
``2 min / sum`` and averaged over the features of its dimension; the outcome calibration stands beside the four
dimensions. With a whole row it is the five-part index of arXiv:2603.11245 divided by 100. No single conversation is
compared with a mean: a row of 15 % polite turns is matched by episodes that are polite in turn, not by every one alike.

It sees means alone, so it cannot tell a crowd from its average, and it can be pleased without being more human: judge
what was tuned by something that it was not tuned on.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from usersim_env.conversation.machine import Outcome
from usersim_env.errors import UsageError
from usersim_env.feedback.behaviour import DIMENSIONS, FEATURES, RATES
from usersim_env.gap.task_means import behaviour_of
from usersim_env.gap.usi.similarity import Row
from usersim_env.gap.usi.target import OVERALL, Target, TargetRow
from usersim_env.multi_agent.seats import AGENT, USER
from usersim_env.traces.trace import Trace

Array: TypeAlias = NDArray[np.float64]

CALIBRATION = "calibration"
"""Name of the outcome part: one minus the outcome calibration error."""


class TaskMoments(NamedTuple):
    """Means over the scored episodes of one task.

    Attributes:
        features: in the units of a `Row`; ``None`` if no episode has a user turn.
        success: share of rule rewards above 0.
        bin: where the success is compared; ``None``: nowhere.
    """

    features: Row | None
    success: float
    bin: str | None


@dataclass(frozen=True)
class LikenessScore:
    """How alike, from 0 to 1, part by part.

    Attributes:
        parts: D1 to D4 by their names in `DIMENSIONS`, and `CALIBRATION`. A part that the target or the episodes lack
            is absent, not 0.
        tasks: how many the means are over.
    """

    parts: Mapping[str, float]
    tasks: int

    @property
    def total(self) -> float | None:
        """The mean of the parts that are there; ``None`` when none is."""
        return math.fsum(self.parts.values()) / len(self.parts) if self.parts else None


def likeness_reward(traces: Iterable[Trace], row: TargetRow) -> LikenessScore:
    """How alike the episodes are to a target row. Episodes that are not scored are left out, never 0.

    Every task weighs the same, whatever its number of episodes.
    """
    return score(moments_by_task(traces, row).values(), row)


def moments_by_task(traces: Iterable[Trace], row: TargetRow) -> dict[str, TaskMoments]:
    """Task id → its means, for tasks with a scored episode."""
    by_task: dict[str, list[Trace]] = {}
    for trace in traces:
        if trace.reward is not None:
            by_task.setdefault(trace.task_id, []).append(trace)
    return {
        task: TaskMoments(
            mean_features([behaviour_of(trace) for trace in found]),
            sum((trace.reward or 0) > 0 for trace in found) / len(found),
            row.bin_of(task),
        )
        for task, found in by_task.items()
    }


def mean_features(found: Sequence[Mapping[str, float] | None]) -> Row | None:
    """The means of conversations' features in the units of a `Row`; those without a user turn have none."""
    there = [features for features in found if features is not None]
    if not there:
        return None
    return {
        name: math.fsum(features[name] for features in there) / len(there) * (100 if name in RATES else 1)
        for name in FEATURES
    }


def score(moments: Iterable[TaskMoments], row: TargetRow) -> LikenessScore:
    """The parts, of means by task."""
    tasks = list(moments)
    found = {name: float(values[0]) for name, values in weighted_parts(tasks, row, np.ones((1, len(tasks)))).items()}
    return LikenessScore({name: value for name, value in found.items() if not math.isnan(value)}, len(tasks))


def weighted_parts(tasks: Sequence[TaskMoments], row: TargetRow, weights: Array) -> dict[str, Array]:
    """Part → its value under each of several weightings of the tasks (weightings × tasks); NaN where it is missing."""
    known = [name for name in FEATURES if name in row.features]
    spoken = np.asarray([m.features is not None for m in tasks], dtype=bool)
    table = np.asarray([[m.features[name] for name in known] for m in tasks if m.features is not None])
    parts: dict[str, Array] = {}
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: nothing to compare
        means = (
            weights[:, spoken]
            @ table.reshape(int(spoken.sum()), len(known))
            / weights[:, spoken].sum(axis=1, keepdims=True)
        )
        for dimension, names in DIMENSIONS.items():
            there = [known.index(name) for name in names if name in known]
            if there:
                theirs = np.asarray([row.features[known[i]] for i in there])
                parts[dimension] = _similarity(means[:, there], theirs).mean(axis=1)
        parts[CALIBRATION] = 1 - _calibration_error(tasks, row.success, weights)
    return parts


def _similarity(mine: Array, theirs: Array) -> Array:
    """``2 min / sum``, and 1 if both are 0, for many amounts, none of them negative."""
    total = mine + theirs
    return np.where(total == 0, 1.0, 2 * np.minimum(mine, theirs) / np.where(total == 0, 1.0, total))


def _calibration_error(tasks: Sequence[TaskMoments], success: Mapping[str, float], weights: Array) -> Array:
    """Difference in success, weighted over the bins that have it on both sides; NaN where there is no such bin."""
    error, n = np.zeros(len(weights)), np.zeros(len(weights))
    for name, theirs in success.items():
        inside = weights[:, [i for i, m in enumerate(tasks) if m.bin == name]]
        mine = np.asarray([m.success for m in tasks if m.bin == name])
        error += np.abs(inside @ mine - inside.sum(axis=1) * theirs)
        n += inside.sum(axis=1)
    found: Array = error / n
    return found


class SeatRewards:
    """``rewards=`` of `multi_agent.tau_v0`: the rule reward for ``agent_0``, likeness for ``user_0``.

    A row of means says nothing about one episode, so the user's reward is the likeness of its last ``window`` scored
    episodes, this one included: an episode changes it by its share. An `Outcome` does not name its task, so success is
    compared overall, not by difficulty. A trainer with a batch at hand calls `likeness_reward` on its traces instead.
    One object serves one learner: it remembers.

    Args:
        target: what to be like.
        part: which of its rows.
        window: scored episodes that the means are over.

    Raises:
        TermsError: the target's terms forbid training.
        UsageError: a window below 1.
    """

    def __init__(self, target: Target, part: str = "tuning", window: int = 50) -> None:
        self._row = target.for_training().part(part)
        if window < 1:
            raise UsageError(f"window is a number of episodes, at least 1, got {window!r}.")
        self._recent: deque[TaskMoments] = deque(maxlen=window)
        self._last = 0.0

    def __call__(self, outcome: Outcome) -> dict[str, float]:
        """Both rewards of a scored episode; one in which the user's seat never spoke repeats the last value."""
        feedback = outcome.feedback
        if feedback.reward is None:
            raise UsageError("This episode is not scored, so it has no reward. Leave it out.")
        if feedback.behaviour is not None:
            features = mean_features([feedback.behaviour])
            self._recent.append(TaskMoments(features, float(feedback.reward > 0), OVERALL))
            self._last = score(self._recent, self._row).total or 0.0
        return {AGENT: feedback.reward, USER: self._last}
