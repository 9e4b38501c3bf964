"""How far a live agent is from the recorded one at the same turn: a number in [0, 1], with its parts.

A rule of thumb of this project, with weights that are assumptions; docs/replay.md says what it is and what it is not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from usersim_env.errors import UsageError
from usersim_env.users.agenda.acts import listen
from usersim_env.users.recorded.moves import Moves

COURTESIES = frozenset({"greet", "apologise", "hold", "goodbye", "unknown"})
"""Acts that change nothing for the customer, and so are no move."""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Divergence:
    """One comparison; every part is 0 for no difference and 1 for the largest.

    Attributes:
        turn: number of the user side's turn that it was made for, 0 the opening; one more than the last for the end.
        move: kind of move: 1 where only one of the two spoke (or transferred), else the distance of their acts.
        asked: distance of what was asked for.
        world: distance of the records changed since the episode began.
        text: distance of the words.
        total: all parts in one number.
    """

    turn: int
    move: float
    asked: float
    world: float
    text: float
    total: float

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values, rounded to six digits."""
        return {name: value if name == "turn" else round(value, 6) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class DivergenceSettings:
    """How much a part alone can say, and from where on a recording counts as left.

    ``total = 1 - (1 - move * d_move)(1 - asked * d_asked)(1 - world * d_world)(1 - text * d_text)``: 0 where all
    parts are 0, never smaller than the largest weighted part. The defaults are assumptions: another effect on the
    database decides alone, another kind of move or another question does so when it has nothing in common with the
    recorded one, and other words for the same move never do.

    Args:
        threshold: a total of this or more means that the agent has left the recording; above 0, at most 1.
        move, asked, world, text: weights in [0, 1].

    Raises:
        UsageError: a number outside of its range.
    """

    threshold: float = 0.5
    move: float = 0.6
    asked: float = 0.6
    world: float = 1.0
    text: float = 0.3

    def __post_init__(self) -> None:
        for part in fields(self):
            value = getattr(self, part.name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (number and 0.0 <= value <= 1.0) or (part.name == "threshold" and value == 0):
                low = "above 0 and" if part.name == "threshold" else "at least 0 and"
                raise UsageError(f"{part.name} of the divergence is a number {low} at most 1, got {value!r}.")

    def left(self, divergence: Divergence) -> bool:
        """Whether the agent has left the recording there."""
        return divergence.total >= self.threshold


def compare(live: Moves, recorded: Moves, turn: int, settings: DivergenceSettings) -> Divergence:
    """The divergence of two stretches of agent steps that lead to the same turn of the user side.

    At the opening only the effects on the world count where just one of the two agents had spoken: who greets first
    is a rule of the episode, not a move.
    """
    if turn == 0 and "none" in (live.closing, recorded.closing):
        move = asked = text = 0.0
    else:
        one, other = listen(live.text), listen(recorded.text)
        same_closing = live.closing == recorded.closing
        move = _set_distance(one.acts - COURTESIES, other.acts - COURTESIES) if same_closing else 1.0
        asked = _set_distance(frozenset(one.topics), frozenset(other.topics))
        text = text_distance(live.text, recorded.text)
    world = world_distance(live.changed, recorded.changed)
    parts = ((settings.move, move), (settings.asked, asked), (settings.world, world), (settings.text, text))
    same = 1.0
    for weight, part in parts:
        same *= 1.0 - weight * part
    return Divergence(turn, move, asked, world, text, 1.0 - same)


def text_distance(one: str, other: str) -> float:
    """``1 - 2 |A ∩ B| / (|A| + |B|)`` over the multisets of lower-cased words (runs of letters and digits)."""
    a, b = Counter(_WORD.findall(one.lower())), Counter(_WORD.findall(other.lower()))
    total = a.total() + b.total()
    return 1.0 - 2.0 * (a & b).total() / total if total else 0.0


def world_distance(one: Mapping[tuple[str, str], str], other: Mapping[tuple[str, str], str]) -> float:
    """The share of records, among those that either agent changed, whose content now differs; 0 where none was."""
    keys = one.keys() | other.keys()
    return sum(one.get(key) != other.get(key) for key in keys) / len(keys) if keys else 0.0


def _set_distance(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard distance: ``1 - |A ∩ B| / |A ∪ B|``; two empty sets are equal."""
    union = one | other
    return 1.0 - len(one & other) / len(union) if union else 0.0
