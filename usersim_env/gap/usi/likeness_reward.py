"""The reward of a learner in the user's seat: how close the means of its episodes come to a target row.

Moment matching, dimension by dimension: the mean of each feature over tasks is compared with the target's by
`similarity` and averaged over the features of its dimension; the outcome calibration stands beside the four dimensions.
With a whole row it is the five-part index of arXiv:2603.11245 divided by 100. Single conversations are never compared
with a mean: a row of 15 % polite turns is matched by episodes that are polite in turn, not by every episode alike.

It sees means alone, so it cannot tell a crowd from its average, and it can be pleased without being more human: judge
what was tuned by something that it was not tuned on.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from usersim_env.behaviour import DIMENSIONS, FEATURES, RATES
from usersim_env.conversation import Outcome
from usersim_env.errors import UsageError
from usersim_env.gap.task_means import behaviour_of
from usersim_env.gap.usi.similarity import Row, similarity
from usersim_env.gap.usi.target import OVERALL, Target, TargetRow
from usersim_env.multi_agent.seats import AGENT, USER
from usersim_env.trace import Trace

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
    features = [m.features for m in tasks if m.features is not None]
    parts: dict[str, float] = {}
    for dimension, names in DIMENSIONS.items():
        alike = [
            similarity(math.fsum(f[name] for f in features) / len(features), row.features[name])
            for name in names
            if features and name in row.features
        ]
        if alike:
            parts[dimension] = math.fsum(alike) / len(alike)
    error = _calibration_error(tasks, row.success)
    if error is not None:
        parts[CALIBRATION] = 1 - error
    return LikenessScore(parts, len(tasks))


def _calibration_error(tasks: Iterable[TaskMoments], success: Mapping[str, float]) -> float | None:
    """Difference in success, weighted over the bins that have it on both sides; ``None`` where there is no such bin."""
    bins: dict[str, list[float]] = {}
    for moments in tasks:
        if moments.bin is not None and moments.bin in success:
            bins.setdefault(moments.bin, []).append(moments.success)
    n = sum(map(len, bins.values()))
    return sum(abs(math.fsum(mine) - len(mine) * success[name]) for name, mine in bins.items()) / n if n else None


class SeatRewards:
    """``rewards=`` of `multi_agent.tau_v0`: the rule reward for ``agent_0``, likeness for ``user_0``.

    A row of means says nothing about one episode, so the user's reward is the likeness of its last ``window`` scored
    episodes, this one included: an episode changes it by its share. An `Outcome` does not name its task, so success is
    compared overall, not by difficulty. A trainer with a batch at hand calls `likeness_reward` on its traces instead. One
    object serves one learner: it remembers.

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
