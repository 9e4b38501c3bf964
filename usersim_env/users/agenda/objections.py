"""What contradicts a proposal: a value of the same kind that the agenda has otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from usersim_env.users.agenda.measures import amounts_in, details_in, limit_in, stems
from usersim_env.users.agenda.memory import Memory, serves
from usersim_env.users.agenda.model import Agenda, Entry, Fact, Goal, Preference, Rule
from usersim_env.users.agenda.prohibitions import Objection, prohibition
from usersim_env.users.agenda.proposals import brings_up
from usersim_env.users.agenda.slots import action_of, actions_in, days_in, payment_kinds, slots_in

_IDS = ("order_id", "reservation_id", "payment_id", "item_id")
_WORD = {"order_id": "order", "reservation_id": "reservation", "payment_id": "payment method", "item_id": "item"}
_DISTANCE = re.compile(r"\b(?:next|later|after|before|days?|delay|back|earl\w+|recent)\b")


class _Case(NamedTuple):
    """A proposal, the wishes that it may be about, and those of them that it shares words with."""

    proposal: str
    agenda: Agenda
    memory: Memory
    goals: list[Goal]
    near: list[Goal]


def objection(memory: Memory, agenda: Agenda, proposal: str) -> Objection | None:
    """The first thing that contradicts a proposal, if any."""
    goals = [g for i, g in enumerate(memory.goals) if i not in memory.replaced and serves(proposal, g)]
    near = [goal for goal in goals if brings_up(proposal, goal, memory.goals)]
    case = _Case(proposal, agenda, memory, goals, near)
    checks = (_ids, _reason, _payment_kind, _day, _limit, _detail, _options, _address)
    return next(filter(None, (check(case) for check in checks)), None) or prohibition(memory, agenda, proposal)


def _ids(case: _Case) -> Objection | None:
    unsure = {v for fact in case.agenda.of(Fact) if not fact.sure for _, v in fact.slots}
    offered = slots_in(case.proposal)
    for name in _IDS:
        theirs = {value for n, value in offered if n == name}
        goals = {"payment_id": case.goals, "item_id": case.near}.get(name, [])
        ours = {v for goal in goals for n, v in goal.slots if n == name}
        ours = ours or (set() if name == "item_id" else set(case.agenda.values(name)))
        if theirs and ours and not theirs & ours and not ours & unsure and _settled(case.agenda, name):
            right = " and ".join(sorted(ours))
            return Objection(f"No, that is the wrong {_WORD[name]}, it should be {right}.", name, True)
    return None


def _settled(agenda: Agenda, name: str) -> bool:
    """Whether the wishes name all ids of a kind: in a draft only if each wish that takes an act has one."""
    if not agenda.draft:
        return True
    acting = [g for g in agenda.of(Goal) if g.action not in ("ask", "tell", "other", "refund", "complain")]
    return bool(acting) and all(any(n == name for n, _ in goal.slots) for goal in acting)


def _reason(case: _Case) -> Objection | None:
    theirs = {_reason_key(v) for n, v in slots_in(case.proposal) if n == "reason"}
    near = [v for goal in case.goals for n, v in goal.slots if n == "reason"]
    values = near if case.agenda.draft else near or list(case.agenda.values("reason"))
    if theirs and values and not theirs & {_reason_key(v) for v in values}:
        return Objection(f"No, the reason is a different one: {values[0]}.", "reason", not case.agenda.draft)
    return None


def _reason_key(value: str) -> str:
    return "mistake" if "mistake" in value else "no longer needed"


def _payment_kind(case: _Case) -> Objection | None:
    """Another kind of payment than the rule said last, or else any entry, speaks of; said once."""
    agenda, memory = case.agenda, case.memory
    if memory.objections["payment"] or agenda.values("payment_id"):
        return None
    rules = [rule for at in memory.spoken if _names(rule := memory.rules[at], "payment")][-1:]
    speaking: list[Entry] = [*rules] or [
        e for e in agenda.entries if isinstance(e, Goal | Preference | Rule) and _names(e, "payment")
    ]
    ours = {kind for entry in speaking for kind in payment_kinds(entry.text)}
    theirs = payment_kinds(case.proposal)
    wished = [e for e in speaking if rules or (isinstance(e, Goal | Preference) and action_of(e.text) != "ask")]
    original = any("original" in entry.text.lower() for entry in (speaking if rules else agenda.entries))
    if theirs and ours and wished and not theirs & ours and not original:
        return Objection(f"No, not like that. {wished[0].text}", "payment", False)
    return None


def _names(entry: Entry, slot: str) -> bool:
    return any(name == slot for name, _ in entry.slots)


def _day(case: _Case) -> Objection | None:
    """Other days than any that the agenda names, where it names days and not distances between them; said once."""
    agenda = case.agenda
    named = [e for e in agenda.entries if isinstance(e, Goal | Rule) and _names(e, "date")]
    near = named if agenda.draft else [e for e in named if e in case.goals]
    wished = [e.text for e in near if isinstance(e, Goal)]
    ours = {day for e in named for day in days_in(e.text)}
    theirs = days_in(case.proposal)
    if case.memory.objections["date"] or not wished or not theirs or theirs & ours:
        return None
    if any(_DISTANCE.search(entry.text) for entry in (agenda.entries if agenda.draft else near)):
        return None
    return Objection(f"No, that is the wrong day. {wished[0]}", "date", False)


def _limit(case: _Case) -> Objection | None:
    """In a checked agenda, a price above what a wish is willing to pay."""
    priced = max(amounts_in(case.proposal), default=0.0)
    own = [e for e in case.agenda.entries if isinstance(e, Goal | Preference)]
    said = [case.memory.rules[at] for at in case.memory.spoken]
    for entry in () if case.agenda.draft or not priced else (*own, *said):
        limit = limit_in(entry.text)
        if limit is not None and priced > limit and re.search(r"\b(?:pay|cost|budget|fee|change)", entry.text):
            return Objection(f"No, that is too much. {entry.text}", f"limit:{limit}", True)
    return None


def _detail(case: _Case) -> Objection | None:
    """Another cabin, colour, size … than the wishes name for what is proposed; said once for each kind."""
    if case.agenda.draft or not case.goals:
        return None
    also = [*_preferences(case), *case.agenda.of(Rule)]
    for kind, offered in details_in(case.proposal).items():
        naming = [e for e in (*case.goals, *also) if kind in details_in(e.text)]
        ours = frozenset().union(*(details_in(e.text)[kind] for e in naming))
        if naming and not offered & ours and not case.memory.objections[f"detail:{kind}"]:
            return Objection(f"No, not like that. {naming[0].text}", f"detail:{kind}", False)
    return None


def _preferences(case: _Case) -> Iterator[Preference]:
    """The preferences that follow the wishes."""
    mine = False
    for entry in case.agenda.entries:
        mine = entry in case.goals if isinstance(entry, Goal) else mine
        if mine and isinstance(entry, Preference):
            yield entry


def _options(case: _Case) -> Objection | None:
    """Something else for an item than the options that are wished for; said once for each wish."""
    offered = stems(case.proposal)
    for goal in () if case.agenda.draft else case.goals:
        items = [value for name, value in goal.slots if name == "item"]
        wished = [value.rpartition(": ")[2] for name, value in goal.slots if name == "to_option"]
        named = items and all(stems(item) <= offered for item in items)
        if named and any(not stems(value) <= offered for value in wished) and not case.memory.objections[goal.text]:
            return Objection(f"No, not like that. {goal.text}", goal.text, False)
    return None


def _address(case: _Case) -> Objection | None:
    """In a checked agenda, other numbers than those of the address that is wished for."""
    if case.agenda.draft or "address" not in actions_in(case.proposal):
        return None
    theirs = set(re.findall(r"(?<!W)\b\d+\b", case.proposal))
    done = [case.memory.goals[i] for i in case.memory.done]
    for goal in (g for g in case.goals if g not in done):
        for value in (v for n, v in goal.slots if n == "address"):
            ours = set(re.findall(r"\d+", value))
            if ours - theirs and theirs - ours:
                return Objection(f"No, that is the wrong address, it should be {value}.", "address", True)
    return None
