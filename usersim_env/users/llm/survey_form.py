"""The survey as constrained output: one question, one repair, and what is then missing stays missing."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from usersim_env.errors import ModelError
from usersim_env.feedback.survey import Question, Survey
from usersim_env.llm import Completion, Unreadable, read_written
from usersim_env.llm.json_text import json_spans
from usersim_env.users.llm.prompts import survey_prompt
from usersim_env.users.llm.strategies import Ask, Desk


def fill_in(desk: Desk) -> Generator[Ask, Completion | ModelError, Survey | None]:
    """The answers that could be read; ``None`` when none could.

    Raises:
        ModelError: the model could not be asked.
    """
    answers: dict[str, str] = {}
    for _ in range(2):
        missing = [question for question in desk.scene.form if question.field not in answers]
        if not missing:
            break
        answer = yield desk.ask(survey_prompt(desk.scene, missing), schema=schema(missing))
        if isinstance(answer, ModelError) and answer.kind != "bad_reply":
            raise answer
        text = answer.text if isinstance(answer, Completion) else None
        answers |= read_answers(text or "", missing)
    left = sum(question.field not in answers for question in desk.scene.form)
    if left:
        desk.counts["survey_missing"] = left
    return Survey(answers) if answers else None


def schema(questions: Sequence[Question]) -> dict[str, Any]:
    """The JSON schema of the answers to some questions."""
    return {
        "type": "object",
        "properties": {q.field: {"type": "string", "enum": list(q.answers)} for q in questions},
        "required": [q.field for q in questions],
        "additionalProperties": False,
    }


def read_answers(text: str, questions: Sequence[Question]) -> dict[str, str]:
    """The answers of a model's text that are labels of the form, letter by letter; the others are left out.

    Of several JSON objects, such as a draft and its correction, the last of those with the most answers counts.
    """
    try:
        words = read_written(text).words
    except Unreadable:
        return {}
    best: dict[str, str] = {}
    for span in json_spans(words):
        for found in span.value if isinstance(span.value, list) else [span.value]:
            answers = _labels(found, questions) if isinstance(found, Mapping) else {}
            best = answers if len(answers) >= len(best) else best
    return best


def _labels(found: Mapping[str, Any], questions: Sequence[Question]) -> dict[str, str]:
    given = {q.field: found.get(q.field) for q in questions}
    return {q.field: str(given[q.field]) for q in questions if given[q.field] in list(q.answers)}
