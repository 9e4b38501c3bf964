"""What can be compared between a text of the agent and one of the agenda: word stems, amounts, bounds, details."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_TOKEN = re.compile(r"[a-z0-9][a-z0-9'-]*")
_ENDING = re.compile(r"(?:ations?|ings?|ed|es|s|e)$")
_AMOUNT = re.compile(r"\$(\d[\d,]*(?:\.\d+)?)|(\d[\d,]*(?:\.\d+)?) (?:dollars|bucks)", re.IGNORECASE)
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_MORE = re.compile(r"\b(?:more|greater|higher|above|over|exceeds?)\b", re.IGNORECASE)
_LESS = re.compile(r"\b(?:less|lower|below|under|cheaper)\b", re.IGNORECASE)
_LIMIT = re.compile(
    r"(?:up to|down to|at most|less than|below|under|no more than|budget(?: is| of)?) \$(\d[\d,]*(?:\.\d+)?)",
    re.IGNORECASE,
)
_QUANTITY = re.compile(
    r"\b(\d+(?:\.\d+)?)[ -]?(ml|liters?|l|bar|inch|gb|tb|mp|mah|pieces?|hours?|foot|ft|x)\b(?! (?:more|less|fewer))",
    re.IGNORECASE,
)
_BAGS = re.compile(r"\bbags: (\d+)|\b(\d+) (?:checked )?(?:bags|baggages)\b", re.IGNORECASE)
_CHOICES: dict[str, tuple[tuple[str, str], ...]] = {
    "cabin": (("basic economy", r"\bbasic[ _]economy\b"), ("business", r"\bbusiness\b"), ("economy", r"\beconomy\b")),
    "trip": (("one way", r"\bone[- ]way\b"), ("round trip", r"\bround[- ]?trip\b")),
    "insurance": (
        ("without insurance", r"\b(?:no|not|without|\w+n't)\b[^.,;]*\binsurance\b"),
        ("with insurance", r"\binsurance\b"),
    ),
    "colour": tuple((c, rf"\b{c}\b") for c in "black white red blue green grey silver purple pink yellow gold".split()),
}


class Bound(NamedTuple):
    """Amounts above (or below) a number."""

    above: bool
    number: float

    def holds(self, amount: float) -> bool:
        """Whether an amount is one of them."""
        return amount > self.number if self.above else amount < self.number


@lru_cache(maxsize=8192)
def stems(text: str) -> frozenset[str]:
    """All words, lower case, without endings: ``cancelling``, ``cancelled`` and ``cancellation`` are one."""
    return frozenset(_stem(word.strip("'-")) for word in _TOKEN.findall(text.lower()))


def _stem(word: str) -> str:
    stem = _ENDING.sub("", word) if len(word) > 3 and "'" not in word else word
    stem = stem if len(stem) >= 3 else word
    stem = stem[:-1] if len(stem) > 3 and stem[-1] == stem[-2] and stem[-1].isalpha() else stem
    return stem[:-1] + "i" if len(stem) > 3 and stem.endswith("y") else stem


def amounts_in(text: str) -> tuple[float, ...]:
    """Amounts of money in a text, in dollars."""
    return tuple(_number(m[1] or m[2]) for m in _AMOUNT.finditer(text))


def limit_in(text: str) -> float | None:
    """The most that a wish is willing to pay, in dollars; none if it names no limit."""
    m = _LIMIT.search(text)
    return _number(m[1]) if m else None


def bound_in(text: str, before: str = "") -> Bound | None:
    """What a condition compares amounts with; one without a number takes it from the condition ``before`` it."""
    above, below = bool(_MORE.search(text)), bool(_LESS.search(text))
    number = _NUMBER.search(text[m.start() :] if (m := _MORE.search(text) or _LESS.search(text)) else "")
    number = number or (_NUMBER.search(before) if bound_in(before) else None) if before else number
    if above == below or number is None:
        return None
    return Bound(above != bool(re.search(r"\bnot\b", text)), _number(number[0]))


def quantities_in(text: str) -> frozenset[tuple[float, str]]:
    """Numbers with their units: ``500ml`` is ``(500.0, "ml")``."""
    return frozenset((float(m[1]), m[2].lower().rstrip("s")) for m in _QUANTITY.finditer(text))


@lru_cache(maxsize=8192)
def details_in(text: str) -> dict[str, frozenset[str]]:
    """The options that a text names, by their kind: cabin, kind of trip, insurance, colours, bags, and each unit."""
    found: dict[str, set[str]] = {}
    for kind, choices in _CHOICES.items():
        rest = text
        for name, pattern in choices:
            if re.search(pattern, rest, re.IGNORECASE):
                found.setdefault(kind, set()).add(name)
                rest = re.sub(pattern, " ", rest, flags=re.IGNORECASE)
    for number, unit in quantities_in(text):
        found.setdefault(unit, set()).add(f"{number:g}")
    if not re.search(r"\badd\b|\bextra\b", text, re.IGNORECASE) and (bags := _BAGS.search(text)):
        found["bags"] = {bags[1] or bags[2]}
    return {kind: frozenset(names) for kind, names in found.items()}


def _number(text: str) -> float:
    return float(text.replace(",", ""))
