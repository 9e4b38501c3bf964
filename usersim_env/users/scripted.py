"""Fixed lines, for tests and for measuring the engine alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from usersim_env.conversation.scene import Scene
from usersim_env.errors import UsageError
from usersim_env.feedback.survey import Survey
from usersim_env.messages import Say, Stop
from usersim_env.users.base import User, UserSession


@dataclass(frozen=True)
class ScriptedUser(User):
    """Says its lines one after the other, then stops (or repeats the last line for ever).

    Args:
        lines: turns in order; an item may be a `Stop`, or an exception to raise as a planned failure.
        repeat: say the last line again and again instead of stopping after it.
        answers: survey answers by field, or ``None`` to leave the survey out.
    """

    kind: ClassVar[str] = "scripted"

    lines: tuple[str | Stop | Exception, ...] = ("Hello.",)
    repeat: bool = False
    answers: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.lines, str):
            raise UsageError(f"lines is a tuple of turns, got a str. Type: ScriptedUser(({self.lines!r},))")
        if self.answers is not None:
            Survey(self.answers)  # an unknown field or answer is an error here, not a missing survey later

    def begin(self, scene: Scene) -> UserSession:
        """Starts at the first line."""
        return _ScriptedSession(self)

    def describe(self) -> dict[str, Any]:
        """The lines as text, and the answers."""
        lines = [line if isinstance(line, str) else repr(line) for line in self.lines]
        answers = None if self.answers is None else dict(self.answers)
        return {"lines": lines, "repeat": self.repeat, "answers": answers}


class _ScriptedSession(UserSession):
    def __init__(self, user: ScriptedUser) -> None:
        self._user = user
        self._next = 0

    def open(self, scene: Scene) -> Say | Stop:
        return self.reply(scene)

    def reply(self, scene: Scene) -> Say | Stop:
        lines = self._user.lines
        at = min(self._next, len(lines) - 1) if self._user.repeat else self._next
        if not 0 <= at < len(lines):
            return Stop()
        self._next += 1
        line = lines[at]
        if isinstance(line, Exception):
            raise line
        return line if isinstance(line, Stop) else Say(line)

    def fill_survey(self, scene: Scene) -> Survey | None:
        return None if self._user.answers is None else Survey(self._user.answers)
