"""A person's session without a server: phases, moves that come twice or too late, tabs."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.study.people import ANSWERS
from usersim_env.feedback.survey import Survey
from usersim_env.messages import Message, Say, Stop
from usersim_env.person.session import Brief, Ending, PersonSession, Phase
from usersim_env.person.wire import Leave, Move, Refused, read_move

ASKED = (Message("user", "hi"), Message("agent", "What is it?"))


class Owner:
    """Keeps the moves that it is given; refuses them while `full`."""

    def __init__(self) -> None:
        self.moves: list[Move] = []
        self.full = False
        self.session = PersonSession(Brief("You want a refund."), self.take)

    async def take(self, move: Move) -> None:
        await asyncio.sleep(0)
        if self.full:
            raise Refused("not_saved", "No room.")
        self.moves.append(move)

    def move(self, move: Move) -> str:
        """``taken``, or the code that it was refused with."""
        try:
            asyncio.run(self.session.move(move))
        except Refused as refused:
            return refused.code if refused.move == move.id else "refused, but which?"
        return "taken"


def say(text: str = "a refund", seen: int = 2, move: str = "1") -> Move:
    return Move(move, Say(text), seen)


@pytest.mark.parametrize(
    ("phase", "move", "answer"),
    [
        ("you", say(), "taken"),
        ("you", say(seen=1), "stale"),
        ("agent", say(), "not_your_turn"),
        ("agent", say(seen=0), "stale"),
        ("survey", say(), "not_your_turn"),
        ("done", say(), "over"),
        ("closed", say(), "over"),
        ("you", Move("1", Stop(), 2), "taken"),
        ("you", Move("1", Survey(ANSWERS)), "not_your_turn"),
        ("survey", Move("1", Survey(ANSWERS)), "taken"),
        *[(phase, Move("1", Leave()), "taken") for phase in ("agent", "you", "survey")],
        ("done", Move("1", Leave()), "over"),
    ],
)
def test_what_is_taken_in_which_phase(phase: Phase, move: Move, answer: str) -> None:
    owner = Owner()
    owner.session.show(phase, ASKED)
    assert owner.move(move) == answer
    assert len(owner.moves) == (answer == "taken")


def test_a_stop_before_any_word_is_refused() -> None:
    owner = Owner()
    owner.session.show("you", ())
    assert owner.move(Move("1", Stop(), 0)) == "empty"


def test_a_move_that_comes_again_is_taken_once() -> None:
    owner = Owner()
    owner.session.show("you", ASKED)
    assert [owner.move(say()) for _ in range(3)] == ["taken"] * 3
    assert len(owner.moves) == 1
    assert owner.session.state()["last"] == "1"


def test_a_move_that_comes_again_after_another_tabs_is_taken_once_too() -> None:
    owner = Owner()
    owner.session.show("you", ASKED)
    assert [owner.move(say(move=move)) for move in ("a", "b", "a")] == ["taken"] * 3
    assert [move.id for move in owner.moves] == ["a", "b"]


def test_what_could_not_be_stored_can_be_sent_again() -> None:
    owner = Owner()
    owner.session.show("you", ASKED)
    owner.full = True
    assert owner.move(say()) == "not_saved"
    assert owner.session.last is None
    owner.full = False
    assert owner.move(say()) == "taken"


def test_two_tabs_do_not_fork() -> None:
    """Both send at the same moment; the owner shows what came of the first before the second is looked at."""
    owner = Owner()
    owner.session.show("you", ASKED)

    async def take(move: Move) -> None:
        await asyncio.sleep(0)
        owner.moves.append(move)
        owner.session.show("agent", (*ASKED, Message("user", "first")))

    async def both() -> tuple[object, object]:
        session = PersonSession(Brief(""), take)
        session.show("you", ASKED)
        owner.session = session
        moves = (session.move(say("first", move="a")), session.move(say("second", move="b")))
        return await asyncio.gather(*moves, return_exceptions=True)

    first, second = asyncio.run(both())
    assert first is None and isinstance(second, Refused) and second.code == "stale"
    assert [move.id for move in owner.moves] == ["a"]


def test_states_hold_what_is_new() -> None:
    owner = Owner()
    owner.session.show("agent", ASKED, activity=3)
    assert owner.session.state()["messages"] == [
        {"role": "user", "text": "hi"},
        {"role": "agent", "text": "What is it?"},
    ]
    later = owner.session.state(since=1)
    assert (later["from"], len(later["messages"]), later["activity"]) == (1, 1, 3)
    owner.session.show("done", ASKED, ending=Ending("Thanks", "X1", "https://pay.example"))
    ending = {"text": "Thanks", "code": "X1", "redirect": "https://pay.example", "next": None}
    assert owner.session.state(2)["ending"] == ending
    quiet = PersonSession(Brief("", activity=False), owner.take)
    assert quiet.state()["activity"] is None


class Tab:
    shown = -1

    def __init__(self) -> None:
        self.told = self.kicked = 0

    def changed(self) -> None:
        self.told += 1

    def kick(self) -> None:
        self.kicked += 1


def test_the_oldest_tab_makes_room() -> None:
    session, tabs = Owner().session, [Tab() for _ in range(3)]
    for tab in tabs:
        session.join(tab, most=2)
    assert [tab.kicked for tab in tabs] == [1, 0, 0]
    session.part(tabs[0])
    session.part(tabs[0])
    session.show("you", ())
    assert [tab.told for tab in tabs] == [0, 1, 1]


# -- frames ------------------------------------------------------------------------------------------------------------


def frame(**fields: Any) -> str:
    return json.dumps({"id": "1"} | fields)


@pytest.mark.parametrize(
    ("text", "act"),
    [
        (frame(do="say", text=" hi\n", seen=0), Say("hi")),
        (frame(do="say", text="/stop", seen=0), Stop("")),
        (frame(do="say", text="/stop thank you", seen=0), Stop("thank you")),
        (frame(do="say", text="/stopwatch", seen=0), Say("/stopwatch")),
        (frame(do="say", text="😀" * 4000, seen=0), Say("😀" * 4000)),
        (frame(do="stop", text="", seen=3), Stop("")),
        (frame(do="survey", answers=ANSWERS), Survey(ANSWERS)),
        (frame(do="leave"), Leave()),
    ],
)
def test_frames(text: str, act: object) -> None:
    assert read_move(text).act == act


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "bad_frame"),
        ("[]", "bad_frame"),
        ("[" * 100_000, "bad_frame"),
        ('{"do": "leave"}', "bad_frame"),
        (frame(id="x" * 65, do="leave"), "bad_frame"),
        (frame(id=1, do="leave"), "bad_frame"),
        (frame(do="fly"), "bad_frame"),
        (frame(do="say", text="hi"), "bad_frame"),
        (frame(do="say", text="hi", seen=True), "bad_frame"),
        (frame(do="say", text=5, seen=0), "bad_frame"),
        (frame(do="say", text="\ud800", seen=0), "bad_frame"),
        (frame(do="say", text="  ", seen=0), "empty"),
        (frame(do="say", text="x" * 4001, seen=0), "too_long"),
        (frame(do="survey", answers=None), "bad_frame"),
        (frame(do="survey", answers={}), "incomplete"),
        (frame(do="survey", answers=ANSWERS | {"reuse": None}), "incomplete"),
        (frame(do="survey", answers=ANSWERS | {"reuse": "<script>"}), "bad_frame"),
        (frame(do="survey", answers=ANSWERS | {"more": "x"}), "bad_frame"),
        (frame(do="survey", answers=ANSWERS | {"reuse": ["Yes"]}), "bad_frame"),
    ],
)
def test_what_is_no_frame(text: str, code: str) -> None:
    with pytest.raises(Refused) as refused:
        read_move(text)
    assert refused.value.code == code


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["id", "do", "text", "seen", "answers", "say", "x"])


@given(st.dictionaries(NAMES, JSON | NAMES, max_size=6).map(json.dumps) | st.text())
def test_a_frame_is_a_move_or_refused(text: str) -> None:
    try:
        assert isinstance(read_move(text), Move)
    except Refused as refused:
        json.dumps(refused.frame())
