"""pass^k: the chance that an agent succeeds in all of *k* episodes of a task, for both sides.

Source: τ-bench (arXiv:2406.12045, section 3): per task C(c, k) / C(n, k) with *c* successes in *n* episodes, averaged
over tasks. A task counts for *k* where both sides have at least *k* episodes: both are averages over the same tasks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from usersim_env.gap.bootstrap import BootstrapSettings, Interval, intervals
from usersim_env.gap.task_means import RULE

_MOST = 8  # rows of a table

_ByTask = Mapping[str, Sequence[Mapping[str, float]]]


@dataclass(frozen=True)
class PassK:
    """pass^k of both sides over the tasks that have ``k`` episodes on both, and its gap."""

    k: int
    n_tasks: int
    sim: Interval
    reference: Interval
    gap: Interval


def pass_k(sim: _ByTask, reference: _ByTask, rates: BootstrapSettings, gaps: BootstrapSettings) -> tuple[PassK, ...]:
    """pass^1, pass^2 … as long as at least two tasks have that many episodes on both sides, at most to 8.

    Args:
        sim: signals of the scored episodes by task.
        reference: likewise, for the same tasks; at least two.
        rates: how intervals of the two rates are made.
        gaps: likewise for their difference.
    """
    most = sorted(min(len(sim[task]), len(reference[task])) for task in sim)[-2]
    ks = range(1, min(most, _MOST) + 1)
    tables = [np.array([[_estimate(side[task], k) for k in ks] for task in sim]) for side in (sim, reference)]
    both = ~np.isnan(tables[1] - tables[0])
    mine, theirs = (intervals(np.where(both, table, np.nan), rates) for table in tables)
    differences = intervals(tables[1] - tables[0], gaps)
    found = []
    for k, a, b, gap in zip(ks, mine, theirs, differences, strict=True):
        assert a is not None and b is not None and gap is not None  # at least two tasks have k episodes
        found.append(PassK(k, gap.n_tasks, a, b, gap))
    return tuple(found)


def _estimate(episodes: Sequence[Mapping[str, float]], k: int) -> float:
    """C(c, k) / C(n, k); NaN with fewer than ``k`` episodes."""
    n, c = len(episodes), sum(succeeded(episode[RULE]) for episode in episodes)
    return math.comb(c, k) / math.comb(n, k) if n >= k else math.nan


def succeeded(reward: float) -> bool:
    """Whether a rule reward counts as success: 1.0 up to rounding, as in τ-bench."""
    return reward >= 1 - 1e-6
