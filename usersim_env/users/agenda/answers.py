"""Answers to the agent's questions, from the slots of the agenda; what is not in it is not known."""

from __future__ import annotations

import re

import numpy as np

from usersim_env.users.agenda import lines
from usersim_env.users.agenda.acts import IDENTITY_TOPICS, Heard
from usersim_env.users.agenda.lines import Line, pick
from usersim_env.users.agenda.measures import stems
from usersim_env.users.agenda.memory import Memory
from usersim_env.users.agenda.model import Agenda, Entry, Fact, Goal, Order, Preference, Rule
from usersim_env.users.agenda.slots import content_words
from usersim_env.users.agenda.triggers import WEAK

_EMPTY = (*lines.UNKNOWN, *lines.NO_ID, *lines.NO_MATTER, *lines.NO_REASON, *lines.IN_PROFILE)
_BY_NAME = ("order", "reservation", "reason", "payment", "zip")
_CHOICE = re.compile(r"would you (?:like|prefer)|do you (?:want|prefer)|let me know|decided|proceed")
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
    parts: list[Line] = []
    topics = list(heard.topics)
    if (at := asked_rule(heard, memory)) is not None:
        topics = _beside(memory.rules[at], topics)
        parts.append(_say_rule(at, heard, agenda, memory))
    if asked := [topic for topic in topics if topic in IDENTITY_TOPICS]:
        parts.append(identity(agenda, asked, memory.errors, memory.zip_code))
    others = [topic for topic in topics if topic not in IDENTITY_TOPICS]
    if memory.persona.disclosure < 0.5:
        others = others[: 2 - len(parts)]
    used: set[str] = set()
    for topic in others:
        if line := _about(topic, heard, agenda, memory, used, rng):
            parts.append(line)
    if len(parts) == 1:
        return parts[0]
    known = [line for line in parts if line not in _EMPTY] or parts[:1]
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


def asked_rule(heard: Heard, memory: Memory) -> int | None:
    """The rule that a question brings up, once: its condition names the topic or shares a word, or names none."""
    about = set(heard.topics)
    told = heard.text if {"item", "other"} & about else heard.question
    words = stems(re.sub(r"e-?mail address", "e-mail", told))
    for at in memory.waiting_rules("when_asked"):
        condition = memory.rules[at].condition
        if topical := {topic for topic in _BY_NAME if topic in condition}:
            if topical & about:
                return at
            continue
        wanted = stems(condition) - WEAK
        if wanted & words or (not wanted and not about & IDENTITY_TOPICS and heard.topics != ("wish",)):
            return at
    return None


def _say_rule(at: int, heard: Heard, agenda: Agenda, memory: Memory) -> Line:
    text = memory.fire(at)
    codes = [value for name, value in memory.rules[at].slots if name == "zip"]
    if codes and "zip" in heard.topics:
        memory.zip_code = codes[0]
        return identity(agenda, ["name"], 0, codes[0])
    return Line(_long(text))


def _beside(rule: Rule, topics: list[str]) -> list[str]:
    """The topics that a rule does not answer: those that neither its condition nor its slots name."""
    if any(name == "zip" for name, _ in rule.slots):
        return [topic for topic in topics if topic not in IDENTITY_TOPICS]
    words = f"{rule.condition} {rule.text}".lower()
    names = {name.removesuffix("_id") for name, _ in rule.slots}
    left = [topic for topic in topics if topic not in names and topic not in words and topic not in ("item", "other")]
    return left if len(left) < len(topics) else []


def _about(
    topic: str, heard: Heard, agenda: Agenda, memory: Memory, used: set[str], rng: np.random.Generator
) -> Line | None:
    """The line on one topic; none if another topic's line has said it already."""
    if topic == "wish":
        share = {"one": 0.0, "all": 1.0}.get(_pace(agenda), memory.persona.disclosure)
        left = [i for i in range(len(memory.goals)) if i not in memory.replaced]
        return wish(memory, left[: 1 + int(share * 9)])
    if topic == "reason":
        return _reason(agenda, memory, rng)
    if topic == "birthday":
        return pick(lines.IN_PROFILE, rng)
    if entries := _speaking_of(topic, heard, agenda, memory):
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


def _pace(agenda: Agenda) -> str:
    return next((order.pace for order in agenda.of(Order) if order.pace), "")


def _reason(agenda: Agenda, memory: Memory, rng: np.random.Generator) -> Line:
    """The reason in a rule that was said, else in a wish, else the first thing that was told about it."""
    said: list[Entry] = [memory.rules[at] for at in reversed(memory.spoken)]
    own: list[Entry] = [e for e in agenda.entries if isinstance(e, Goal | Preference | Fact)]
    for entries in (said, own):
        if values := [value for e in entries for name, value in e.slots if name == "reason"]:
            value = " and ".join(dict.fromkeys(values))
            return Line(f"The reason is: {value}.", value if len(value.split()) <= 3 else "", f"I guess {value}.")
        if because := [e.text for e in entries if re.search(r"\b(?:because|since)\b", e.text)]:
            return Line(_long(because[0]))
    told = [fact.text for fact in agenda.of(Fact) if fact.text and fact.sure]
    return Line(_long(told[0])) if told else pick(lines.NO_REASON, rng)


def _speaking_of(topic: str, heard: Heard, agenda: Agenda, memory: Memory) -> list[Entry]:
    """Entries that may be said and speak of a topic, best first for questions without a known topic."""
    replaced = [memory.goals[i] for i in memory.replaced]
    entries: list[Entry] = [
        e for e in agenda.entries if isinstance(e, Goal | Preference | Fact) and e.text and e not in replaced
    ]
    said: list[Entry] = [memory.rules[at] for at in reversed(memory.spoken)]
    if topic in _ABOUT and topic != "item":
        slots, words = _ABOUT[topic]
        named = [e for e in said if topic == "payment" and any(n in slots for n, _ in e.slots)][:1]
        named = named or [e for e in entries if any(n in slots for n, _ in e.slots)]
        return named or [e for e in entries if re.search(words, e.text.lower())]
    entries += [rule for rule in agenda.of(Rule) if rule.trigger == "dont"]
    if found := _closest(heard.question, entries):
        return found
    if not _CHOICE.search(heard.question.lower()):
        return []
    return said[:1] or _closest(heard.text, entries) or [e for e in entries if isinstance(e, Preference)]


def _closest(text: str, entries: list[Entry]) -> list[Entry]:
    """The entries that share words with a text, those with the most first."""
    asked = content_words(text)
    scored = [(len(asked & content_words(e.text)), -i) for i, e in enumerate(entries)]
    return [entries[-i] for _, i in sorted((s for s in scored if s[0]), reverse=True)]


def _long(text: str) -> str:
    """More than three words, so that short turns are those that are meant to be short."""
    return text if len(text.split()) > 3 else f"What I can say is: {text}"
