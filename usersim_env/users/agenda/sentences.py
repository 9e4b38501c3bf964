"""An instruction's running text cut into sentences and clauses, each of which becomes one entry."""

from __future__ import annotations

import re
from collections.abc import Iterator

from usersim_env.users.agenda.forms import match_form
from usersim_env.users.agenda.model import Goal

_END = re.compile(r"(?<=[.!?;)'\"])(?<![^.!?;][)'\"])\s+(?=[A-Z\"'(#])|(?<=;)\s+|(?<=\.\.\.)\s+|\n+")
_ASIDE = re.compile(r"\s*\(([^()]*)\)")
_HOLD = re.compile(r"reveal|mention|not speak|do not offer|only provide|^if |^insist ", re.IGNORECASE)
_AND = re.compile(
    r"(?:,|;)? (?:and|but|then|so)(?: then| also| potentially)? (?=you(?:'d| would| also| then| don't| do not)* "
    r"(?:want|wish|wonder|like|need|prefer|are (?:looking|willing|ok|fine|happy))\b)|"
    r", (?=you(?:'d| would| also)* (?:want|wish|wonder|like|need|prefer)\b)"
)
_BUT_IF = re.compile(
    r", but (?=otherwise )|(?:,|;) (?:but |and (?=if (?:not|it's not|the agent cannot|"
    r"the agent can only)\b))?(?=if (?!you can just|the order is still))"
)
_AND_DIRECT = re.compile(
    r"(?:, so |, | and )(?=(?:be (?:persistent|insistent)|insist |don't provide|under no circumstances))"
)
_OPENER = re.compile(
    r"^(?:(?:also|lastly|in fact|first|second|finally|well|unfortunately|otherwise|then|and|but)[ ,.]*|"
    r"(?:for|since|at|after|once|because|due to|by|now that)\b.*)$",
    re.IGNORECASE,
)
_STATE = re.compile(
    r"(?:You are|You're|Be|Please be) (?:now |a |an |in |very |extremely )?(?!also|willing|"
    r"looking|contacting|ok|fine|happy)"
)
_WANTED = re.compile(r"\b(?:cancel|return|refund|exchang|know the|undo)", re.IGNORECASE)


def pieces(text: str) -> Iterator[str | Goal]:
    """Sentences in order; a clause in one of the fixed forms comes as its goal."""
    at = start = 0
    while at < len(text):
        found = match_form(text, at) if text[at] in "RFC" else None
        if found is None:
            at += 1
            continue
        yield from _sentences(text[start:at])
        goal, at = found
        yield goal
        start = at
    yield from _sentences(text[start:])


def _sentences(text: str) -> Iterator[str]:
    for part in _cut(text, _END):
        part = part.strip(" ;")
        if part:
            yield from _clauses(part)


def _clauses(text: str) -> Iterator[str]:
    """One sentence in clauses: held asides apart, conditions apart, several wishes apart."""
    held = [m for m in _ASIDE.finditer(text) if _HOLD.search(m.group(1))]
    for m in reversed(held):
        text = text[: m.start()] + text[m.end() :]
    if re.match(r"(?:But )?(?:if|when|even if|after)\b", text, re.IGNORECASE):
        yield text
    elif _STATE.match(text):
        parts = _cut(text, _AND)
        yield from parts if len(parts) > 1 and _WANTED.search(parts[1]) else [text]
    else:
        yield from _joined([part for whole in _cut(text, _BUT_IF) for part in _wishes(whole)])
    for m in held:
        yield m.group(1) if m.group(1).startswith(("if ", "insist ")) else f"({m.group(1)})"


def _wishes(text: str) -> list[str]:
    if re.match(r"(?:if|when)\b", text):
        return [text]
    return [clause for part in _cut(text, _AND_DIRECT) for clause in _cut(part, _AND)]


def _cut(text: str, where: re.Pattern[str]) -> list[str]:
    """Like ``split``, but never inside brackets."""
    parts, start = [], 0
    for m in where.finditer(text):
        before = text[: m.start()]
        if before.count("(") <= before.count(")"):
            parts.append(text[start : m.start()])
            start = m.end()
    return [*parts, text[start:]]


def _joined(clauses: list[str]) -> Iterator[str]:
    """Puts an opener that says nothing by itself (``Also``, ``For payment``) back before its clause."""
    before = ""
    for clause in (c.strip() for c in clauses if c.strip(" .,")):
        if _OPENER.match(clause):
            before += clause.rstrip(" ,") + ", "
        else:
            yield before + clause
            before = ""
    if before:
        yield before.rstrip(", ")
