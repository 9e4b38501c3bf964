"""The eight questions that the user side answers at the end, with their answers and levels.

Fields, answer labels and levels are those of arXiv:2603.11245 (CC BY 4.0) and are the data format;
the wording of the questions is ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from usersim_env.errors import UsageError, unknown


@dataclass(frozen=True, slots=True)
class Question:
    """One question: ``answers`` maps each label to its level (several labels may share one)."""

    field: str
    text: str
    answers: Mapping[str, int]

    def level(self, label: str) -> int:
        """Level of an answer label; an unknown label is an `UnknownName`."""
        if label not in self.answers:
            raise unknown(f"answer to {self.field}", label, self.answers)
        return self.answers[label]

    def normalised(self, label: str) -> float:
        """Level in [0, 1]: ``(level - lowest) / (highest - lowest)``."""
        low, high = min(self.answers.values()), max(self.answers.values())
        return (self.level(label) - low) / (high - low)


QUESTIONS: tuple[Question, ...] = (
    Question(
        "task_success",
        "Did you get what you came for?",
        {
            "No - Task failed": 1,
            "No - Due to a policy issue, which the agent clearly explained": 2,
            "Partially - Some progress": 3,
            "Yes - Task completed": 4,
            "Fully - Exceeded expectations": 5,
        },
    ),
    Question(
        "efficiency",
        "How directly did the agent work towards a result?",
        {
            "Very inefficient - Too many steps": 1,
            "Somewhat inefficient": 2,
            "About right": 3,
            "Very efficient": 4,
        },
    ),
    Question(
        "question_amount_preference",
        "How was the number of questions that the agent asked you?",
        {"Too many": 1, "About right": 2, "Too few": 1},
    ),
    Question(
        "answer_effort_time",
        "How much time and effort did it take to answer the agent's questions?",
        {"High": 1, "Medium": 2, "Low": 3},
    ),
    Question(
        "human_like",
        "Did the agent talk like a person?",
        {"No": 1, "Partially": 2, "Yes": 3},
    ),
    Question(
        "interaction_flow",
        "How smoothly did the conversation go?",
        {"Not smooth": 1, "OK": 2, "Smooth": 3, "Excellent": 4},
    ),
    Question(
        "overall_score",
        "All in all, how was this service?",
        {"1 (Very poor)": 1, "2 (Poor)": 2, "3 (Acceptable)": 3, "4 (Good)": 4, "5 (Excellent)": 5},
    ),
    Question(
        "reuse",
        "Would you use this agent again?",
        {"Absolutely no": 1, "No": 2, "Maybe": 3, "Yes": 4, "Absolutely yes": 5},
    ),
)
"""The form, in the order in which it is asked."""

FIELDS: Mapping[str, Question] = MappingProxyType({q.field: q for q in QUESTIONS})
"""The same by field name."""


@dataclass(frozen=True)
class Survey:
    """Answers by field (labels, not levels); a field that was not answered is absent.

    Raises:
        UnknownName: a field or label that the form does not have.
        UsageError: no answer at all (nobody asked is ``None``, not an empty survey).
    """

    answers: Mapping[str, str]

    def __post_init__(self) -> None:
        for field, label in self.answers.items():
            if field not in FIELDS:
                raise unknown("survey field", field, FIELDS)
            FIELDS[field].level(label)
        if not self.answers:
            raise UsageError("A survey without any answer: use None when nobody was asked.")

    def normalised(self) -> dict[str, float]:
        """Answered fields as numbers in [0, 1], in the order of the form."""
        return {f: q.normalised(self.answers[f]) for f, q in FIELDS.items() if f in self.answers}

    def __iter__(self) -> Iterator[str]:
        return iter(self.answers)


def label_for(field: str, x: float) -> str:
    """The label whose normalised level is nearest to ``x`` in [0, 1] (the first of equals)."""
    question = FIELDS[field]
    return min(question.answers, key=lambda label: abs(question.normalised(label) - x))
