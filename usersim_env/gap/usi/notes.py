"""Sentences that stand under the table: what was left out, what is missing and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from usersim_env.feedback.behaviour import DIMENSIONS
from usersim_env.feedback.survey import FIELDS
from usersim_env.gap.usi.agreement import known
from usersim_env.gap.usi.result import HUMAN, UsiRow
from usersim_env.gap.usi.sessions import ByTask, Sessions


def of_difficulty(table: Mapping[str, float], is_pooled: bool, tasks: Collection[str], least: int) -> Iterator[str]:
    """Where the difficulty comes from, and how many of the people's tasks have one."""
    covered = sum(task in table for task in tasks)
    if is_pooled:
        yield (
            f"Difficulty is pooled from the simulators given: {covered} of the people's {len(tasks)} tasks have at "
            f"least {least} sessions. Figures with other sets of simulators do not compare with these."
        )
    elif covered < len(tasks):
        yield (
            f"The difficulty table has {covered} of the people's {len(tasks)} tasks; calibration is over those alone."
            + ("" if covered else " Give a table of these tasks: without one there is no calibration and no index.")
        )


def of_sessions(people: Sessions, sims: Mapping[str, Sessions]) -> Iterator[str]:
    """What was left out of each file, and tasks that a simulator lacks."""
    for name, side in (("human", people), *sims.items()):
        for reason, n in side.left_out.items():
            yield f"{name}: {n} left out ({reason})."
        hidden = sum(session.hidden for sessions in side.copies.values() for session in sessions.values())
        if hidden:
            yield (
                f"{name}: in {hidden} turns a curly apostrophe (’) hides a phrase such as “don’t” from the features, "
                "as it does in the reference scorer."
            )
    here = Counter(map(_domain, people.tasks))
    for name, sim in sims.items():
        shared = Counter(map(_domain, people.tasks & sim.tasks))
        lacking = [domain for domain in sorted(here) if not shared[domain]]
        if lacking:
            yield (
                f"{name} has no task of {', '.join(lacking)} that people played: its row is over "
                f"{', '.join(sorted(shared))} alone and does not compare with rows over all domains. Run it on the "
                "others, or compare each domain for itself."
            )
        elif shared.total() < here.total():
            yield f"{name}: {shared.total()} of the {here.total()} tasks that people played; others are left out."


def of_surveys(people: Sessions, ratings: Mapping[str, Mapping[int, ByTask]]) -> Iterator[str]:
    """Labels that the form does not have, and sessions that were not rated."""
    yield from _unknown("human", people.copies, "left out")
    for name, rating in ratings.items():
        yield from _unknown(name, rating, "counted as random levels")
        if name == HUMAN:
            yield from _left_open(people, rating)
            continue
        missing = sum(task not in rating.get(n, {}) for n, batch in people.copies.items() for task in batch)
        if missing:
            yield f"{name}: human sessions without a survey of it: {missing}; its answers there count as random levels."


def _left_open(people: Sessions, again: Mapping[int, ByTask]) -> Iterator[str]:
    """Answers of the first rater that the second one gave no counterpart for."""
    first = min(people.copies)
    sessions, rated = people.copies[first], again.get(first, {})
    count = sum(
        name in sessions[task].survey and name not in rated[task].survey for task in rated if task in sessions
        for name in FIELDS
    )  # fmt: skip
    if count:
        yield (
            f"{HUMAN}: questions that the second rater left open: {count}; random levels stand there, as in the "
            "authors' scorer."
        )


def of_rows(rows: Sequence[UsiRow], batches: int) -> Iterator[str]:
    """Figures that are missing, and why."""
    if batches == 1:
        yield (
            "There is one batch of people: the human row needs a second one to compare with, and no figure has a "
            "deviation. Number further batches _ann2, _ann3."
        )
    for row in rows:
        if row.eval_agree is None and row.scores:
            file = "--human-re-rating FILE" if row.name == HUMAN else f"--surveys {row.name}=FILE"
            yield f"{row.name}: no surveys, so usi is the index of five parts (usi5). Give them with {file}."
        n = len(row.scores)
        silent = sum(any(score.alike[name] is None for name in DIMENSIONS) for score in row.scores)
        if silent:
            yield f"{row.name}: in {silent} of {n} comparisons no shared task has user turns on both sides."
        unscored = sum(score.ece is None for score in row.scores)
        if unscored:
            yield f"{row.name}: in {unscored} of {n} comparisons no shared task has both rewards and a difficulty."


def few(tasks: Collection[str]) -> str:
    """Three of some tasks, and how many there are."""
    shown = sorted(tasks)[:3]
    return ", ".join(shown) + (f" … ({len(tasks)} in all)" if len(tasks) > len(shown) else "")


def _domain(task: str) -> str:
    return task.split("/")[0] if "/" in task else task.rpartition("_")[0]


def _unknown(name: str, rating: Mapping[int, ByTask], what: str) -> Iterator[str]:
    """Answers whose label the form does not have; fields that are not part of the form do not count."""
    found = [
        (field, answer, session.id)
        for batch in rating.values()
        for session in batch.values()
        for field, answer in session.survey.items()
        if field in FIELDS and not known(FIELDS[field], answer)
    ]
    if found:
        field, answer, session_id = found[0]
        yield (
            f"{name}: answers that are no label of the survey: {len(found)}, {what}. The first is "
            f"{answer!r:.60} in {session_id}, to {field}, which takes: {' · '.join(FIELDS[field].answers)}."
        )
