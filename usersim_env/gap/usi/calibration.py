"""Outcome calibration error: whether agents succeed as often as with people, on easy and on hard tasks alike.

Source: arXiv:2603.11245. The difficulty of a task is a success rate: high is easy.
"""

from __future__ import annotations

import bisect
import os
from collections.abc import Iterable, Mapping

from usersim_env.errors import UsageError
from usersim_env.gap.usi.files import read_object
from usersim_env.gap.usi.sessions import ByTask, Sessions, task_key

CUTS = (0.2, 0.4, 0.6, 0.8)
"""Where a difficulty bin ends; a task right on a cut-off belongs to the bin above."""

MIN_SAMPLES = 10
"""Sessions that a task needs for its pooled success rate to count as its difficulty."""

Difficulty = Mapping[str, float]
"""Task key → success rate."""


def calibration_error(sim: ByTask, human: ByTask, difficulty: Difficulty) -> float | None:
    """The mean over tasks of their bin's difference in success, from 0 to 1.

    ``None`` if no task is scored on both sides and has a difficulty. Success is a rule reward above 0.
    """
    bins: dict[int, list[tuple[bool, bool]]] = {}
    for task in sorted(sim.keys() & human.keys() & difficulty.keys()):
        mine, theirs = sim[task].reward, human[task].reward
        if mine is not None and theirs is not None:
            bins.setdefault(bisect.bisect_right(CUTS, difficulty[task]), []).append((mine > 0, theirs > 0))
    n = sum(map(len, bins.values()))
    if not n:
        return None
    return sum(abs(sum(a for a, _ in pairs) - sum(b for _, b in pairs)) for pairs in bins.values()) / n


def given_difficulty(source: str | os.PathLike[str] | Mapping[str, object]) -> dict[str, float]:
    """The table in a file ``{"difficulty": {task: success rate}}``, or given as such; keys or ids of tasks.

    Raises:
        UsageError: it is empty, or a value is no number from 0 to 1.
    """
    where = "the difficulty table" if isinstance(source, Mapping) else str(source)
    content = source if isinstance(source, Mapping) else read_object(source)
    table = content.get("difficulty", content)
    example = '{"difficulty": {"airline_0": 0.72}}'
    if not isinstance(table, Mapping) or not table:
        raise UsageError(f"{where}: there is no difficulty in it. Expected {example}")
    found = {}
    for task, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise UsageError(f"{where}: {task}: expected a success rate from 0 to 1, got {value!r:.80}. See {example}")
        found[task_key(task)] = float(value)
    return found


def pooled_difficulty(sims: Iterable[Sessions], min_samples: int = MIN_SAMPLES) -> dict[str, float]:
    """Each task's success over all runs of all simulators, where it has at least ``min_samples`` sessions.

    Raises:
        UsageError: no task has as many.
    """
    if min_samples < 1:
        raise UsageError(f"The minimum of samples is {min_samples}; expected at least 1, for example {MIN_SAMPLES}.")
    outcomes: dict[str, list[bool]] = {}
    for sim in sims:
        for run in sim.copies.values():
            for task, session in run.items():
                if session.reward is not None:
                    outcomes.setdefault(task, []).append(session.reward > 0)
    found = {task: sum(won) / len(won) for task, won in outcomes.items() if len(won) >= min_samples}
    if not found:
        most = max(map(len, outcomes.values()), default=0)
        raise UsageError(
            f"No task has a difficulty: the simulators given have at most {most} scored sessions of a task, "
            f"{min_samples} are needed. Give a table with --difficulty FILE, more simulators or runs, or a lower "
            "--min-samples."
        )
    return found
