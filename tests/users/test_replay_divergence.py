"""The divergence of two stretches of agent steps: its parts, its bounds, its total."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usersim_env.domains import World, get_domain
from usersim_env.errors import UsageError
from usersim_env.messages import ToolCall
from usersim_env.users.recorded.divergence import (
    DivergenceSettings,
    compare,
    text_distance,
    world_distance,
)
from usersim_env.users.recorded.moves import MoveReader, Moves

PLAIN = DivergenceSettings()
TEXTS = (
    "What is your e-mail?",
    "Could you give me your e-mail and your zip code?",
    "Shall I go ahead and cancel it?",
    "Your order has been cancelled. Is there anything else?",
    "Hello! One moment, please.",
    "",
)
words = st.sampled_from(TEXTS) | st.text(max_size=40)
changes = st.dictionaries(st.tuples(st.just("orders"), st.sampled_from("abc")), st.sampled_from("xy"))
moves = st.builds(Moves, closing=st.just("respond"), text=words, changed=changes) | st.builds(
    Moves, closing=st.sampled_from(["transfer", "none"]), changed=changes
)


def said(text: str, **changed: str) -> Moves:
    return Moves("respond", text, {("orders", key): value for key, value in changed.items()})


@given(moves, st.integers(0, 3))
def test_equal_moves_have_no_divergence(one: Moves, turn: int) -> None:
    assert compare(one, one, turn, PLAIN).total == 0.0


@given(moves, moves, st.integers(0, 3))
def test_it_is_symmetric_and_bounded(one: Moves, other: Moves, turn: int) -> None:
    there, back = compare(one, other, turn, PLAIN), compare(other, one, turn, PLAIN)
    assert there == back
    values = there.to_dict()
    assert values.pop("turn") == turn
    assert all(0.0 <= value <= 1.0 for value in values.values())
    assert there.total >= max(0.6 * there.move, 0.6 * there.asked, there.world, 0.3 * there.text) - 1e-12


@pytest.mark.parametrize(
    ("one", "other", "part", "value"),
    [
        (said(TEXTS[0]), said(TEXTS[2]), "move", 1.0),
        (said(TEXTS[0]), said(TEXTS[1]), "move", 0.0),
        (said(TEXTS[0]), said(TEXTS[1]), "asked", 0.5),
        (said(TEXTS[0]), said(TEXTS[2]), "asked", 1.0),
        (said(TEXTS[0]), Moves("transfer"), "move", 1.0),
        (Moves("none"), Moves("transfer"), "move", 1.0),
        (said("Hello!"), said("One moment, please."), "move", 0.0),
        (said("x", a="1", b="1"), said("x", a="1", b="2"), "world", 0.5),
        (said("x", a="1"), said("x"), "world", 1.0),
        (said("a b c d"), said("a b e f"), "text", 0.5),
        (said("A, b."), said("a b"), "text", 0.0),
        (said("a"), Moves("none"), "text", 1.0),
    ],
)
def test_parts(one: Moves, other: Moves, part: str, value: float) -> None:
    assert getattr(compare(one, other, 1, PLAIN), part) == pytest.approx(value)


def test_the_total_is_the_documented_formula() -> None:
    weights = DivergenceSettings(move=0.5, asked=0.4, world=0.3, text=0.2)
    found = compare(said(TEXTS[0], a="1"), said(TEXTS[1], a="2"), 1, weights)
    expected = 1 - (1 - 0.5 * found.move) * (1 - 0.4 * 0.5) * (1 - 0.3 * 1.0) * (1 - 0.2 * found.text)
    assert found.total == pytest.approx(expected)
    assert found.text > 0


def test_another_effect_decides_alone_and_other_words_never_do() -> None:
    assert PLAIN.left(compare(said("x", a="1"), said("x", a="2"), 1, PLAIN))
    assert PLAIN.left(compare(said(TEXTS[0]), said(TEXTS[2]), 1, PLAIN))
    assert not PLAIN.left(compare(said("one two"), said("three four"), 1, PLAIN))


def test_who_greets_first_is_no_move_but_what_was_done_counts() -> None:
    greeting = said("Hello! How can I help you today?")
    assert compare(Moves(), greeting, 0, PLAIN).total == 0.0
    assert compare(Moves(), greeting, 1, PLAIN).total > 0.5
    assert compare(Moves(), said("Hello!", a="1"), 0, PLAIN).world == 1.0


def test_distances_of_nothing() -> None:
    assert text_distance("", "!") == 0.0
    assert world_distance({}, {}) == 0.0


@pytest.mark.parametrize("keywords", [{"threshold": 0}, {"threshold": 1.5}, {"world": -0.1}, {"text": "much"}])
def test_settings_outside_their_range(keywords: dict[str, Any]) -> None:
    name = next(iter(keywords))
    with pytest.raises(UsageError, match=f"{name} of the divergence is a number"):
        DivergenceSettings(**keywords)


# -- reading moves ---------------------------------------------------------------------------------------------------

MOVE = {"event": "act", "name": "move_ticket", "arguments": {"ticket_id": "T-1001", "day": "friday"}, "result": "…"}
ASK = {"event": "act", "name": "respond", "arguments": {"content": "When?"}}
SAY = {"event": "say", "content": "On friday."}


def test_the_effects_are_those_of_the_episodes_world() -> None:
    domain = get_domain("mock")
    world = World(domain)
    world.call(ToolCall("move_ticket", MOVE["arguments"]))  # type: ignore[arg-type]
    assert MoveReader(domain).read([SAY, MOVE]).changed == world.changed() != {}


def test_a_stretch_ends_with_the_user_sides_turn_and_effects_stay() -> None:
    reader = MoveReader(get_domain("mock"))
    events: list[dict[str, Any]] = [SAY, MOVE, ASK]
    first = reader.read(events)
    assert (first.closing, first.text, first.calls) == ("respond", "When?", ("move_ticket",))
    then = reader.read([*events, SAY])
    assert (then.closing, then.text, then.calls, then.changed) == ("none", "", (), first.changed)
    assert reader.read([*events, SAY]) == then


def test_a_refused_call_or_a_malformed_answer_is_no_move() -> None:
    reader = MoveReader(get_domain("mock"))
    malformed = {"event": "act", "name": "respond", "arguments": {}, "result": "Error: …", "error": True}
    assert reader.read([SAY, MOVE | {"refused": True}, malformed]) == Moves("none", calls=("move_ticket",))
    transfer = {"event": "act", "name": "transfer_to_human_agents", "arguments": {}, "result": "…"}
    assert reader.read([SAY, MOVE | {"refused": True}, malformed, transfer]).closing == "transfer"
