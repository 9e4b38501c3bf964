"""How a line comes out: short or full, polite, unsure, with a turn of direction, with typos.

A persona's shares are kept by systematic sampling: after n turns a mark is due ``floor(share * n + u)`` times, with
one uniform ``u`` per episode and mark. The expected share is then the persona's at every length, whatever the agent
asks, and words that carry a mark by themselves count.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from usersim_env.feedback.behaviour import phrase_hits
from usersim_env.users.agenda.lines import Line
from usersim_env.users.agenda.persona import Persona

MARKS: tuple[str, ...] = ("short", "polite", "uncertainty", "pivot")
_SHORT = 3
_POLITE_ENDS = ("please", "thanks", "thank you")
_TURNS = ("How about this: ", "What about this: ", "Can we try this: ")
_ORDINARY = re.compile(r"(?<![\w#@._-])[a-z]{5,}(?![\w@._-])")
_IDENTIFIER = re.compile(r"[\w.+-]+@[\w.-]+\w|\b[a-z]+_[a-z]+_\d+\b|\b\d{5}\b")


class Style:
    """Counts the marks of one session's turns, and dresses the next."""

    def __init__(self, persona: Persona, starts: Sequence[float]) -> None:
        self._shares = {
            "short": persona.short_share,
            "polite": persona.polite_share,
            "uncertainty": persona.uncertain_share,
            "pivot": persona.pivot_share,
        }
        self._starts = dict(zip(MARKS, starts, strict=True))
        self._persona = persona
        self._counts: Counter[str] = Counter()
        self._turns = 0

    def due(self, mark: str) -> bool:
        """Whether the next turn should carry a mark."""
        return math.floor(self._shares[mark] * (self._turns + 1) + self._starts[mark]) > self._counts[mark]

    def dress(self, line: Line, rng: np.random.Generator) -> str:
        """The words of a turn; counts what they carry."""
        brief = line.short and self.due("short")
        text = self._dress_short(line.short, rng) if brief else self._dress_full(line, rng)
        if line.ids and self._persona.slips and rng.random() < self._persona.slips:
            text = _slip(text, rng)
        if self._persona.typos and rng.random() < self._persona.typos:
            text = _typo(text, rng)
        self._turns += 1
        self._counts.update(marks_of(text))
        return text

    def _dress_short(self, text: str, rng: np.random.Generator) -> str:
        if "polite" in marks_of(text) or not self.due("polite") or len(text.split()) == _SHORT or "@" in text:
            return text
        return f"{text} {_POLITE_ENDS[int(rng.integers(2))]}"

    def _dress_full(self, line: Line, rng: np.random.Generator) -> str:
        text = line.unsure if line.unsure and self.due("uncertainty") else line.full
        carried = marks_of(text)
        plain = not (line.end or text.startswith(("Yes", "No", "Hi", "Hello")))
        if plain and "pivot" not in carried and self.due("pivot"):
            text = _TURNS[int(rng.integers(len(_TURNS)))] + text
        elif text.startswith("Yes, ") and self.due("pivot"):
            text = "Yes, can you just " + text[5:].replace("go ahead with that", "do that").replace("you can ", "")
            text = text if re.search(r"just (?:do|go)", text) else "Yes, can you just do that."
        if not line.unsure and "uncertainty" not in carried and self.due("uncertainty"):
            text = text.rstrip(".") + ", I think."
        if "polite" not in carried and self.due("polite"):
            end = _POLITE_ENDS[int(rng.integers(1, 3))] if line.end else _POLITE_ENDS[int(rng.integers(3))]
            text = f"{text} {end.capitalize()}." if end != "please" else _asked(text)
        return text


def _asked(text: str) -> str:
    return f"{text[:-1]}, please{text[-1]}" if text[-1] in ".?!" else f"{text}, please."


def marks_of(text: str) -> frozenset[str]:
    """The marks that a text carries, by the phrase lists that measure behaviour (which do not cross sentences)."""
    found = frozenset().union(*(_marks(part) for part in text.split(". ")))
    return found | {"short"} if len(text.split()) <= _SHORT else found


@lru_cache(maxsize=16384)
def _marks(sentence: str) -> frozenset[str]:
    return frozenset(mark for mark in phrase_hits(sentence) if mark in MARKS)


def _slip(text: str, rng: np.random.Generator) -> str:
    """One identifier with two neighbouring characters swapped."""
    found = list(_IDENTIFIER.finditer(text))
    if not found:
        return text
    m = found[int(rng.integers(len(found)))]
    at = m.start() + int(rng.integers(max(1, min(len(m.group()), 8) - 1)))
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def _typo(text: str, rng: np.random.Generator) -> str:
    """One ordinary word with two inner letters swapped."""
    words = list(_ORDINARY.finditer(text))
    if not words:
        return text
    m = words[int(rng.integers(len(words)))]
    at = m.start() + 1 + int(rng.integers(len(m.group()) - 3))
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
