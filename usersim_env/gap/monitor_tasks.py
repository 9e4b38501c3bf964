"""The tasks that a monitor watches, and what speaks against them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from usersim_env.domains import Domain, get_domain, get_task
from usersim_env.errors import UsageError
from usersim_env.gap.monitor_bound import fewest_tasks
from usersim_env.gap.monitor_history import History, MonitorSettings, SideScores
from usersim_env.gap.pairing import few
from usersim_env.rollouts import LOUD


class MonitorWarning(UserWarning):
    """Something about a monitor that a reader has to know before believing it."""


def checked_tasks(tasks: Sequence[str]) -> tuple[str, ...]:
    """The ids, if they exist, are two or more, and none comes twice.

    Raises:
        UnknownName: no such task.
        UsageError: too few, or one twice.
    """
    if isinstance(tasks, str):
        raise UsageError(f"tasks is a list of task ids such as ['retail/test/0'], got {tasks!r}.")
    found = tuple(get_task(task).id for task in tasks)
    if len(set(found)) != len(found):
        twice = sorted({task for task in found if found.count(task) > 1})
        raise UsageError(f"tasks names {few(twice)} more than once; each task counts once.")
    if len(found) < 2:
        raise UsageError(f"tasks has {len(found)}; tasks are the sample, so expected at least two, better fifty.")
    return found


def cautions(history: History) -> list[str]:
    """What speaks against the tasks of a monitor, in sentences."""
    settings, tasks = history.settings, [get_task(task) for task in history.tasks]
    domains = [get_domain(name) for name in dict.fromkeys(task.domain for task in tasks)]
    found = []
    hashes = _trained_on(settings, domains)
    trained = [task.id for task in tasks if task.hash in hashes]
    if trained:
        found.append(
            f"{len(trained)} of {len(tasks)} tasks are trained on ({few(trained)}): the gap on them mixes learning by "
            "heart with the user sides' difference. Watch held-out tasks, for example retail/test."
        )
    for domain in domains:
        if settings.trained_on is None and "train" not in domain.splits:
            found.append(
                f"{domain.name} has no train split, so a policy trained on {domain.name} has seen tasks of the split "
                "watched here. Say which with MonitorSettings(trained_on=[…]); [] if it is trained elsewhere."
            )
    least = fewest_tasks(settings.error(1))
    if len(tasks) < least:
        found.append(
            f"With {len(tasks)} tasks no alarm can come: with {settings.looks} looks at level {settings.level}, at "
            f"least {least} tasks have to differ. Watch more tasks, better fifty."
        )
    return found


def _trained_on(settings: MonitorSettings, domains: Sequence[Domain]) -> set[str]:
    if settings.trained_on is not None:
        return {get_task(task).hash for task in settings.trained_on}
    return {task.hash for domain in domains if "train" in domain.splits for task in domain.tasks("train")}


def check_failures(step: int, scores: Sequence[SideScores]) -> None:
    """Warns where so many episodes of a side have failed that a policy may have learnt to fail."""
    for side in scores:
        if side.failed_share > LOUD:
            warnings.warn(
                f"At step {step} {side.failed_share:.0%} of the episodes of the {side.label} side have failed and are "
                f"not scored ({dict(side.failed)}). A policy can gain by that: see the look's bounds(), or set "
                "agent_failures='zero'.",
                MonitorWarning,
                stacklevel=4,
            )


def check_signal(scores: Sequence[SideScores], signal: str, first: bool) -> None:
    """Raises (at the first look) or warns (later) if fewer than two tasks have the signal on both sides."""
    both = scores[0].values.keys() & scores[1].values.keys()
    if len(both) >= 2:
        return
    left_out = "; ".join(f"{side.label}: {dict(side.failed) or 'none left out'}" for side in scores)
    text = f"{len(both)} tasks have {signal} on both sides ({left_out}); a gap needs at least two."
    if first:
        raise UsageError(f"{text} Find the cause before training: later looks are compared with this one.")
    warnings.warn(f"{text} This look counts for nothing.", MonitorWarning, stacklevel=4)
