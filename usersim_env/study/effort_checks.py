"""Signs of little effort, as flags for whoever reads the data; nobody is left out because of one."""

from __future__ import annotations

from collections.abc import Sequence

from usersim_env.feedback.survey import FIELDS, Survey
from usersim_env.messages import Message

FEW_WORDS, FAST_SECONDS, PASTED_CHARS = 15, 60.0, 60
"""Words in all, seconds from the first page to the end, and characters in a row of the instruction."""


def effort_flags(
    messages: Sequence[Message], instruction: str, survey: Survey | None, seconds: float
) -> tuple[str, ...]:
    """The flags of a session: ``one_turn``, ``few_words``, ``repeated``, ``pasted``, ``fast``, ``same_answers``.

    Args:
        messages: visible turns of both seats.
        instruction: what the person had to play.
        survey: the answers.
        seconds: that the session took.
    """
    texts = [m.content for m in messages if m.role == "user"]
    checks = {
        "one_turn": len(texts) <= 1,
        "few_words": sum(len(text.split()) for text in texts) < FEW_WORDS,
        "repeated": len(texts) > 2 and len({text.casefold() for text in texts}) <= len(texts) // 2,
        "pasted": any(_shares(text, instruction) for text in texts),
        "fast": seconds < FAST_SECONDS,
        "same_answers": survey is not None and _same_place(survey),
    }
    return tuple(name for name, found in checks.items() if found)


def _shares(text: str, instruction: str) -> bool:
    starts = range(len(text) - PASTED_CHARS + 1)
    return any(text[at : at + PASTED_CHARS] in instruction for at in starts)


def _same_place(survey: Survey) -> bool:
    """All answers first, or all last, of their lists."""
    places = [
        (list(FIELDS[name].answers).index(label), len(FIELDS[name].answers) - 1)
        for name, label in survey.answers.items()
    ]
    return all(at == 0 for at, _ in places) or all(at == last for at, last in places)
