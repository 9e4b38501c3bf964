"""Intervals for a mean over tasks: the studentised (bootstrap-t) bootstrap, with tasks as clusters.

The estimand is a mean over *possible* tasks of one number per task (for a gap: reference mean minus simulated
mean), so a whole task is drawn at a time and its episodes stay together. Sources: Efron and Tibshirani, *An
Introduction to the Bootstrap* (1993), section 12.5; Hall, "Theoretical comparison of bootstrap confidence
intervals", Annals of Statistics 16 (1988).

An interval is never narrower, on either side, than Student's t interval of the same numbers. The bootstrap alone cannot
see what the data does not show: when three of twenty tasks differ, all in one direction, it takes for granted that
none could differ in the other, and covers too little.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usersim_env.errors import UsageError

DEGENERATE = "degenerate"
"""Word of an interval that is a point because all tasks gave the same number."""

ONE_TASK = "one task"
"""Word of an estimate that has no interval because a single task has the signal."""

_EQUAL = 1e-12  # values in [-1, 1] that differ by less are equal up to rounding
_CHUNK = 4_000_000  # drawn counts held in memory at a time

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BootstrapSettings:
    """How intervals are made.

    Attributes:
        replicates: number of redrawn sets of tasks, at least 100.
        level: coverage aimed at, strictly between 0.5 and 1.
        seed: of the generator; equal seeds give equal intervals.
        bounds: lowest and highest possible mean; an interval does not reach beyond them.
    """

    replicates: int = 10_000
    level: float = 0.95
    seed: int = 0
    bounds: tuple[float, float] = (-1.0, 1.0)

    def __post_init__(self) -> None:
        if self.replicates < 100:
            raise UsageError(f"replicates is {self.replicates}; expected at least 100, for example 10000.")
        if not 0.5 < self.level < 1:
            raise UsageError(f"level is {self.level}; expected a number between 0.5 and 1, for example 0.95.")


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval; never NaN.

    Attributes:
        estimate: the mean over tasks.
        low, high, se: ends and standard error; ``None`` for a single task.
        n_tasks: tasks that have a value.
        word: empty, `DEGENERATE` or `ONE_TASK`.
    """

    estimate: float
    low: float | None
    high: float | None
    se: float | None
    n_tasks: int
    word: str = ""

    @property
    def covers_zero(self) -> bool:
        """Whether 0 is inside; true where there is no interval."""
        return self.low is None or self.high is None or self.low <= 0 <= self.high


def intervals(values: ArrayLike, settings: BootstrapSettings | None = None) -> list[Interval | None]:
    """An interval for the mean of each column.

    Each column is resampled over the tasks that have a value, from a fresh generator: but for rounding, adding
    a column changes no other.

    Args:
        values: tasks × signals; NaN where a task lacks a signal.
        settings: how; see `BootstrapSettings`.

    Returns:
        One entry per column; ``None`` where no task has a value.
    """
    settings = settings if settings is not None else BootstrapSettings()
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2:
        raise UsageError(f"values has {table.ndim} dimensions; expected 2: tasks × signals.")
    if np.isinf(table).any():
        raise UsageError("values holds an infinite number; expected finite ones, and NaN for what is missing.")
    there = ~np.isnan(table)
    found: list[Interval | None] = [None] * table.shape[1]
    patterns: dict[bytes, list[int]] = {}
    for column in range(table.shape[1]):
        patterns.setdefault(there[:, column].tobytes(), []).append(column)
    for columns in patterns.values():
        rows = there[:, columns[0]]
        for column, interval in zip(columns, _complete(table[rows][:, columns], settings), strict=True):
            found[column] = interval
    return found


def interval(values: ArrayLike, settings: BootstrapSettings | None = None) -> Interval | None:
    """`intervals` for one number per task."""
    return intervals(np.asarray(values, dtype=np.float64).reshape(-1, 1), settings)[0]


def _complete(table: Array, settings: BootstrapSettings) -> list[Interval | None]:
    """Intervals of columns without gaps."""
    n, width = table.shape
    if n == 0:
        return [None] * width
    if n == 1:
        return [Interval(float(x), None, None, None, 1, ONE_TASK) for x in table[0]]
    equal = np.ptp(table, axis=0) <= _EQUAL
    found: list[Interval | None] = []
    spread = iter(_studentised(table[:, ~equal], settings)) if not equal.all() else iter(())
    for column, same in enumerate(equal):
        if same:
            x = float(table[0, column])
            found.append(Interval(x, x, x, 0.0, n, DEGENERATE))
        else:
            found.append(next(spread))
    return found


def _studentised(table: Array, settings: BootstrapSettings) -> list[Interval]:
    n = table.shape[0]
    mean = table.mean(axis=0)
    variance = table.var(axis=0, ddof=1)
    se = np.sqrt(variance / n)
    t = np.concatenate(list(_t_values(table - mean, variance, settings)))
    tail = (1 - settings.level) / 2
    student = student_quantile(1 - tail, n - 1)
    below, above = np.quantile(t, (tail, 1 - tail), axis=0)
    below, above = np.minimum(below, -student), np.maximum(above, student)
    # The upper end comes from the lower tail, and the other way round: that is what adapts the interval to skewness.
    low, high = (np.clip(x, *settings.bounds) for x in (mean - above * se, mean - below * se))
    return [Interval(float(m), float(a), float(b), float(s), n) for m, a, b, s in zip(mean, low, high, se, strict=True)]


def _t_values(centred: Array, variance: Array, settings: BootstrapSettings) -> Iterator[Array]:
    """Blocks of replicates × signals: each replicate's distance from the estimate in its own standard errors.

    A redrawn set can have (almost) no variance: 19 equal tasks and a different one give it in a third of all sets. The
    variance of a set therefore counts the data's own as one more observation. That keeps t finite and the interval
    wide there, and changes ordinary ones by an order less than the bootstrap's own error.
    """
    n = centred.shape[0]
    generator = np.random.default_rng(settings.seed)
    block = max(1, min(settings.replicates, _CHUNK // n))
    shares = np.full(n, 1 / n)
    for start in range(0, settings.replicates, block):
        counts = generator.multinomial(n, shares, size=min(block, settings.replicates - start)).astype(float)
        means = counts @ centred / n
        squares = np.maximum(counts @ centred**2 - n * means**2, 0)
        yield means / np.sqrt((squares + variance) / n / n)


def student_quantile(p: float, freedom: int) -> float:
    """Quantile of Student's t, within 1 % for ``p`` up to 0.995.

    Exact for one and two degrees of freedom, else the expansion of Abramowitz and Stegun (1964), 26.7.5.
    """
    if freedom == 1:
        return math.tan(math.pi * (p - 0.5))
    if freedom == 2:
        return (2 * p - 1) * math.sqrt(2 / (4 * p * (1 - p)))
    z = NormalDist().inv_cdf(p)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(freedom) ** (i + 1) for i, term in enumerate(terms))
