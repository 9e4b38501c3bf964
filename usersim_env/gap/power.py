"""What the data at hand could have shown: the minimum detectable effect, and the tasks that a smaller one needs.

With *n* tasks whose differences have the standard deviation *s*, a two-sided test at level α finds a gap of

    MDE = (t(1 − α/2, n − 1) + t(power, n − 1)) · s / √n

with the probability *power*, where t is Student's quantile. Source: Bloom, Evaluation Review 19 (1995); s contains
what the number of episodes per task adds, so the formula needs no model of clusters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from usersim_env.gap.bootstrap import DEGENERATE, Interval, student_quantile

POWER = 0.8
"""Probability of finding a gap as large as the minimum detectable effect."""


@dataclass(frozen=True)
class Detectable:
    """The smallest gap that the data would probably have shown.

    Attributes:
        gap: minimum detectable effect; ``None`` where the spread between tasks is unknown or 0.
        n_tasks: tasks behind it.
        tasks_for: gap → tasks that would be needed to see it, with the same spread and episodes per task.
        word: why there is none, else empty.
    """

    gap: float | None
    n_tasks: int
    tasks_for: dict[str, int]
    word: str = ""


def detectable(gap: Interval, level: float = 0.95, targets: tuple[float, ...] = (0.05, 0.1, 0.2)) -> Detectable:
    """The minimum detectable effect at `POWER` for a test at ``1 − level``, from an estimated gap's standard error."""
    if gap.se is None:
        return Detectable(None, gap.n_tasks, {}, gap.word)
    if gap.word == DEGENERATE or gap.se == 0:
        return Detectable(None, gap.n_tasks, {}, "degenerate: tasks do not differ, so their spread is unknown")
    freedom = gap.n_tasks - 1
    reach = student_quantile(1 - (1 - level) / 2, freedom) + student_quantile(POWER, freedom)
    spread = gap.se * math.sqrt(gap.n_tasks)
    needed = {f"{target:g}": tasks_needed(target, spread, level) for target in targets}
    return Detectable(reach * gap.se, gap.n_tasks, needed)


def tasks_needed(gap: float, spread: float, level: float = 0.95) -> int:
    """Tasks with which a gap is found at `POWER`; ``spread`` is the standard deviation of the tasks' differences."""
    normal = NormalDist()
    first = (normal.inv_cdf(1 - (1 - level) / 2) + normal.inv_cdf(POWER)) ** 2 * (spread / gap) ** 2
    n = max(3, math.ceil(first))
    # Student's quantiles are larger than the normal ones: a few tasks more.
    while _reach(n, level) * spread / math.sqrt(n) > gap:
        n += 1
    return n


def _reach(n: int, level: float) -> float:
    return student_quantile(1 - (1 - level) / 2, n - 1) + student_quantile(POWER, n - 1)
