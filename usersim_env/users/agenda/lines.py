"""What can be said: each line in a full and a short form, without courtesies (`style` adds them)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Line:
    """One turn before it is dressed.

    Attributes:
        full: more than three words.
        short: three words or fewer; empty where the content does not fit.
        unsure: a form that sounds uncertain; empty where there is none.
        end: whether the user side leaves with it.
        wish: whether it brings up a wish.
        ids: whether it says an identifier, in which a slip may hide.
    """

    full: str
    short: str = ""
    unsure: str = ""
    end: bool = False
    wish: bool = False
    ids: bool = False

    def ending(self) -> Line:
        """The same, and it leaves."""
        return replace(self, end=True)


YES = (
    Line("Yes, go ahead with that.", "Yes"),
    Line("Yes, that is right, do it.", "Yes, do it"),
    Line("Yes, you can do that.", "Ok"),
    Line("Yes, that works for me.", "Yes, go ahead"),
)
_NAMED = {
    "cancel": "cancellation",
    "return": "return",
    "exchange": "exchange",
    "address": "address change",
    "payment": "payment change",
    "book": "booking",
    "modify": "change",
    "change": "change",
}
HEDGED = (
    Line("That could be it.", "Hm", unsure="I guess that could be it."),
    Line("Hm, that is about what I had in mind.", unsure="Hm, probably, I guess."),
    Line("If you say so.", unsure="Maybe, if you say so."),
)
UNKNOWN = (
    Line("That I cannot tell you.", "No idea", "I don't know that."),
    Line("I have no details about that.", "No idea", "I am not sure about that."),
    Line("You should see that in your system.", "No clue", "I don't remember that."),
)
NO_ID = (
    Line("I do not have the number with me.", "No idea", "I don't remember the number."),
    Line("The number is not at hand, look it up in my account.", "Look it up", "I don't know the number."),
)
NO_MATTER = (
    Line("It does not matter to me.", "Any", "I don't know, you choose."),
    Line("The one that I used before.", "Same as before", "Probably the one that I used before."),
)
IN_PROFILE = (Line("You can find that in my profile.", "In my profile"),)
NO_REASON = (
    Line("There is no special reason for it.", "No reason"),
    Line("I have my reasons for that.", "Personal reasons"),
)
WAIT = (Line("Okay, I will wait for that.", "Okay"), Line("Alright, I am still here.", "Alright"))
SEEN = (Line("Okay, I have read that.", "Okay"), Line("Alright, got that so far.", "Got it"))
ACCEPT_NO = (
    Line("Okay, then I leave it at that.", "Okay then"),
    Line("I see, that is how it is then.", "I see"),
)
CLOSE = (
    Line("No, that is all I came for. Bye.", "No, bye"),
    Line("No, that was everything for today. Goodbye.", "No, that's all"),
    Line("That is all for now, bye.", "All set, bye"),
)
FED_UP = (
    Line("This is taking too long, I am leaving it here. Bye.", "Forget it, bye"),
    Line("This leads nowhere, I will leave now. Bye.", "I am done"),
    Line("I have had enough of this, goodbye.", "Enough, bye"),
)
GREETINGS = ("Hi, ", "Hello, ", "")
LEADS = ("I need some help", "I have a request", "I need help with something")


def yes_to(actions: frozenset[str]) -> Line | None:
    """A yes that names what it is to; none if that is not clear."""
    named = next((noun for action, noun in _NAMED.items() if action in actions), None)
    return Line(f"Yes, go ahead with the {named}.", "Yes") if named else None


def pick(lines: tuple[Line, ...], rng: np.random.Generator) -> Line:
    """One of several lines, evenly."""
    return lines[int(rng.integers(len(lines)))]
