"""The time that a person at the env's own page has: their own turns count, and nothing else."""

from __future__ import annotations

import queue

import pytest

from tests.study.alone import SURVEY, Clock
from usersim_env.conversation.scene import Scene
from usersim_env.errors import Abandoned
from usersim_env.messages import Message, Say
from usersim_env.person.clock import Stopwatch
from usersim_env.person.wire import Move
from usersim_env.users import browser
from usersim_env.users.browser import BrowserUser

SCENE = Scene("mock/test/0", "You are Ada.", (Message("agent", "Hello!"),))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(browser, "Stopwatch", lambda: Stopwatch(found))
    return found


def test_a_slow_agent_does_not_take_the_persons_time(clock: Clock) -> None:
    session = BrowserUser(session_timeout=10.0, turn_timeout=10.0).begin(SCENE)
    assert isinstance(session, browser._BrowserSession)
    session._page = object()  # it is open
    for number in range(3):
        clock.at += 3600.0  # the agent
        session._moves.put(Move(f"m{number}", Say("Hello there")))
        assert session.reply(SCENE) == Say("Hello there")
    clock.at += 3600.0
    session._moves.put(Move("s", SURVEY))
    assert session.fill_survey(SCENE) == SURVEY
    assert session.notes() == {"seconds_per_turn": [0.0] * 4}


def test_a_process_that_was_stopped_takes_at_most_a_moment(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    session = BrowserUser(turn_timeout=12.0).begin(SCENE)
    assert isinstance(session, browser._BrowserSession)
    looks = []

    class Nothing:
        def get(self, timeout: float) -> Move:
            looks.append(timeout)
            clock.at += 3600.0
            raise queue.Empty

    monkeypatch.setattr(session, "_moves", Nothing())
    with pytest.raises(Abandoned, match="did not answer in time"):
        session._next(12.0)
    assert len(looks) == 3, "5 s of each hour"
