"""Frames between a person's page and the server, as JSON text. The page's half is `page/connection.js`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from usersim_env.errors import UsersimError
from usersim_env.feedback.survey import FIELDS, QUESTIONS, Survey
from usersim_env.messages import Say, Stop
from usersim_env.person.limits import MAX_CHARS
from usersim_env.person.typed import read_typed


class Refused(UsersimError):
    """A frame was not taken, and nothing has changed.

    Args:
        code: ``stale``, ``not_your_turn``, ``empty``, ``too_long``, ``incomplete``, ``bad_frame``, ``slow_down``,
            ``not_saved`` or ``over``.
        text: one sentence for the person.
        move: id of the move that it answers.
    """

    def __init__(self, code: str, text: str, move: str | None = None) -> None:
        super().__init__(text)
        self.code, self.text, self.move = code, text, move

    def frame(self) -> dict[str, Any]:
        """The frame that tells the page."""
        return {"type": "refused", "id": self.move, "code": self.code, "text": self.text}


class Leave(NamedTuple):
    """The person leaves: the conversation is given up."""


Act: TypeAlias = Say | Stop | Survey | Leave


class Move(NamedTuple):
    """What a person does. ``id`` is the page's own; ``seen`` is how many messages the person had before them."""

    id: str
    act: Act
    seen: int | None = None


def read_move(frame: str, max_chars: int = MAX_CHARS) -> Move:
    """A frame of the page.

    Raises:
        Refused: it is none, or what it holds cannot be taken.
    """
    try:
        found = json.loads(frame)
        frame.encode()  # a lone surrogate, which JSON can hold, could neither be stored nor shown
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused("bad_frame", "That was no JSON object.")
    move = found.get("id")
    if not isinstance(move, str) or not 1 <= len(move) <= 64 or not move.isascii() or not move.isprintable():
        raise Refused("bad_frame", "A move has an id of 1 to 64 printable ASCII characters.")
    try:
        return Move(move, _act(found, max_chars), _seen(found))
    except Refused as refused:
        raise Refused(refused.code, refused.text, move) from None


def _act(found: Mapping[str, Any], max_chars: int) -> Act:
    kind = found.get("do")
    if kind == "say":
        turn = read_typed(_text(found, max_chars))
        if turn is None:
            raise Refused("empty", "Please write something first.")
        return turn
    if kind == "stop":
        return Stop(_text(found, max_chars).strip())
    if kind == "survey":
        return _survey(found.get("answers"))
    if kind == "leave":
        return Leave()
    raise Refused("bad_frame", "A move is one of say, stop, survey and leave.")


def _text(found: Mapping[str, Any], max_chars: int) -> str:
    text = found.get("text", "")
    if not isinstance(text, str):
        raise Refused("bad_frame", "The text of a move is a string.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused("bad_frame", "The text holds half a character.") from None
    if len(text) > max_chars:
        raise Refused("too_long", f"A message has at most {max_chars} characters; this one has {len(text)}.")
    return text


def _seen(found: Mapping[str, Any]) -> int | None:
    seen = found.get("seen")
    if seen is not None and (type(seen) is not int or not 0 <= seen < 1 << 31):
        raise Refused("bad_frame", "seen is the number of messages that are shown.")
    if seen is None and found.get("do") in ("say", "stop"):
        raise Refused("bad_frame", "A turn says how many messages were seen before it.")
    return seen


def _survey(answers: object) -> Survey:
    if not isinstance(answers, dict):
        raise Refused("bad_frame", "The answers are an object, field: label.")
    missing = [q.field for q in QUESTIONS if answers.get(q.field) is None]
    if missing:
        raise Refused("incomplete", f"Please answer all {len(QUESTIONS)} questions; {len(missing)} are left.")
    for field, label in answers.items():
        if field not in FIELDS or not isinstance(label, str) or label not in FIELDS[field].answers:
            raise Refused("bad_frame", "An answer is not one of the form.")
    return Survey(answers)


def survey_form() -> list[dict[str, Any]]:
    """The form as the page shows it."""
    return [{"field": q.field, "text": q.text, "answers": list(q.answers)} for q in QUESTIONS]
