"""Whether one user side is closer to a target row than another: a difference with an interval, paired over tasks.

Likeness is no mean over tasks (it compares means), so each task gets its jackknife pseudo-value: n times the figure of
all tasks minus n − 1 times that of all but this one (Efron and Tibshirani 1993, section 11.5). Their mean is the figure
less its bias, and the package's interval for a mean over tasks applies. The target row is taken as given: its own
sampling error is not in the interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from usersim_env.errors import UsageError
from usersim_env.gap.bootstrap import BootstrapSettings, Interval, interval
from usersim_env.gap.usi.likeness_reward import TaskMoments, score
from usersim_env.gap.usi.target import TargetRow

Side = Mapping[str, TaskMoments]
"""Task id → means, as `moments_by_task` gives them."""


def likeness_gain(
    before: Side, after: Sequence[Side], row: TargetRow, settings: BootstrapSettings | None = None
) -> Interval:
    """By how much likeness rises, from -1 to 1.

    Args:
        before: the user side to compare with.
        after: one other user side, or several (repetitions of one method), whose mean is taken task by task.
        row: what both are compared with.
        settings: of the bootstrap.

    Raises:
        UsageError: fewer than three tasks are scored on all sides, or there is nothing to compare.
    """
    shared = [task for task in before if all(task in side for side in after)]
    if len(shared) < 3 or not after:
        raise UsageError(f"{len(shared)} tasks are scored on all sides; a gain takes at least 3, and a side after.")
    start = pseudo_values([before[task] for task in shared], row)
    rest = [pseudo_values([side[task] for task in shared], row) for side in after]
    found = interval(np.mean(rest, axis=0) - start, settings)
    assert found is not None
    return found


def pseudo_values(tasks: Sequence[TaskMoments], row: TargetRow) -> NDArray[np.float64]:
    """One number for each task; their mean is the likeness of all, less the jackknife's estimate of its bias.

    Raises:
        UsageError: the row and the tasks have no part in common, so there is no likeness.
    """
    n = len(tasks)
    whole = _total(tasks, row)
    without = [_total([*tasks[:i], *tasks[i + 1 :]], row) for i in range(n)]
    return np.asarray([n * whole - (n - 1) * part for part in without])


def _total(tasks: Sequence[TaskMoments], row: TargetRow) -> float:
    found = score(tasks, row).total
    if found is None:
        raise UsageError("The target has no feature and no success that these tasks have: there is nothing to compare.")
    return found
