"""Signals of episodes, and their means by task: what the intervals are made of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from usersim_env.errors import UsageError, UsersimError
from usersim_env.feedback.survey import FIELDS
from usersim_env.gap.episodes import AnyEpisode
from usersim_env.gap.sides import Side

RULE = "rule"
"""Name of the rule reward among the signals."""

_ORDER = (RULE, *(f"survey.{field}" for field in FIELDS), "survey.mean")


def signals_of(trace: AnyEpisode) -> Mapping[str, float]:
    """The signals of a scored episode, each in [0, 1]; one that is missing is absent.

    Signals stored in the trace are taken as they are, but for the rule reward, which is the trace's own.

    Raises:
        UsageError: a survey answer is unknown or a signal is not a number in [0, 1]: which episode, and what came.
    """
    try:
        found: Mapping[str, float] = trace.signals or trace.feedback.signals
    except UsersimError as error:
        raise UsageError(f"Episode {trace.id} ({trace.task_id}): {error}") from None
    if trace.reward is not None and found.get(RULE) != trace.reward:
        found = {**found, RULE: trace.reward}
    for name, value in found.items():
        if not 0 <= value <= 1:  # also true of NaN
            raise UsageError(
                f"Episode {trace.id} ({trace.task_id}): signal {name} is {value}; expected a number from 0 to 1. "
                "A signal that is missing has to be absent."
            )
    return found


def behaviour_of(trace: AnyEpisode) -> dict[str, float] | None:
    """The 19 features of the episode's user turns, as stored or computed; ``None`` without a user turn."""
    return trace.behaviour if trace.behaviour is not None else trace.feedback.behaviour


def signals_by_task(side: Side, tasks: Sequence[str]) -> dict[str, list[Mapping[str, float]]]:
    """Signals of every scored episode of the tasks."""
    return {task: [signals_of(trace) for trace in side.scored[task]] for task in tasks}


def signal_names(sides: Iterable[Mapping[str, Sequence[Mapping[str, float]]]]) -> tuple[str, ...]:
    """Every signal that occurs: the rule reward, the survey in the form's order, then the others by name."""
    found = {name for side in sides for episodes in side.values() for episode in episodes for name in episode}
    return (*(name for name in _ORDER if name in found), *sorted(found - set(_ORDER)))


def task_means(by_task: Mapping[str, Sequence[Mapping[str, float]]], names: Sequence[str]) -> NDArray[np.float64]:
    """Tasks × signals: the mean over a task's episodes that have the signal; NaN where none has."""
    table = np.full((len(by_task), len(names)), np.nan)
    for row, episodes in enumerate(by_task.values()):
        for column, name in enumerate(names):
            values = [episode[name] for episode in episodes if name in episode]
            if values:
                # An exact sum: the same episodes in another order give the same mean, and a gap of exactly 0.
                table[row, column] = math.fsum(values) / len(values)
    return table


def count_episodes(by_task: Mapping[str, Sequence[Mapping[str, float]]], name: str) -> int:
    """Episodes that have a signal."""
    return sum(name in episode for episodes in by_task.values() for episode in episodes)
