"""Sessions: what the index needs of a conversation, ordered by batch (people) or run (simulators).

A session has a task key, ``{domain}_{index}`` for tasks of test splits as in arXiv:2603.11245, and any other task's
whole id. Entries marked ``keep: false`` and episodes of ours that are not scored are left out, and counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from usersim_env.errors import TraceError
from usersim_env.gap.episodes import AnyEpisode

_TASK_ID = re.compile(r"([^/]+)/test/(\d+)", re.ASCII)


@dataclass(frozen=True)
class Session:
    """One session.

    Attributes:
        id: names it for a reader: the key in its file, or the trace's id.
        task: the task's key.
        copy: number of the batch or run, from 1; ``None`` where the file does not say.
        features: of the user turns; ``None`` if none is left.
        reward: the rule reward; ``None`` if there is none.
        survey: answers by field, as they came.
        hidden: turns of the user side whose phrases curly apostrophes hide.
    """

    id: str
    task: str
    copy: int | None
    features: Mapping[str, float] | None = None
    reward: float | None = None
    survey: Mapping[str, object] = field(default_factory=dict)
    hidden: int = 0


ByTask = Mapping[str, Session]
"""The sessions of one batch or run."""


@dataclass(frozen=True)
class Sessions:
    """The sessions of one file.

    Attributes:
        where: names the file in messages.
        copies: batch or run → task key → session.
        left_out: why sessions were left out → how many.
        terms: under which the data may be used, in words.
        kinds: kinds of user side, as far as the file says.
    """

    where: str
    copies: Mapping[int, ByTask]
    left_out: Mapping[str, int] = field(default_factory=dict)
    terms: tuple[str, ...] = ()
    kinds: frozenset[str] = frozenset()

    @property
    def tasks(self) -> set[str]:
        """The keys of all tasks."""
        return {task for sessions in self.copies.values() for task in sessions}


def task_key(task_id: str) -> str:
    """``airline/test/0`` as ``airline_0``; anything else as it is."""
    match = _TASK_ID.fullmatch(task_id)
    return f"{match[1]}_{int(match[2])}" if match else task_id


def ordered(found: Iterable[Session], where: str) -> dict[int, dict[str, Session]]:
    """Sessions by batch or run and task; one without a number gets the first that is free for its task.

    Raises:
        TraceError: two sessions have the same task and number.
    """
    sessions = list(found)
    copies: dict[int, dict[str, Session]] = {}
    for session in sessions:
        if session.copy is None:
            continue
        known = copies.setdefault(session.copy, {}).setdefault(session.task, session)
        if known is not session:
            raise TraceError(
                f"{where}: {known.id!r} and {session.id!r} are both number {session.copy} of {session.task}. "
                "Leave one of them out, or number the batches (or runs) apart."
            )
    for session in sessions:
        if session.copy is None:
            number = next(n for n in range(1, len(sessions) + 2) if session.task not in copies.get(n, {}))
            copies.setdefault(number, {})[session.task] = session
    return dict(sorted(copies.items()))


def check_ids(traces: Iterable[AnyEpisode], where: str) -> None:
    """Raises a `TraceError` if two traces have the same id."""
    twice = [id_ for id_, n in Counter(trace.id for trace in traces).items() if n > 1]
    if twice:
        raise TraceError(
            f"{where}: the episode {twice[0]} occurs twice ({len(twice)} of them do). Give each once: are two copies "
            "of a file in it?"
        )


def answers_of(survey: Any, where: str) -> dict[str, object]:
    """Answers by field, from ``{field: {"answer": label}}`` or ``{field: label}``; those that are null are left out."""
    if survey is None:
        return {}
    if not isinstance(survey, Mapping):
        raise TraceError(f"{where}: survey: expected an object of answers by field, got {survey!r:.80}")
    plain = {name: a.get("answer") if isinstance(a, Mapping) else a for name, a in survey.items()}
    return {name: answer for name, answer in plain.items() if answer is not None}
