"""Whether a gap has grown since the start, with a bound on false alarms over a whole run of looks.

Every look plays the same tasks with fresh episodes, so the looks share their tasks and the start that they are all
compared with: they depend on each other. Each look therefore gets a share of the error allowed for the whole run, and
the union bound holds whatever the dependence, and however many looks there are (alpha spending: Lan and DeMets,
"Discrete sequential boundaries for clinical trials", Biometrika 70 (1983); as a time-uniform bound: Howard, Ramdas,
McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals of Statistics 49 (2021),
section 1).

The test of one look is Student's, over tasks. It speaks of the gap on the tasks watched: their own differences count
as noise, which makes it cautious. For other tasks it speaks as far as those watched are a sample of them. A bound by
betting in its place (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86
(2024)) needs no approximation, but was tried and sees too little: at 50 tasks, a gap that grows from 0 to 0.3 in fewer
than one run in a hundred, where Student's test sees it in more than nine of ten.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usersim_env.gap.bootstrap import student_quantile

Array = NDArray[np.float64]

_PLANNED = 0.9  # part of the error that the planned looks share; the rest is for those beyond the plan
_EQUAL = 1e-12


@dataclass(frozen=True)
class Band:
    """The gap of one look.

    Attributes:
        estimate: mean over tasks of the task's difference of means, reference (or real) minus simulated.
        low, high: ends of a band that holds the gap at *all* looks with the level asked for.
        n_tasks: tasks with a scored episode on both sides.
    """

    estimate: float
    low: float
    high: float
    n_tasks: int


@dataclass(frozen=True)
class Growth:
    """A look against the first one, over the tasks that both have.

    Attributes:
        estimate: |gap now| − |gap at the start|.
        alarm: |gap| has grown, beyond what chance explains.
    """

    estimate: float
    n_tasks: int
    alarm: bool


def share(test: int, planned: int) -> float:
    """The part of the error allowed for a whole run that its ``test``-th comparison (from 1) gets.

    Nine tenths in equal parts for the looks planned; one tenth, in falling parts, for all that follow. The parts of an
    endless run sum to 1.
    """
    if test <= planned:
        return _PLANNED / planned
    return (1 - _PLANNED) * (planned + 1) / (test * (test + 1))


def band(differences: Mapping[str, float], error: float) -> Band | None:
    """The gap with ends that miss it with a chance of ``error``; ``None`` for fewer than two tasks."""
    values = np.array(list(differences.values()))
    n = values.size
    if n < 2:
        return None
    mean = math.fsum(values) / n
    reach = student_quantile(1 - error / 2, n - 1) * float(values.std(ddof=1)) / math.sqrt(n)
    return Band(mean, max(mean - reach, -1.0), min(mean + reach, 1.0), n)


def growth(start: Mapping[str, float], now: Mapping[str, float], error: float) -> Growth | None:
    """Compares two looks by their differences per task; ``None`` for fewer than two tasks that both have."""
    tasks = [task for task in start if task in now]
    if len(tasks) < 2:
        return None
    before, after = (np.array([look[task] for task in tasks]) for look in (start, now))
    n = len(tasks)
    estimate = abs(math.fsum(after) / n) - abs(math.fsum(before) / n)
    return Growth(estimate, n, grown(before, after, error))


def grown(before: Array, after: Array, error: float) -> bool:
    """Whether |mean of ``after``| is above |mean of ``before``|; false with a chance of at most ``error``.

    |b| > |a| means that b − a and b + a have the same sign. The alarm wants both above 0, or both below 0. Where |gap|
    has not grown, one of the two is not above 0 and one is not below 0, so each direction is wrongly taken only if one
    test of half the error fails (an intersection-union test: Berger, Technometrics 24 (1982)).

    Args:
        before: one difference per task, in [-1, 1].
        after: likewise, of the same tasks in the same order.
        error: chance of a false alarm that is allowed.
    """
    change, total = after - before, after + before
    return any(_above(sign * change, error / 2) and _above(sign * total, error / 2) for sign in (1, -1))


def fewest_tasks(error: float) -> int:
    """Tasks that must differ before a look may raise an alarm; see `_above`."""
    return max(2, math.ceil(math.log2(2 / error)))


def _above(values: Array, error: float) -> bool:
    """Student's one-sided test that the mean is above 0.

    Where few tasks differ at all it could be too sure: m of them are all above 0 by chance in 2^-m of all cases (the
    sign test), so fewer than that many never count.
    """
    if np.count_nonzero(np.abs(values) > _EQUAL) < math.log2(1 / error):
        return False
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    return mean > student_quantile(1 - error, values.size - 1) * deviation / math.sqrt(values.size)
