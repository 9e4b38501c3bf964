"""A person at the terminal, with a fake keyboard and screen."""

from __future__ import annotations

import pickle
from collections.abc import Iterable

import pytest

from usersim_env.conversation.scene import Scene
from usersim_env.env.tau_env import TauEnv
from usersim_env.errors import Abandoned
from usersim_env.feedback.survey import FIELDS
from usersim_env.messages import Message, Say, Stop
from usersim_env.traces.trace import Terms, Trace
from usersim_env.users.terminal import TerminalUser

SCENE = Scene("mock/test/0", "You want {braces} and a refund.")


class Desk:
    """Types the given lines, then Ctrl-D; keeps what is shown."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self.shown: list[str] = []
        self.user = TerminalUser(self.read, self.shown.append)

    def read(self, prompt: str) -> str:
        self.shown.append(prompt)
        try:
            return next(self._lines)
        except StopIteration:
            raise EOFError from None


@pytest.mark.parametrize(
    ("typed", "turn"),
    [
        (["hello"], Say("hello")),
        (["", "   ", " at last "], Say("at last")),
        (["/stop"], Stop()),
        (["  /stop  "], Stop()),
        (["/stop Thank you, bye!"], Stop("Thank you, bye!")),
        (["/stopped already"], Say("/stopped already")),
        (["I say /stop"], Say("I say /stop")),
    ],
)
def test_a_line_is_a_turn(typed: list[str], turn: Say | Stop) -> None:
    session = Desk(typed).user.begin(SCENE)
    assert session.open(SCENE) == turn


def test_instruction_is_shown_and_the_agents_words() -> None:
    desk = Desk(["hi", "ok"])
    session = desk.user.begin(SCENE)
    assert SCENE.instruction in desk.shown[0] and "/stop" in desk.shown[0]
    session.open(SCENE)
    session.reply(SCENE._replace(transcript=(Message("user", "hi"), Message("agent", "Your e-mail? \ud800"))))
    assert desk.shown[2] == "agent: Your e-mail? \\ud800", "a screen cannot show lone surrogates"
    assert desk.shown[2].isprintable()


def test_lazy_opening_shows_the_greeting() -> None:
    desk = Desk(["hi"])
    session = desk.user.begin(SCENE)
    assert session.open(SCENE._replace(transcript=(Message("agent", "Welcome!"),))) == Say("hi")
    assert "agent: Welcome!" in desk.shown


def test_end_of_input_is_abandoned() -> None:
    session = Desk([]).user.begin(SCENE)
    with pytest.raises(Abandoned, match="closed the terminal's input"):
        session.open(SCENE)


def test_survey_asks_all_eight_until_a_number_fits() -> None:
    desk = Desk(["", "0", "9", "x", "²", "1"] + ["2"] * 7)
    survey = desk.user.begin(SCENE).fill_survey(SCENE)
    assert survey is not None and list(survey) == list(FIELDS)
    assert survey.answers["task_success"] == "No - Task failed"
    assert survey.answers["reuse"] == "No"
    refused = [line for line in desk.shown if line.startswith("Please type a number from 1 to 5; got")]
    assert len(refused) == 5
    assert sum("of 8:" in line for line in desk.shown) == 8


@pytest.mark.parametrize(("typed", "answered"), [(["3", "1"], ["task_success", "efficiency"]), ([], None)])
def test_survey_keeps_what_was_answered(typed: list[str], answered: list[str] | None) -> None:
    survey = Desk(typed).user.begin(SCENE).fill_survey(SCENE)
    assert (None if survey is None else list(survey)) == answered


def test_setting() -> None:
    user = TerminalUser()
    assert (user.kind, user.name, user.blocking, user.describe()) == ("human", "terminal", True, {})
    assert pickle.loads(pickle.dumps(user)) == user


def test_what_a_person_types_is_not_for_training_unless_said() -> None:
    def trace(user: TerminalUser) -> Trace:
        env = TauEnv("mock", user)
        env.reset(seed=0)
        return env.trace()

    def typed(prompt: str) -> str:
        return "hello"

    def shown(text: str) -> None:
        pass

    assert not trace(TerminalUser(typed, shown)).terms.training
    agreed = Terms("CC0, agreed to by the person", training=True)
    assert trace(TerminalUser(typed, shown, agreed)).terms == agreed
