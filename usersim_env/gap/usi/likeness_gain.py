"""Whether one user side is closer to a target row than another: a difference with an interval, paired over tasks.

Likeness compares means, so it is no mean over tasks, and the interval of `gap.bootstrap` does not fit it. The drawing
is the same, whole tasks at a time; both sides are measured anew on every redrawn set, and the interval is that of the
percentiles (Efron and Tibshirani 1993, chapter 13). Redrawing adds noise, which can only lower the likeness of a side
that is close: it errs towards a smaller gain. The target row is taken as given: its own sampling error is not in the
interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from usersim_env.errors import UsageError
from usersim_env.gap.bootstrap import DEGENERATE, BootstrapSettings, Interval
from usersim_env.gap.usi.likeness_reward import TaskMoments, weighted_parts
from usersim_env.gap.usi.target import TargetRow

Side = Mapping[str, TaskMoments]
"""Task id → means, as `moments_by_task` gives them."""

REPLICATES = BootstrapSettings(replicates=2_000)


def likeness_gain(
    before: Side, after: Sequence[Side], row: TargetRow, settings: BootstrapSettings = REPLICATES
) -> Interval:
    """By how much likeness rises, from -1 to 1.

    Args:
        before: the user side to compare with.
        after: one other user side, or several (repetitions of one method), of which the mean is taken.
        row: what they are compared with.
        settings: of the bootstrap.

    Raises:
        UsageError: fewer than three tasks are scored on all sides, or there is nothing to compare.
    """
    shared = [task for task in before if all(task in side for side in after)]
    if len(shared) < 3 or not after:
        raise UsageError(f"{len(shared)} tasks are scored on all sides; a gain takes at least 3, and a side after.")
    n = len(shared)
    drawn = np.random.default_rng(settings.seed).multinomial(n, np.full(n, 1 / n), size=settings.replicates)
    weights = np.vstack([np.ones(n), drawn]).astype(np.float64)  # first the tasks as they are
    totals = [_totals([side[task] for task in shared], row, weights) for side in (before, *after)]
    gains = np.mean(totals[1:], axis=0) - totals[0]
    if np.isnan(gains[0]):
        raise UsageError("The target has no feature and no success that these tasks have: there is nothing to compare.")
    estimate, redrawn = float(gains[0]), gains[1:][~np.isnan(gains[1:])]
    if np.ptp(redrawn) < 1e-12:
        return Interval(estimate, estimate, estimate, 0.0, n, DEGENERATE)
    tail = (1 - settings.level) / 2
    low, high = np.quantile(redrawn, (tail, 1 - tail))
    return Interval(estimate, float(low), float(high), float(redrawn.std(ddof=1)), n)


def _totals(tasks: Sequence[TaskMoments], row: TargetRow, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Likeness under each weighting, over the parts that all tasks together have."""
    parts = weighted_parts(tasks, row, weights)
    there = [values for values in parts.values() if not np.isnan(values[0])]
    found: NDArray[np.float64] = np.mean(there, axis=0) if there else np.full(len(weights), np.nan)
    return found
