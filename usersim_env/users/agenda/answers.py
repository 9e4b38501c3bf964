"""Answers to the agent's questions, from the slots of the agenda; what is not in it is not known."""

from __future__ import annotations

import re

import numpy as np

from usersim_env.users.agenda import lines
from usersim_env.users.agenda.acts import IDENTITY_TOPICS, Heard
from usersim_env.users.agenda.lines import Line, pick
from usersim_env.users.agenda.memory import Memory
from usersim_env.users.agenda.model import Agenda, Entry, Fact, Goal, Preference
from usersim_env.users.agenda.slots import content_words

_SPEAKABLE = (Goal, Preference, Fact)
_ABOUT: dict[str, tuple[tuple[str, ...], str]] = {
    "order": (("order_id",), r"\border\b"),
    "reservation": (("reservation_id",), r"\breservation\b"),
    "payment": (("payment_id", "payment"), r"\boriginal (?:payment|method|form)|\bcredit|price difference|\bpay\b"),
    "address": (("address",), r"\baddress"),
    "flights": (("flight", "place"), r"\bflight|\btrip\b"),
    "date": (("date",), r"\bday\b|\bdate"),
    "passengers": ((), r"\bpassenger|\bmyself\b|\bfriend\b|companion"),
    "bags": ((), r"\bbags?\b|baggage|suitcase"),
    "note": (("quote",), r"\bnote\b"),
    "item": (("item",), r"(?!)"),
}
"""For a topic: the slots and the words by which an entry speaks of it."""


def answer(heard: Heard, agenda: Agenda, memory: Memory, rng: np.random.Generator) -> Line:
    """One line for all that the message asks; a user that discloses little answers the first question only."""
    if rule := _when_asked(heard, agenda, memory):
        return rule
    parts: list[Line] = []
    if asked := [topic for topic in heard.topics if topic in IDENTITY_TOPICS]:
        parts.append(identity(agenda, asked, memory.errors))
    others = [topic for topic in heard.topics if topic not in IDENTITY_TOPICS]
    if memory.persona.disclosure < 0.5:
        others = others[: 2 - len(parts)]
    used: set[str] = set()
    for topic in others:
        if line := _about(topic, heard, agenda, memory, used, rng):
            parts.append(line)
    if len(parts) == 1:
        return parts[0]
    known = [line for line in parts if line not in (*lines.UNKNOWN, *lines.NO_ID)] or parts[:1]
    return Line(" ".join(line.full for line in known), wish=any(p.wish for p in known), ids=any(p.ids for p in known))


def identity(agenda: Agenda, asked: list[str], tries: int, zip_code: str = "") -> Line:
    """Who it is: what was asked for where it is known, else what is; the next way to say it after each failure."""
    names = [name for name in agenda.values("name") if " " in name]
    mails, users = agenda.values("email"), agenda.values("user_id")
    zips = (zip_code,) if zip_code else agenda.values("zip")
    ways: list[Line] = [_mail(mail) for mail in mails]
    if names and zips:
        full = f"My name is {names[0]} and the zip code is {zips[0]}."
        ways.insert(0 if "email" not in asked else len(ways), Line(full, f"{names[0]} {zips[0]}", ids=True))
    if users:
        also = f" and the zip code is {zips[0]}" if zips and "user_id" not in asked else ""
        text = f"My user id is {users[0]}{also}."
        short = f"{users[0]} {zips[0]}" if also else users[0]
        line = Line(text, short, f"I think my user id is {users[0]}{also}.", ids=True)
        ways.insert(0 if "user_id" in asked else len(ways), line)
    if ways:
        return ways[tries % len(ways)]
    if values := (*agenda.values("name"), *zips):
        value = values[0]
        return Line(f"All I can give is {value}.", value, f"I only have {value}, I don't know the rest.", ids=True)
    return Line("I cannot tell you that.", "No idea", "I don't know that.")


def _mail(mail: str) -> Line:
    return Line(f"My e-mail is {mail}.", mail, f"I think the e-mail is {mail}.", ids=True)


def _when_asked(heard: Heard, agenda: Agenda, memory: Memory) -> Line | None:
    """A rule on being asked, once: its condition shares a word with the question, or names none."""
    words = content_words(heard.question) | set(heard.topics)
    for at in memory.waiting_rules("when_asked"):
        rule = memory.rules[at]
        wanted = content_words(rule.condition) - {"ask", "asked", "asks", "finally"}
        if wanted & words or (not wanted and ("reason" in heard.topics or heard.topics != ("wish",))):
            if set(heard.topics) & IDENTITY_TOPICS and not wanted & words:
                continue
            memory.fired.add(at)
            codes = [value for name, value in rule.slots if name == "zip"]
            if codes and "zip" in heard.topics:
                return identity(agenda, ["name"], 0, codes[0])
            return Line(_long(rule.text))
    return None


def _about(
    topic: str, heard: Heard, agenda: Agenda, memory: Memory, used: set[str], rng: np.random.Generator
) -> Line | None:
    """The line on one topic; none if another topic's line has said it already."""
    if topic == "wish":
        return wish(memory, list(range(len(memory.goals)))[: 1 + int(memory.persona.disclosure * 9)])
    if topic == "reason":
        return _reason(agenda, rng)
    if topic == "birthday":
        return pick(lines.IN_PROFILE, rng)
    if entries := _speaking_of(topic, heard, agenda):
        fresh = [e for e in entries if e.text not in used][: 2 if memory.persona.disclosure >= 0.5 else 1]
        used |= {entry.text for entry in fresh}
        memory.voiced |= {memory.goals.index(entry) for entry in fresh if isinstance(entry, Goal)}
        return Line(_long(" ".join(entry.text for entry in fresh)), ids=True) if fresh else None
    return _not_known(topic, agenda, rng)


def _not_known(topic: str, agenda: Agenda, rng: np.random.Generator) -> Line:
    if topic in ("address", "passengers") and any(e.kind == "secret" for e in agenda.entries):
        return pick(lines.IN_PROFILE, rng)
    if topic in ("order", "reservation"):
        return pick(lines.NO_ID, rng)
    return pick(lines.NO_MATTER if topic == "payment" else lines.UNKNOWN, rng)


def wish(memory: Memory, which: list[int]) -> Line:
    """The wishes with these indices, and notes that they are said."""
    memory.voice(which)
    texts = [memory.goals[i].text for i in which]
    return Line(_long(" ".join(texts)) if texts else "I have a general request.", wish=True, ids=True)


def _reason(agenda: Agenda, rng: np.random.Generator) -> Line:
    if values := agenda.values("reason"):
        value = " and ".join(dict.fromkeys(values))
        return Line(f"The reason is: {value}.", value if len(value.split()) <= 3 else "", f"I guess {value}.")
    told = [fact.text for fact in agenda.of(Fact) if fact.text and fact.sure]
    because = [g.text for g in agenda.of(Goal) if re.search(r"\b(?:because|since)\b", g.text)]
    if because or told:
        return Line(_long((because or told)[0]))
    return pick(lines.NO_REASON, rng)


def _speaking_of(topic: str, heard: Heard, agenda: Agenda) -> list[Entry]:
    """Entries that may be said and speak of a topic, best first for questions without a known topic."""
    entries: list[Entry] = [e for e in agenda.entries if isinstance(e, _SPEAKABLE) and e.text]
    if topic in _ABOUT and topic != "item":
        slots, words = _ABOUT[topic]
        named = [e for e in entries if any(n in slots for n, _ in e.slots)]
        return named or [e for e in entries if re.search(words, e.text.lower())]
    words_asked = content_words(heard.question)
    scored = [(len(words_asked & content_words(e.text)), -i) for i, e in enumerate(entries)]
    best = sorted((s for s in scored if s[0]), reverse=True)
    return [entries[-i] for _, i in best]


def _long(text: str) -> str:
    """More than three words, so that short turns are those that are meant to be short."""
    return text if len(text.split()) > 3 else f"What I can say is: {text}"
