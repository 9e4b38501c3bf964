"""A person at the terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from usersim_env.conversation.scene import Scene
from usersim_env.errors import Abandoned
from usersim_env.feedback.survey import Question, Survey
from usersim_env.messages import Say, Stop
from usersim_env.person.typed import STOP, read_typed
from usersim_env.traces.trace import NOT_ASKED, Terms
from usersim_env.users.base import User, UserSession
from usersim_env.visible import visible

_INTRO = """
You are the customer. What you want is below; the agent does not see it. Use your own words.
Type {stop} to end the conversation (also {stop} and a last sentence). Ctrl-D leaves without an answer.

{instruction}
"""


@dataclass(frozen=True)
class TerminalUser(User):
    """Asks whoever sits at the terminal.

    Args:
        read: takes a prompt, returns a line, raises `EOFError` at the end of input; `input` by default.
        write: shows a text.
        terms: what may be done with what the person types. Nobody has asked them, so the default forbids training.
    """

    kind: ClassVar[str] = "human"
    blocking: ClassVar[bool] = True

    read: Callable[[str], str] = input
    write: Callable[[str], object] = print
    terms: Terms = NOT_ASKED

    @property
    def name(self) -> str:
        """The channel."""
        return "terminal"

    def begin(self, scene: Scene) -> UserSession:
        """Shows what the person wants."""
        self.write(_INTRO.format(stop=STOP, instruction=visible(scene.instruction)))
        return _TerminalSession(self)


class _TerminalSession(UserSession):
    def __init__(self, user: TerminalUser) -> None:
        self._user = user
        self.terms = user.terms

    def open(self, scene: Scene) -> Say | Stop:
        if scene.transcript:
            return self.reply(scene)
        return self._line()

    def reply(self, scene: Scene) -> Say | Stop:
        self._user.write(f"agent: {visible(scene.transcript[-1].content)}")
        return self._line()

    def _line(self) -> Say | Stop:
        while True:
            if (turn := read_typed(self._ask("you: "))) is not None:
                return turn

    def fill_survey(self, scene: Scene) -> Survey | None:
        """Asks all eight questions; Ctrl-D keeps what was answered so far."""
        answers: dict[str, str] = {}
        try:
            for number, question in enumerate(scene.form, 1):
                self._user.write(f"\nQuestion {number} of {len(scene.form)}: {question.text}")
                answers[question.field] = self._choose(question)
        except Abandoned:
            pass
        return Survey(answers) if answers else None

    def _choose(self, question: Question) -> str:
        labels = list(question.answers)
        for number, label in enumerate(labels, 1):
            self._user.write(f"  {number}. {label}")
        while True:
            text = self._ask(f"1-{len(labels)}: ").strip()
            if text.isdecimal() and 1 <= int(text) <= len(labels):
                return labels[int(text) - 1]
            self._user.write(f"Please type a number from 1 to {len(labels)}; got {text!r}.")

    def _ask(self, prompt: str) -> str:
        try:
            return self._user.read(prompt)
        except EOFError:
            raise Abandoned("The person closed the terminal's input.") from None
