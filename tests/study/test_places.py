"""Who gets which task, and what the effort checks say."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from usersim_env.feedback.survey import QUESTIONS, Survey
from usersim_env.messages import Message
from usersim_env.study.assignment import next_place
from usersim_env.study.effort_checks import effort_flags
from usersim_env.study.records import Sitting, State

TASKS = ["a", "b", "c"]


def sitting(task: str, batch: int, state: State = "done", person: str = "p") -> Sitting:
    return Sitting(f"{task}{batch}{state}", person, task, batch, 1, None, "", 0.0, state=state)


def test_places_are_filled_evenly_and_batches_in_order() -> None:
    rng, found = random.Random(0), list[Sitting]()
    while (place := next_place(TASKS, 3, found, (), rng)) is not None:
        found.append(sitting(*place))
        counts = Counter(s.task for s in found)
        assert max(counts.values()) - min(counts.get(task, 0) for task in TASKS) <= 1
    assert Counter((s.task, s.batch) for s in found) == Counter((t, b) for t in TASKS for b in (1, 2, 3))


@pytest.mark.parametrize("state", ["abandoned", "failed", "withdrawn"])
def test_what_was_given_up_is_handed_out_again(state: State) -> None:
    found = [sitting("a", 1, state), sitting("a", 2)]
    assert next_place(["a"], 2, found, (), random.Random(0)) == ("a", 1)


def test_each_person_gets_another_task() -> None:
    assert next_place(TASKS, 1, [], {"a", "b"}, random.Random(0)) == ("c", 1)
    assert next_place(TASKS, 9, [], set(TASKS), random.Random(0)) is None


INSTRUCTION = "You are Ada. You want to move the repair of your touring bike from monday to tuesday."


@pytest.mark.parametrize(
    ("texts", "labels", "seconds", "flags"),
    [
        (["Hello, I have a question about my bike", "I would rather come on tuesday, please"], 1, 300, ()),
        (["Move it."], 1, 10, ("one_turn", "few_words", "fast")),
        ([INSTRUCTION, "Yes please, that is what I want"], 1, 300, ("pasted",)),
        (["yes", "Yes", "YES", "yes"], 1, 300, ("few_words", "repeated")),
        (["I should like to come on another day", "Is there any time on tuesday for it?"], 0, 90, ("same_answers",)),
        (["I should like to come on another day", "Is there any time on tuesday for it?"], -1, 90, ("same_answers",)),
    ],
)
def test_flags(texts: list[str], labels: int, seconds: float, flags: tuple[str, ...]) -> None:
    survey = Survey({q.field: list(q.answers)[labels] for q in QUESTIONS})
    messages = [Message("user", text) for text in texts] + [Message("agent", INSTRUCTION)]
    assert effort_flags(messages, INSTRUCTION, survey, seconds) == flags


def test_no_survey_is_no_same_answers() -> None:
    assert effort_flags([], "", None, 100) == ("one_turn", "few_words")
