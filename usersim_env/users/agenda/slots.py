"""Values in a text that a question can ask for, the kind of action it speaks of, and its content words."""

from __future__ import annotations

import re
from functools import lru_cache

from usersim_env.users.agenda.model import Slot

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|June?|July?|Aug|Sept?|Oct|Nov|Dec)[a-z]*"
_CITIES = (
    "New York|Los Angeles|San Francisco|San Antonio|San Diego|San Jose|Seattle|Denver|Chicago|Boston|Minneapolis|"
    "Houston|Dallas|Phoenix|Philadelphia|Jacksonville|Charlotte|Orlando|Miami|Atlanta|Detroit|Las Vegas|Newark|"
    "Washington DC|Washington|NYC|Texas|Florida|Springfield|Princeton|Fort Worth|West Coast|Columbus|Austin|"
    "Indianapolis|Portland|Big Apple"
)
_AIRPORTS = "ATL|BOS|CLT|DEN|DFW|DTW|EWR|IAH|JFK|LAS|LAX|LGA|MCO|MIA|MSP|ORD|PHL|PHX|SEA|SFO"

PATTERNS: tuple[tuple[str, str], ...] = (
    ("email", r"[\w.+-]+@[\w-]+(?:\.\w+)+"),
    ("user_id", r"\b[a-z]+_[a-z]+_\d{4}\b"),
    ("payment_id", r"\b(?:gift_card|credit_card|paypal|certificate)_\d+\b"),
    ("order_id", r"#?\bW\d{7}\b"),
    ("item_id", r"\b\d{10}\b"),
    ("number", r"\b\d{7}\b"),
    ("flight", r"\bHAT\d{3}\b"),
    ("reservation_id", r"\b(?!HAT\d)(?=[A-Z0-9]*[A-Z])[A-Z0-9]{6}\b"),
    ("amount", r"\$\d+(?:,\d{3})*(?:\.\d+)?|\b\d+ dollars\b"),
    ("date", rf"\b\d{{4}}-\d\d-\d\d\b|\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?\b|\b(?:mon|tues|wednes|thurs|fri)day\b"),
    (
        "address",
        (
            r"\b\d{2,5} (?:[A-Z]\w+ )+(?:St|Street|Ave|Avenue|Drive|Road|Lane|Highway)\b|"
            r"\bSuite \d+\b|\b\d+ Highway\b"
        ),
    ),
    ("zip", r"\b\d{5}\b"),
    ("quote", r"(?<!\w)'[^']{2,60}'(?!\w)|\"[^\"]{2,80}\""),
    ("place", rf"\b(?:{_CITIES}|{_AIRPORTS})\b"),
    ("reason", r"\b(?:no longer need(?:ed)?|ordered (?:\w+ ){0,4}by mistake)\b"),
    (
        "payment",
        (
            r"(?i:\bgift cards?\b|\bgcs?\b|\bpaypal\b|\bcredit cards?\b|\bmaster ?card\b|\bvisa\b|"
            r"\bamex\b|\bcertificates?\b)"
        ),
    ),
)
"""Slot name and regular expression, tried in this order at each place."""

_ANY = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in PATTERNS))
_DATE = re.compile(r"(?:\d{4}-(\d\d)-(\d\d))|([A-Z][a-z]{2})[a-z]* (\d{1,2})")
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()

_WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()

ACTIONS: tuple[str, ...] = (
    *("cancel", "return", "exchange", "modify", "address", "payment"),
    *("book", "change", "refund", "complain", "ask", "tell", "other"),
)
"""Kinds of wishes; ``modify`` and ``exchange`` both swap items, ``change`` is about flights."""

_ACTION_WORDS: tuple[tuple[str, str], ...] = (
    (
        "ask",
        (
            r"^(?:[\w']+[, ]+){0,5}?(?:know|wonder|ask|check|figure out|inquire|"
            r"confirm)\b(?!.*\band (?:return|cancel|exchange|modify)\b)"
        ),
    ),
    ("address", r"\baddress"),
    ("payment", r"\bpayment (?:method )?(?:to|for|of)\b|\bsplit the payment"),
    ("cancel", r"\bcancel"),
    ("exchange", r"\bexchang"),
    ("return", r"\breturn(?:s|ed|ing)?\b(?! (?:flight|trip|date))"),
    ("book", r"\b(?:re)?book(?:ing)?\b(?! ?shel)|\bfly\b"),
    ("modify", r"\bmodif|\bswitch\b|\badjust"),
    ("refund", r"\brefund|\bcompensat"),
    ("change", r"\bchang|\bupgrad|\bdowngrad|\badd\b|\bremov|\bmove\b|\bpush\b|\bupdat"),
    ("complain", r"\bcomplain"),
)
_ACTION = tuple((name, re.compile(pattern)) for name, pattern in _ACTION_WORDS)

_STOP = frozenset(
    (
        "a an the and or but if then so to of in on at by for from with without about as is are was were be "
        "been am i you me my your it its this that these those he she they them his her their we our us do "
        "does did done not no yes dont don't want wants wanted would will shall should could can cannot can't "
        "may might must have has had having get got go going like please also only just all any some more "
        "most one two both other another same each every order orders item items agent customer service help "
        "know tell say says said ask asks asked asking which what when where who why how there here than too "
        "very ok okay prefer change make sure possible available need needs option options confirm "
        "confirmation give given i'd i'm i've you'd you're it's into out up down over right now still even "
    ).split()
)
_WORD = re.compile(r"[a-z0-9][a-z0-9'-]+")


@lru_cache(maxsize=8192)
def slots_in(text: str) -> tuple[Slot, ...]:
    """All values in a text, left to right; order ids and quotes in one spelling (``#W…``, without quote marks)."""
    return tuple(Slot(str(m.lastgroup), _plain(str(m.lastgroup), m.group())) for m in _ANY.finditer(text))


def _plain(name: str, value: str) -> str:
    if name == "order_id":
        return "#" + value.lstrip("#")
    return value.strip("'\"") if name == "quote" else value


@lru_cache(maxsize=4096)
def action_of(text: str) -> str:
    """The kind of action that a sentence speaks of: one of `ACTIONS`."""
    low = text.lower()
    return next((name for name, pattern in _ACTION if pattern.search(low)), "other")


@lru_cache(maxsize=4096)
def actions_in(text: str) -> frozenset[str]:
    """All kinds of action that a text speaks of, but questions."""
    low = text.lower()
    return frozenset(name for name, pattern in _ACTION if name != "ask" and pattern.search(low))


@lru_cache(maxsize=8192)
def content_words(text: str) -> frozenset[str]:
    """Words that carry meaning, lower case, a plural ``s`` cut off."""
    words = (w.rstrip("'") for w in _WORD.findall(text.lower()))
    return frozenset(w[:-1] if len(w) > 3 and w.endswith("s") else w for w in words if w not in _STOP)


def payment_kinds(text: str) -> frozenset[str]:
    """Kinds of payment named in a text: ``gift``, ``credit``, ``paypal``, ``certificate``."""
    low = text.lower()
    kinds = {
        "gift": r"gift[ _]?card|\bgcs?\b|website credit",
        "credit": r"credit[ _]card|visa|amex|master ?card|\bcc\b",
        "paypal": r"paypal",
        "certificate": r"certificate",
    }
    return frozenset(kind for kind, pattern in kinds.items() if re.search(pattern, low))


def days_in(text: str) -> frozenset[tuple[int, int]]:
    """Month and day of the dates in a text, however they are written; a weekday is a day of month 0."""
    found = {(0, _WEEKDAYS.index(day)) for day in _WEEKDAYS if re.search(rf"\b{day}\b", text.lower())}
    for m in _DATE.finditer(text):
        if m.group(1):
            found.add((int(m.group(1)), int(m.group(2))))
        elif m.group(3) in _MONTHS:
            found.add((_MONTHS.index(m.group(3)) + 1, int(m.group(4))))
    return frozenset(found)
