"""Whether the user side can say yes to what the agent proposes."""

from __future__ import annotations

import re
from typing import NamedTuple

from usersim_env.users.agenda.memory import Memory, serves
from usersim_env.users.agenda.model import Agenda, Entry, Fact, Goal, Preference, Rule
from usersim_env.users.agenda.slots import action_of, actions_in, content_words, days_in, payment_kinds, slots_in


class Objection(NamedTuple):
    """What stands against a proposal: what to say, under which key it is counted, whether it ever yields."""

    text: str
    key: str
    firm: bool


_IDS = ("order_id", "reservation_id", "payment_id")
_WORD = {"order_id": "order", "reservation_id": "reservation", "payment_id": "payment method"}
_DISTANCE = re.compile(r"\b(?:next|later|after|before|days?|delay|back|earl\w+|recent)\b")
_NEGATION = re.compile(
    r"\b(?:do not|don't|never|not|no|without|under no circumstances|any|do|want|need|to|"
    r"accept)\b"
)


def fires_on_confirmation(memory: Memory, agenda: Agenda, proposal: str) -> int | None:
    """The next rule that a request for a yes brings up; none if the proposal already is what a rule would ask for."""
    rules = memory.waiting_rules("on_confirmation")
    for at in rules:
        if _fits(memory.rules[at].text, agenda, proposal):
            memory.fired |= {i for i in rules if i <= at}
            return None
    return rules[0] if rules else None


def objection(memory: Memory, agenda: Agenda, proposal: str) -> Objection | None:
    """The first thing that contradicts a proposal, if any."""
    goals = [goal for goal in agenda.of(Goal) if serves(proposal, goal)]
    return (
        _ids(agenda, goals, proposal)
        or _reason(agenda, goals, proposal)
        or _payment_kind(agenda, memory, proposal)
        or _day(agenda, memory, proposal)
        or _action(agenda, proposal)
        or _rule(memory, proposal)
    )


def brings_up(proposal: str, goal: Goal) -> bool:
    """Whether a proposal is so clearly about a wish that it need not be said any more."""
    return serves(proposal, goal) and len(content_words(proposal) & content_words(goal.text)) >= 2


def _fits(text: str, agenda: Agenda, proposal: str) -> bool:
    """Whether a proposal does what a rule's text asks for, and nothing of what the wishes had beyond it."""
    words, offered = content_words(text), content_words(proposal)
    acts = actions_in(re.sub(r"\b(?:do not|don't) want to \w+[^,.]*", "", text))
    if acts and not acts & actions_in(proposal):
        return False
    if not words & offered:
        return False
    first = next(agenda.of(Goal), None)
    beyond = (content_words(first.text) if first and re.search(r"\bonly\b", text) else frozenset()) - words
    return len(beyond & offered) <= 1 and len(words & offered) * 2 >= min(len(words), 4)


def _ids(agenda: Agenda, goals: list[Goal], proposal: str) -> Objection | None:
    unsure = {v for fact in agenda.of(Fact) if not fact.sure for _, v in fact.slots}
    offered = slots_in(proposal)
    for name in _IDS:
        theirs = {value for n, value in offered if n == name}
        near = {v for goal in goals for n, v in goal.slots if n == name} if name == "payment_id" else set()
        ours = near or set(agenda.values(name))
        if theirs and ours and not theirs & ours and not ours & unsure and _settled(agenda, name):
            right = " and ".join(sorted(ours))
            return Objection(f"No, that is the wrong {_WORD[name]}, it should be {right}.", name, True)
    return None


def _settled(agenda: Agenda, name: str) -> bool:
    """Whether the wishes name all ids of a kind: in a draft only if each wish that takes an act has one."""
    if not agenda.draft:
        return True
    acting = [g for g in agenda.of(Goal) if g.action not in ("ask", "tell", "other", "refund", "complain")]
    return bool(acting) and all(any(n == name for n, _ in goal.slots) for goal in acting)


def _reason(agenda: Agenda, goals: list[Goal], proposal: str) -> Objection | None:
    theirs = {_reason_key(v) for n, v in slots_in(proposal) if n == "reason"}
    near = [v for goal in goals for n, v in goal.slots if n == "reason"]
    values = near if agenda.draft else near or list(agenda.values("reason"))
    if theirs and values and not theirs & {_reason_key(v) for v in values}:
        return Objection(f"No, the reason is a different one: {values[0]}.", "reason", not agenda.draft)
    return None


def _reason_key(value: str) -> str:
    return "mistake" if "mistake" in value else "no longer needed"


def _payment_kind(agenda: Agenda, memory: Memory, proposal: str) -> Objection | None:
    """Another kind of payment than any that the agenda speaks of; said once."""
    if memory.objections["payment"] or agenda.values("payment_id"):
        return None
    speaking: list[Entry] = [
        e
        for e in agenda.entries
        if e.kind in ("goal", "preference", "rule") and any(n == "payment" for n, _ in e.slots)
    ]
    ours = {kind for entry in speaking for kind in payment_kinds(entry.text)}
    theirs = payment_kinds(proposal)
    wished = [e for e in speaking if isinstance(e, Goal | Preference) and action_of(e.text) != "ask"]
    original = any("original" in entry.text.lower() for entry in agenda.entries)
    if theirs and ours and wished and not theirs & ours and not original:
        return Objection(f"No, not like that. {wished[0].text}", "payment", False)
    return None


def _day(agenda: Agenda, memory: Memory, proposal: str) -> Objection | None:
    """Other days than any that the agenda names, where it names days and not distances between them; said once."""
    named = [e for e in agenda.entries if isinstance(e, Goal | Rule) and any(n == "date" for n, _ in e.slots)]
    wished = [e.text for e in named if isinstance(e, Goal)]
    ours = {day for e in named for day in days_in(e.text)}
    theirs = days_in(proposal)
    if memory.objections["date"] or not wished or not theirs or theirs & ours:
        return None
    if any(_DISTANCE.search(entry.text) for entry in agenda.entries):
        return None
    return Objection(f"No, that is the wrong day. {wished[0]}", "date", False)


def _action(agenda: Agenda, proposal: str) -> Objection | None:
    """In a checked agenda, an act on an order that no wish for that order asks for."""
    if agenda.draft:
        return None
    orders = {v for n, v in slots_in(proposal) if n == "order_id"}
    near = [g for g in agenda.of(Goal) if orders & {v for n, v in g.slots if n == "order_id"}]
    if near and not any(serves(proposal, goal) for goal in near):
        return Objection(f"No, that is not what I want. {near[0].text}", "action", True)
    return None


def _rule(memory: Memory, proposal: str) -> Objection | None:
    """A prohibition whose words are all in the proposal, unless the proposal denies them too; said once."""
    offered, low = content_words(proposal), proposal.lower()
    for rule in memory.rules:
        key = f"rule:{rule.text}"
        if rule.trigger not in ("dont", "only") or memory.objections[key]:
            continue
        words = content_words(_NEGATION.sub(" ", rule.text.lower()))
        if rule.trigger == "dont" and words and words <= offered and not _denied(words, low):
            return Objection(rule.text, key, False)
    return None


def _denied(words: frozenset[str], low: str) -> bool:
    return any(re.search(rf"\b(?:no|not|without|don't|never)\b[^.,;]*\b{re.escape(word)}", low) for word in words)
