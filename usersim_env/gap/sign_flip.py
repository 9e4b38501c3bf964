"""The sign-flip test of a mean over tasks, and Holm's correction for several of them.

If the two sides do not differ, a task's difference is as likely to be +x as −x. So the signs of whole tasks are flipped
at random (a task's episodes stay together), and the p-value is the share of flips whose mean is further from 0 than the
one found, plus half the share of those that are as far. Counting half is the mid-p of Lancaster, JASA 56 (1961):
rewards are 0 or 1 and mostly equal, so ties are frequent, and counting them whole finds a gap too seldom.

Sources: Fisher, *The Design of Experiments* (1935), section 21; for drawn flips, among which the data's own signs count
once, Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology 9 (2010), article 39; Holm,
Scandinavian Journal of Statistics 6 (1979).

Differences that are not symmetric around 0, as with unequal numbers of episodes, make the test approximate: see
docs/measuring.md for how often it is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_SAME = 1e-9  # means that differ by less, relative to the largest possible one, are ties

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SignFlip:
    """A two-sided test of "the mean over tasks is 0".

    Attributes:
        p: mid-p of a mean this far from 0 if signs were chance; 1.0 where all differences are 0.
        exact: whether all flips were counted; otherwise they were drawn.
        flips: how many were counted or drawn.
        p_holm: ``p`` corrected for the number of signals tested together; ``None`` until `holm` has been applied.
    """

    p: float
    exact: bool
    flips: int
    p_holm: float | None = None


def sign_flip(values: ArrayLike, draws: int = 10_000, seed: int = 0) -> list[SignFlip | None]:
    """The test for each column; the flips of one task are the same in all columns.

    All flips are counted where that takes at most ``draws`` (up to 14 tasks that differ, with 10,000), else ``draws``
    of them are drawn from a fresh generator: equal seeds give equal p-values.

    Args:
        values: tasks × signals, each a difference; NaN where a task lacks a signal.
        draws: most flips per column.
        seed: of the generator.

    Returns:
        One entry per column; ``None`` where fewer than two tasks have a value.
    """
    table = np.asarray(values, dtype=np.float64)
    there = ~np.isnan(table)
    filled = np.where(there, table, 0.0)
    found: list[SignFlip | None] = [None] * table.shape[1]
    many: list[int] = []
    for column in range(table.shape[1]):
        moving = filled[filled[:, column] != 0, column]  # flipping a 0 changes nothing
        if there[:, column].sum() < 2:
            continue
        if moving.size == 0:
            found[column] = SignFlip(1.0, True, 1)
        elif 2 ** (moving.size - 1) <= draws:
            found[column] = _all_flips(moving)
        else:
            many.append(column)
    if many:
        counts = _drawn_flips(filled[:, many], draws, seed)
        for column, count in zip(many, counts, strict=True):
            found[column] = SignFlip((float(count) + 0.5) / (draws + 1), False, draws)
    return found


def holm(tests: Sequence[SignFlip | None]) -> list[float | None]:
    """Holm's step-down p-values over the tests that there are; at most 1, and never smaller than the plain ones."""
    there = sorted((test.p, index) for index, test in enumerate(tests) if test is not None)
    found: list[float | None] = [None] * len(tests)
    largest = 0.0
    for rank, (p, index) in enumerate(there):
        largest = max(largest, min(1.0, p * (len(there) - rank)))
        found[index] = largest
    return found


def _all_flips(values: Array) -> SignFlip:
    """Every pattern of signs; the first sign stays, as a pattern and its mirror image are equally far from 0."""
    n = values.size - 1
    bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    sums = values[0] + (1 - 2 * bits) @ values[1:]
    p = _further(sums[:, None], values[:, None]).mean()
    return SignFlip(float(p), True, sums.size)


def _drawn_flips(table: Array, draws: int, seed: int) -> Array:
    """Per column, how many of the drawn flips are further from 0 than the data; those as far count half."""
    generator = np.random.default_rng(seed)
    counts = np.zeros(table.shape[1])
    block = max(1, 2_000_000 // max(table.shape))
    for start in range(0, draws, block):
        size = (min(block, draws - start), table.shape[0])
        signs = 1.0 - 2.0 * generator.integers(0, 2, size=size, dtype=np.int8)
        counts += _further(signs @ table, table).sum(axis=0)
    return counts


def _further(sums: Array, table: Array) -> Array:
    """1 for a sum further from 0 than that of the column, 0.5 for one as far, 0 for a nearer one."""
    apart = np.abs(sums) - np.abs(table.sum(axis=0))
    room = _SAME * np.abs(table).sum(axis=0)
    further: Array = ((apart > room).astype(float) + (apart >= -room)) / 2
    return further
