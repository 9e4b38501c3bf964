"""The User-Sim Index: how close simulated user sides come to people, batch by batch (arXiv:2603.11245)."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Mapping

from usersim_env.errors import UsageError, unknown
from usersim_env.feedback.behaviour import DIMENSIONS
from usersim_env.gap.usi import notes as words
from usersim_env.gap.usi.agreement import batch_agreements, second_rating
from usersim_env.gap.usi.calibration import MIN_SAMPLES, Difficulty, calibration_error, given_difficulty
from usersim_env.gap.usi.calibration import pooled_difficulty as pooled
from usersim_env.gap.usi.files import Source, read_sessions, read_surveys
from usersim_env.gap.usi.result import HUMAN, Scores, Stat, UsiResult, UsiRow, spread
from usersim_env.gap.usi.sessions import ByTask, Sessions
from usersim_env.gap.usi.similarity import dimensions, feature_row, mean_row

Surveys = Mapping[int, ByTask]


def user_sim_index(
    human: Source,
    sims: Mapping[str, Source],
    surveys: Mapping[str, Source] | None = None,
    human_re_rating: Source | None = None,
    difficulty: str | os.PathLike[str] | Mapping[str, object] | None = None,
    min_samples: int = MIN_SAMPLES,
) -> UsiResult:
    """Compares simulators with people who played the same tasks.

    Sources are files or their content in tau-usi's format, or our traces.

    Args:
        human: people's sessions, in one to any number of batches.
        sims: name → the simulator's sessions, in one or several runs.
        surveys: name → the simulator's answers to the survey about *the people's* sessions (same keys).
        human_re_rating: a second person's answers about sessions of the first batch.
        difficulty: a file or table of success rates by task; if not given, pooled from the simulators.
        min_samples: sessions that a task needs for a pooled difficulty.

    Returns:
        The human row first, then the simulators in the order given. What cannot be computed is ``None``, and a note
        says why.

    Raises:
        TraceError: a file is missing, empty or broken.
        UsageError: a simulator shares no task with the people, no task has a difficulty, somebody who is not a person
            is among the people, or surveys are of a simulator that is not there.
    """
    people = read_sessions(human, "human", "the human sessions")
    _check_people(people)
    found = {name: read_sessions(source, "llm", f"the sessions of {name}") for name, source in sims.items()}
    _check_names(found, surveys or {})
    for name, sim in found.items():
        _check_tasks(name, sim, people)
    ratings = {name: read_surveys(s, f"the surveys of {name}") for name, s in (surveys or {}).items()}
    again = None if human_re_rating is None else read_surveys(human_re_rating, "the second rating")
    table = given_difficulty(difficulty) if difficulty is not None else pooled(found.values(), min_samples)
    rows = (
        _human_row(people, again, table),
        *(_sim_row(name, sim, people, ratings.get(name), table) for name, sim in found.items()),
    )
    notes = (
        *words.of_difficulty(table, difficulty is None, people.tasks, min_samples),
        *words.of_sessions(people, found),
        *words.of_surveys(people, {**ratings, **({HUMAN: again} if again is not None else {})}),
        *words.of_rows(rows, len(people.copies)),
    )
    terms = {"human": people.terms, **{name: sim.terms for name, sim in found.items()}}
    return UsiResult(rows, notes, terms)


def _check_tasks(name: str, sim: Sessions, people: Sessions) -> None:
    if not sim.tasks & people.tasks:
        raise UsageError(
            f"{name} and the people share no task: {name} has {words.few(sim.tasks)}; they have "
            f"{words.few(people.tasks)}. Give episodes of the same tasks."
        )


def _human_row(people: Sessions, again: Surveys | None, table: Difficulty) -> UsiRow:
    """Every pair of batches, one in the place of the simulator."""
    agreement = None
    if again is not None:
        first = min(people.copies)
        agreement = spread(second_rating(people.copies[first], again.get(first, {})))
    scores = [
        compare_batch({1: people.copies[a]}, {1: people.copies[b]}, table, agreement)
        for a, b in itertools.combinations(people.copies, 2)
    ]
    return UsiRow(HUMAN, tuple(scores), agreement)


def _sim_row(name: str, sim: Sessions, people: Sessions, rating: Surveys | None, table: Difficulty) -> UsiRow:
    rated = {} if rating is None else batch_agreements(people.copies, rating)
    agreement = spread([math.fsum(scores) / len(scores) for scores in rated.values()])
    scores = [compare_batch(sim.copies, {1: human}, table, agreement) for human in people.copies.values()]
    return UsiRow(name, tuple(scores), agreement)


def compare_batch(
    runs: Mapping[int, ByTask], batch: Mapping[int, ByTask], table: Difficulty, agreement: Stat = None
) -> Scores:
    """The runs of a simulator against one batch.

    Args:
        runs: the simulator's.
        batch: one entry; several where the batch has several sessions of a task. Each counts the same.
        table: difficulty of the tasks; those without are left out of the calibration.
        agreement: evaluative agreement over all batches.
    """
    played = set().union(*batch.values())
    shared = [run.keys() & played for run in runs.values()]
    mine = mean_row(feature_row(run, tasks) for run, tasks in zip(runs.values(), shared, strict=True))
    theirs = mean_row(feature_row(sessions, set().union(*shared) & sessions.keys()) for sessions in batch.values())
    pairs = itertools.product(runs.values(), batch.values())
    errors = [e for run, sessions in pairs if (e := calibration_error(run, sessions, table)) is not None]
    alike = dimensions(mine, theirs) if mine is not None and theirs is not None else dict.fromkeys(DIMENSIONS)
    # The index takes the agreement over all batches: its deviation is that of behaviour and outcomes.
    return Scores(
        alike,
        None if agreement is None else agreement[0],
        math.fsum(errors) / len(errors) if errors else None,
        mine,
        theirs,
    )


def _check_people(people: Sessions) -> None:
    others = sorted(people.kinds - {"human"})
    if others:
        raise UsageError(
            f"{people.where}: user sides of kind {', '.join(others)} are among the human sessions; only kind human is "
            "human. Give them as a simulator: --sim NAME=FILE"
        )


def _check_names(sims: Mapping[str, Sessions], surveys: Iterable[str]) -> None:
    if not sims:
        raise UsageError("There is no simulator to compare. Give at least one: --sim NAME=FILE")
    if HUMAN in sims:
        raise UsageError(f"{HUMAN!r} is the name of the human row. Give the simulator another: --sim NAME=FILE")
    for name in surveys:
        if name not in sims:
            raise unknown("simulator with surveys", name, sims)
