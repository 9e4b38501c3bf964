"""Who speaks: the head of an instruction (``You are Mei Davis in 80217.``) into facts, and what is left of it."""

from __future__ import annotations

import re

from usersim_env.users.agenda.model import Fact, Slot

_NAME = r"(?P<name>[A-Z][a-z]+(?: [A-Z][a-z]+)?)(?![\w'])"
_USER = r"'?(?P<user_id>[a-z]+_[a-z]+_\d{4})'?"
_EMAIL = r"(?P<email>[\w.+-]+@[\w-]+(?:\.\w+)+)"
_ZIP = r"(?P<zip>\d{5})\b"
_PLACE = r"(?:the )?(?P<residence>(?:[A-Z]\w*|\d+)(?:,? (?:[A-Z]\w*|\d+)\b)*)(?!\w)"
_HEAD = r"(?:You're|You are|Your? name is)"

_PIECES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_HEAD} (?:an interesting guy called |user )?{_USER}",
        rf"{_HEAD} (?:an interesting guy called |user )?{_NAME}",
        rf"[Yy]our user id is {_USER}",
        rf"\((?:with ID: |user id is )?{_USER}\)",
        rf"\((?:zip code )?{_ZIP}\)",
        rf"\({_EMAIL}\)",
        rf"your (?:email|email address) is {_EMAIL}",
        rf"your email, you have multiple email addressed, {_EMAIL}",
        rf"you have two emails: {_EMAIL}",
        rf"(?:or )?{_EMAIL}",
        rf"your zip code is {_ZIP}",
        rf"(?:living in |in ){_ZIP}",
        rf"(?:[Yy]ou (?:currently )?(?:live|reside) in|living in|residing in|from) {_PLACE}",
    )
)
_JOINT = re.compile(r"[\s,]*(?:\band\b|\.)?[\s,]*")
_CODE = re.compile(r"\b\d{5}\b")


def split_identity(text: str) -> tuple[tuple[Fact, ...], str]:
    """The facts at the head of an instruction, and the rest as sentences in the second person."""
    facts: list[Fact] = []
    at = 0
    while m := _next_piece(text, at):
        facts += _facts(m)
        at = m.end()
    if not facts:
        return (), text
    closed = at >= len(text) or text[at : at + 1] == "."
    rest = re.sub(r"^[\s,.;]*(?:(?:and|but)\b\s*)?", "", text[at:])
    if rest and not closed and re.match(r"(?:wish|want|would|need)\b", rest):
        rest = "You " + rest
    return tuple(facts), rest[:1].upper() + rest[1:]


def _next_piece(text: str, at: int) -> re.Match[str] | None:
    start = _JOINT.match(text, at)
    begin = at if start is None else start.end()
    for pattern in _PIECES:
        m = pattern.match(text, begin)
        if m and not (m.groupdict().get("name") and at and not text[at:begin].startswith(".")):
            return m
    return None


def _facts(m: re.Match[str]) -> list[Fact]:
    found = []
    for name, value in m.groupdict().items():
        if value is None:
            continue
        if name == "residence" and (code := _CODE.search(value)):
            value = value[: code.start()].strip(" ,")
            found.append(Fact(slots=(Slot("zip", code.group()),)))
        if value:
            found.insert(0, Fact(slots=(Slot(name, value),)))
    return found
