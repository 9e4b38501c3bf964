"""What the user seat does: ``say``, ``stop`` and ``survey`` as actions, read and written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from gymnasium import spaces

from usersim_env.errors import InvalidAction, UsageError
from usersim_env.feedback.survey import QUESTIONS, Survey
from usersim_env.messages import Say, Stop, parse_action
from usersim_env.spaces import UnicodeText

Action: TypeAlias = dict[str, Any]

SAY, STOP, SURVEY = "say", "stop", "survey"
MISTAKES = 10
"""So many actions in a row that are not a turn end the episode (not scored), or leave the survey unanswered."""
TOO_MANY = f"{MISTAKES} actions in a row that the user seat could not take in its phase."


class Filled(NamedTuple):
    """The survey came back; ``None`` when it was not answered."""

    survey: Survey | None


class Mistake(NamedTuple):
    """An action that is not a turn now; the text says what would be one."""

    text: str


Move: TypeAlias = Say | Stop | Filled | Mistake


class UserAction(spaces.Space[Action]):
    """``{"name": str, "arguments": dict}`` for the user seat.

    ``say`` with ``{"content": str}``; ``stop`` with ``{"content": str}`` or nothing, the last words; ``survey`` with an
    answer label by field, or nothing when it is left unanswered. Anything of that shape is contained, however wrong
    inside or out of phase: it is answered with an observation that says so. Samples are valid, in their phase.
    """

    def __init__(self, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(shape=None, dtype=None, seed=seed)

    def sample(self, mask: None = None, probability: None = None) -> Action:
        """One of the three, each as likely; every question of a survey is answered."""
        name = (SAY, STOP, SURVEY)[int(self.np_random.integers(3))]
        if name != SURVEY:
            return {"name": name, "arguments": {"content": UnicodeText(seed=self.np_random).sample()}}
        answers = {q.field: list(q.answers)[int(self.np_random.integers(len(q.answers)))] for q in QUESTIONS}
        return {"name": name, "arguments": answers}

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a dict with a str ``name`` and a dict ``arguments``."""
        return isinstance(x, dict) and isinstance(x.get("name"), str) and isinstance(x.get("arguments"), dict)

    @property
    def is_np_flattenable(self) -> bool:
        """Never: words have no array form."""
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UserAction)

    def __hash__(self) -> int:
        return hash("UserAction")

    def __repr__(self) -> str:
        return "UserAction()"


def read_user_action(action: object, surveying: bool) -> Move:
    """The turn that an action is, in its phase; never raises.

    Args:
        action: whatever the user seat gave.
        surveying: whether it was asked for the survey (else for words or a stop).
    """
    try:
        call = parse_action(action)
        name, arguments = call.name, dict(call.arguments)
    except InvalidAction as error:
        return Mistake(f"Error: {error}".replace("respond", SAY))
    except Exception as error:  # a foreign mapping may raise anything when it is looked at
        return Mistake(f"Error: the action cannot be read ({type(error).__name__}).")
    if surveying:
        if name != SURVEY:
            return Mistake(f"Error: the conversation is over and the survey is due: {SURVEY}, not {name!r:.50}.")
        return _filled(arguments)
    if name not in (SAY, STOP):
        return Mistake(f"Error: it is the user's turn to speak: {SAY} or {STOP}, not {name!r:.50}.")
    content = arguments.get("content", "" if name == STOP else None)
    if not isinstance(content, str):
        return Mistake(f"Error: {name} needs a str 'content', got {type(content).__name__}.")
    content = str.__str__(content)
    return Say(content) if name == SAY else Stop(content, arguments.get("used_up") is True)


def _filled(answers: Mapping[Any, Any]) -> Filled | Mistake:
    if not answers:
        return Filled(None)
    if not all(isinstance(field, str) and isinstance(label, str) for field, label in answers.items()):
        return Mistake(f"Error: {SURVEY} needs a str answer by str field, as in the form.")
    try:
        return Filled(Survey({str.__str__(field): str.__str__(label) for field, label in answers.items()}))
    except UsageError as error:
        return Mistake(f"Error: {error}")


def as_action(move: Say | Stop | Filled) -> Action:
    """The action of a turn; `read_user_action` gives the turn back."""
    if isinstance(move, Filled):
        return {"name": SURVEY, "arguments": {} if move.survey is None else dict(move.survey.answers)}
    if isinstance(move, Stop):
        return {"name": STOP, "arguments": {"content": move.content} | ({"used_up": True} if move.used_up else {})}
    return {"name": SAY, "arguments": {"content": move.content}}
