"""Who gets which task: balanced, each person another one, and what was given up is handed out again."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence

from usersim_env.study.records import HOLDING, Sitting


def next_place(
    tasks: Sequence[str], per_task: int, sittings: Iterable[Sitting], had: Collection[str], rng: random.Random
) -> tuple[str, int] | None:
    """A task and its batch for the next person; ``None`` when every place that they could take is taken.

    Args:
        tasks: ids.
        per_task: places of each.
        sittings: all so far.
        had: tasks that this person has had, in whatever state.
        rng: breaks ties.
    """
    taken: dict[str, set[int]] = {task: set() for task in tasks}
    for sitting in sittings:
        if sitting.state in HOLDING and sitting.task in taken:
            taken[sitting.task].add(sitting.batch)
    open_tasks = [task for task in tasks if len(taken[task]) < per_task and task not in had]
    if not open_tasks:
        return None
    fewest = min(len(taken[task]) for task in open_tasks)
    task = rng.choice([task for task in open_tasks if len(taken[task]) == fewest])
    return task, min(set(range(1, per_task + 1)) - taken[task])
