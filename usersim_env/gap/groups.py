"""The rule reward's gap in parts: per difficulty bin and per domain."""

from __future__ import annotations

import json
import os
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usersim_env.errors import UsageError
from usersim_env.gap.bootstrap import BootstrapSettings, Interval, intervals
from usersim_env.gap.pairing import few

CUTS = (0.2, 0.4, 0.6, 0.8)
"""Cut-offs of the five bins; a value below a cut-off belongs to the lower bin (arXiv:2603.11245)."""

BINS = ("below 0.2 (hardest)", "0.2 to 0.4", "0.4 to 0.6", "0.6 to 0.8", "0.8 and above (easiest)")


@dataclass(frozen=True)
class GroupGap:
    """The rule reward on some of the tasks: mean over them per side, and the gap."""

    name: str
    n_tasks: int
    sim: Interval
    reference: Interval
    gap: Interval


def group_gaps(
    groups: Mapping[str, str],
    means: tuple[NDArray[np.float64], NDArray[np.float64]],
    names: Sequence[str],
    settings: tuple[BootstrapSettings, BootstrapSettings],
) -> tuple[GroupGap, ...]:
    """One entry per group that has tasks, in the order of ``names``.

    Args:
        groups: task → its group, in the order of the rows; a task without a group is left out by the empty string.
        means: the rule reward's mean per task, simulated side first.
        names: of the groups.
        settings: of the intervals of rates and of gaps.
    """
    there = [name for name in names if name in set(groups.values())]
    if not there:
        return ()
    inside = np.array([[group == name for name in there] for group in groups.values()])
    tables = [np.where(inside, side[:, None], np.nan) for side in (*means, means[1] - means[0])]
    rates, gaps = settings
    found = []
    columns = zip(
        there, intervals(tables[0], rates), intervals(tables[1], rates), intervals(tables[2], gaps), strict=True
    )
    for name, sim, reference, gap in columns:
        assert sim is not None and reference is not None and gap is not None  # a group that is there has a task
        found.append(GroupGap(name, gap.n_tasks, sim, reference, gap))
    return tuple(found)


def bin_of(success: float) -> str:
    """The difficulty bin of a task with this mean success. Means of rounded numbers may miss a cut-off by a hair."""
    return BINS[bisect_right(CUTS, success + 1e-9)]


def difficulty_bins(
    tasks: Sequence[str], pooled: NDArray[np.float64], difficulty: Mapping[str, float] | None
) -> dict[str, str]:
    """Task → bin, by the difficulty given or by success pooled over both sides, each side with the same weight.

    Raises:
        UsageError: the difficulty given has none of the tasks.
    """
    if difficulty is None:
        return {task: bin_of(float(x)) for task, x in zip(tasks, pooled, strict=True)}
    found = {task: bin_of(difficulty[task]) if task in difficulty else "" for task in tasks}
    if not any(found.values()):
        raise UsageError(
            f"The difficulty given has {few(list(difficulty))}, but none of the {len(tasks)} compared tasks "
            f"({few(tasks)}). Give one for these tasks, or leave it out: bins are then made of pooled success."
        )
    return found


def read_difficulty(path: str | os.PathLike[str]) -> dict[str, float]:
    """A file of ``{"difficulty": {"retail/test/0": 0.71, …}}``: mean success by task, so 0 is hardest.

    tau-usi's names (``retail_0``) stand for tasks of the split ``test``.

    Raises:
        UsageError: there is no such file, or it holds something else: what, and where.
    """
    try:
        content = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise UsageError(f"No difficulty can be read from {path}: {error.strerror}.") from None
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}.") from None
    table = content.get("difficulty", content) if isinstance(content, dict) else content
    if not isinstance(table, dict) or not table:
        raise UsageError(f'{path} holds no difficulty; expected {{"difficulty": {{"retail/test/0": 0.71}}}}.')
    for task, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise UsageError(f"{path}: the difficulty of {task} is {value!r}; expected a mean success from 0 to 1.")
    return {re.sub(r"^([a-z]+)_(\d+)$", r"\1/test/\2", task): float(value) for task, value in table.items()}
