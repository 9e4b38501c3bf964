"""What may not be in a proposal at all: acts that nobody asked for, that were called off, or that are forbidden."""

from __future__ import annotations

import re
from typing import NamedTuple

from usersim_env.users.agenda.measures import stems
from usersim_env.users.agenda.memory import SWAPS, WRITES, Memory, serves
from usersim_env.users.agenda.model import Agenda, Goal, Preference, Rule
from usersim_env.users.agenda.proposals import DENIAL, fits, proposed
from usersim_env.users.agenda.slots import actions_in, slots_in
from usersim_env.users.agenda.triggers import WEAK


class Objection(NamedTuple):
    """What stands against a proposal: what to say, under which key it is counted, whether it ever yields."""

    text: str
    key: str
    firm: bool


_VERBS = stems(
    "want need like accept use do whole entire my myself under circumstances with on additional another right"
)
_ANY = re.compile(r"\banything\b|\bno action\b")


def prohibition(memory: Memory, agenda: Agenda, proposal: str) -> Objection | None:
    """The first thing about a proposal that must not be."""
    return _unasked(agenda, proposal) or _called_off(memory, agenda, proposal) or _forbidden(memory, agenda, proposal)


def _unasked(agenda: Agenda, proposal: str) -> Objection | None:
    """In a checked agenda, an act that no wish and no rule asks for, or none for that order."""
    first = next(agenda.of(Goal), None)
    if agenda.draft or first is None:
        return None
    asking = [e for e in agenda.entries if isinstance(e, Goal | Preference | Rule)]
    asking = [e for e in asking if not (isinstance(e, Rule) and e.trigger == "dont")]
    ours = frozenset().union(*(actions_in(e.text) for e in asking), (goal.action for goal in agenda.of(Goal)))
    ours |= (SWAPS if ours & SWAPS else frozenset()) | ({"return", "cancel"} if "refund" in ours else frozenset())
    theirs = proposed(proposal) & WRITES - {"refund", "payment"}
    if theirs and not theirs & ours:
        return Objection(f"No, that is not what I want. {first.text}", "action", True)
    orders = {v for n, v in slots_in(proposal) if n == "order_id"}
    near = [g for g in agenda.of(Goal) if orders & {v for n, v in g.slots if n == "order_id"}]
    if near and not any(serves(proposal, goal) for goal in near):
        return Objection(f"No, that is not what I want. {near[0].text}", "action", True)
    return None


def _called_off(memory: Memory, agenda: Agenda, proposal: str) -> Objection | None:
    """What a rule that was said rules out: an act that it denies, or more than the ``only`` of a change of mind."""
    offered = proposed(proposal)
    for at in reversed(memory.spoken):
        rule = memory.rules[at]
        only = rule.trigger == "on_confirmation" and re.search(r"\bonly\b", rule.text)
        if only and actions_in(rule.text) & offered and not fits(rule.text, agenda, proposal):
            return Objection(_no(rule.text), f"rule:{rule.text}", True)
        denied = {action for part in DENIAL.findall(rule.text) for action in actions_in(part)}
        denied |= actions_in(rule.condition) if _ANY.search(rule.text.lower()) else set()
        if rule.trigger in ("if", "on_confirmation") and denied & offered:
            return Objection(_no(rule.text), f"rule:{rule.text}", True)
    return None


def _forbidden(memory: Memory, agenda: Agenda, proposal: str) -> Objection | None:
    """A prohibition whose words are all in the proposal, unless it denies them too; a draft's is said once."""
    offered, low = stems(proposal), proposal.lower()
    for rule in memory.rules:
        words = stems(" ".join(DENIAL.findall(rule.text))) - WEAK - _VERBS
        if rule.trigger == "dont" and words and words <= offered and not _denied(words, low):
            return Objection(rule.text, f"rule:{rule.text}", not agenda.draft)
    return None


def _denied(words: frozenset[str], low: str) -> bool:
    return any(re.search(rf"\b(?:no|not|without|don't|never)\b[^.,;]*\b{re.escape(word)}", low) for word in words)


def _no(text: str) -> str:
    return text if re.match(r"No\b", text) else f"No. {text}"
