"""The form, its answers and levels."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from usersim_env.errors import UnknownName, UsageError
from usersim_env.feedback.survey import FIELDS, QUESTIONS, Survey, label_for
from usersim_env.feedback.values import Effort, Feedback

EFFORT = Effort(1, 1, 1, 1, 0, 0)


def test_eight_questions_in_their_order() -> None:
    assert (
        [question.field for question in QUESTIONS]
        == list(FIELDS)
        == [
            *("task_success", "efficiency", "question_amount_preference", "answer_effort_time"),
            *("human_like", "interaction_flow", "overall_score", "reuse"),
        ]
    )
    assert all(question.text.endswith("?") for question in QUESTIONS)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.field)
def test_levels_run_from_one_without_a_gap(question: Any) -> None:
    levels = set(question.answers.values())
    assert levels == set(range(1, max(levels) + 1)) and len(levels) > 1
    normalised = [question.normalised(label) for label in question.answers]
    assert (min(normalised), max(normalised)) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("field", "label", "expected"),
    [
        ("overall_score", "4 (Good)", 0.75),
        ("task_success", "Partially - Some progress", 0.5),
        ("efficiency", "About right", 2 / 3),
        ("question_amount_preference", "Too few", 0.0),
        ("question_amount_preference", "About right", 1.0),
        ("answer_effort_time", "Low", 1.0),
        ("answer_effort_time", "High", 0.0),
    ],
)
def test_normalised(field: str, label: str, expected: float) -> None:
    assert Survey({field: label}).normalised() == {field: pytest.approx(expected)}


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"overal_score": "4 (Good)"}, "Unknown survey field 'overal_score'. Did you mean 'overall_score'?"),
        ({"reuse": "yes!"}, r"Unknown answer to reuse 'yes!'"),
        ({"reuse": 3}, "Unknown answer to reuse 3. Known: Absolutely no, No, Maybe, Yes, Absolutely yes"),
        ({"overall_score": 4}, "Unknown answer to overall_score 4"),
    ],
)
def test_unknown_answers(answers: Any, message: str) -> None:
    with pytest.raises(UnknownName, match=message):
        Survey(answers)


def test_empty_is_not_a_survey() -> None:
    with pytest.raises(UsageError, match="use None when nobody was asked"):
        Survey({})


def test_partial_answers_are_missing_never_zero() -> None:
    survey = Survey({"reuse": "Yes", "task_success": "No - Task failed"})
    assert list(survey.normalised()) == ["task_success", "reuse"], "in the order of the form"
    signals = Feedback(None, {}, survey, EFFORT).signals
    assert signals == {"survey.task_success": 0.0, "survey.reuse": 0.75, "survey.mean": 0.375}
    assert Feedback(1.0, {}, None, EFFORT).signals == {"rule": 1.0}
    assert pickle.loads(pickle.dumps(survey)) == survey


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.field)
def test_nearest_label(question: Any) -> None:
    for label in question.answers:
        nearest = label_for(question.field, question.normalised(label))
        assert question.level(nearest) == question.level(label)
    assert question.normalised(label_for(question.field, -3)) == 0.0
    assert question.normalised(label_for(question.field, 9)) == 1.0
