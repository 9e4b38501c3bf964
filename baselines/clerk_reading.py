"""How the clerk reads what the customer wrote: keyword tables and a few patterns, nothing that understands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

from usersim_env.messages import ToolCall

Answer: TypeAlias = Literal["yes", "no", "unclear"]

# Yes and no

YES = re.compile(
    r"\b(yes|yeah|yep|yup|sure|ok|okay|correct|right|go ahead|please do|do it|do that|confirm|confirmed"
    r"|proceed|perfect|absolutely|definitely|agreed?|fine|of course|sounds? good|i accept|works for me)\b"
)
NO = re.compile(r"\b(no|nope|nah|not|don't|dont|do not|never|wrong|incorrect|stop|refuse|rather)\b")
NEITHER = re.compile(
    r"\bno (?:longer|problem|worries|rush|matter)\b|\b(?:do not|don't|dont) (?:know|mind|worry|forget)\b|\bnot sure\b"
)
"""Phrases that hold a word of the tables but answer nothing."""


def read_answer(text: str) -> Answer:
    """Yes, no or unclear. The first word of either table decides; a question is no answer unless it begins with one."""
    text = NEITHER.sub(" ", text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    statements = re.sub(r"[^.!?\n]*\?", " ", text)
    found = _first(statements)
    if found is None:
        found = _first(text)
        if found is None or text[: found[0]].strip():
            return "unclear"
    return found[1]


def _first(text: str) -> tuple[int, Answer] | None:
    yes, no = YES.search(text), NO.search(text)
    found: list[tuple[int, Answer]] = []
    if yes is not None:
        found.append((yes.start(), "yes"))
    if no is not None:
        found.append((no.start(), "no"))
    return min(found, default=None)


FAREWELL = re.compile(r"\b(bye|goodbye|thanks?|thank you|that's all|that is all|nothing else|all set)\b", re.IGNORECASE)


def is_farewell(text: str) -> bool:
    """Whether the customer thanks or says goodbye, and asks nothing more."""
    return FAREWELL.search(text) is not None and "?" not in text


# Who it is

EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
USER_ID = re.compile(r"\b[a-z]+_[a-z]+_\d+\b")
ZIP = re.compile(r"(?<![\d#W])\d{5}(?!\d)")
NAMED = re.compile(r"\b(?:name is|name's|name:|i am|i'm|this is|it's|it is)\s+([a-z]+)\s+([a-z]+)", re.IGNORECASE)
CAPITALISED = re.compile(r"\b(?=([A-Z][a-z]+)\s+([A-Z][a-z]+)\b)")
BEFORE_ZIP = re.compile(
    r"\b([a-z]+)[\s,]+([a-z]+)\W+(?:(?:and|my|in|from|at|zip|zipcode|code|postal|is|it's|living)\W+)*\d{5}\b",
    re.IGNORECASE,
)
BARE = re.compile(r"^\W*([a-z]+)\s+([a-z]+)\W*$", re.IGNORECASE | re.MULTILINE)
NO_NAMES = frozenset(
    "a account an and at code email from good hello hi help i in is it like looking my name need no not of ok okay "
    "order please sorry sure thank thanks that the this to trying user want writing yes you your zip zipcode".split()
)


def _names(text: str) -> Iterator[tuple[str, str]]:
    """Pairs that may be a first and a last name, the surest first."""
    pairs = [(match[1], match[2]) for match in NAMED.finditer(text)]
    pairs += [(first, last) for first, last, _ in (user_id.split("_") for user_id in USER_ID.findall(text.lower()))]
    for pattern in (BEFORE_ZIP, CAPITALISED, BARE):
        pairs += [(match[1], match[2]) for match in pattern.finditer(text)]
    for first, last in pairs:
        if first.lower() not in NO_NAMES and last.lower() not in NO_NAMES:
            yield first.title(), last.title()


def _retail(texts: Sequence[str]) -> Iterator[ToolCall]:
    for text in texts:
        for email in EMAIL.findall(text):
            yield ToolCall("find_user_id_by_email", {"email": email})
    names = [name for text in texts for name in _names(text)]
    for zip_code in (code for text in texts for code in ZIP.findall(text)):
        for first, last in names:
            yield ToolCall("find_user_id_by_name_zip", {"first_name": first, "last_name": last, "zip": zip_code})


def _airline(texts: Sequence[str]) -> Iterator[ToolCall]:
    for text in texts:
        for user_id in USER_ID.findall(text.lower()):
            yield ToolCall("get_user_details", {"user_id": user_id})


def _mock(texts: Sequence[str]) -> Iterator[ToolCall]:
    for text in texts:
        for email in EMAIL.findall(text):
            yield ToolCall("find_ticket", {"email": email})


_LOOKUPS: Mapping[str, Callable[[Sequence[str]], Iterator[ToolCall]]] = {
    "retail": _retail,
    "airline": _airline,
    "mock": _mock,
}


def lookups(domain: str, texts: Sequence[str]) -> list[ToolCall]:
    """Tool calls that may find the customer in what they wrote, the latest turn first, without repeats."""
    calls: list[ToolCall] = []
    for call in _LOOKUPS[domain](tuple(reversed(texts))):
        if call not in calls:
            calls.append(call)
    return calls


# What it is about

WISH = re.compile(
    r"\b(want|like to|need|wish|help me|return|exchange|cancel|change|modify|move|book|upgrade|downgrade|refund|add"
    r"|remove|know|swap|update|switch|replace|compensation|complain|sell)",
    re.IGNORECASE,
)
TOLD: Mapping[str, re.Pattern[str]] = {
    "order": re.compile(r"#?\bW\d{5,}", re.IGNORECASE),
    "reservation": re.compile(r"\b(?=[A-Z]*\d)[A-Z\d]{6}\b|\b[A-Z]{6}\b"),
    "ticket": re.compile(r"\bT-\d+\b|\b(?:touring|cargo|racer|folding|repair|bike)\b", re.IGNORECASE),
    "reason": re.compile(
        r"\b(because|since|due to|reason|no longer|mistake|sick|ill|unwell|weather|emergency|delay(?:ed)?|passed away"
        r"|changed? (?:my|of) (?:mind|plans?))\b",
        re.IGNORECASE,
    ),
    "payment": re.compile(r"\b(card|paypal|certificates?|voucher|visa|mastercard|payment|pay)\b|_\d{7}", re.IGNORECASE),
    "address": re.compile(r"\d+ \w+ \w+|\b(suite|street|avenue|drive|lane|road|address)\b.*\d", re.IGNORECASE),
    "flights": re.compile(r"\bfrom\b.+\bto\b|\bHAT\d+|\bMay \d+|2024-\d\d-\d\d", re.IGNORECASE | re.DOTALL),
    "passengers": re.compile(r"\b(passengers?|myself|just me|only me|date of birth|birthday|dob)\b", re.IGNORECASE),
    "bags": re.compile(r"\b(bags?|baggages?|suitcases?|luggage)\b", re.IGNORECASE),
    "day": re.compile(r"\b(?:mon|tues|wednes|thurs|fri)day\b", re.IGNORECASE),
    "note": re.compile(r"\bnote\b", re.IGNORECASE),
}
"""Kind of detail → how the clerk recognises that the customer has given it."""


def states_wish(texts: Sequence[str]) -> bool:
    """Whether any turn says what the customer came for."""
    return any(WISH.search(text) for text in texts)


def has_told(kind: str, texts: Sequence[str]) -> bool:
    """Whether any turn holds a detail of this kind."""
    return any(TOLD[kind].search(text) for text in texts)
