"""What a proposal means for the agenda: which rule a request for a yes brings up, and which wish it is about."""

from __future__ import annotations

import re

from usersim_env.users.agenda.acts import Heard
from usersim_env.users.agenda.measures import amounts_in, bound_in, stems
from usersim_env.users.agenda.memory import Memory, serves
from usersim_env.users.agenda.model import Agenda, Goal, Rule
from usersim_env.users.agenda.slots import actions_in, content_words, payment_kinds
from usersim_env.users.agenda.triggers import WEAK

DENIAL = re.compile(r"\b(?:do not|don't|never|not|no|without|under no circumstances)\b([^.,;]*)", re.IGNORECASE)
"""What is denied, up to the end of the clause."""

_CONFIRMING = stems("confirm confirmation again yes policy new order orders first offer")


def fires_on_confirmation(memory: Memory, agenda: Agenda, heard: Heard) -> int | None:
    """The next rule that a request for a yes brings up; none if the proposal already is what a rule would ask for."""
    proposal = heard.proposal or heard.text
    rules = memory.waiting_rules("on_confirmation")
    for at in rules:
        if fits(memory.rules[at].text, agenda, proposal):
            memory.fired |= {i for i in rules if i <= at}
            memory.fire(at)
            return None
    return next((at for at in rules if _concerns(memory.rules[at], heard.text)), None)


def _concerns(rule: Rule, text: str) -> bool:
    """Whether a proposal is of the kind that a rule waits for: its condition's payment, amounts or words."""
    if bound := bound_in(rule.condition, rule.condition) or bound_in(rule.condition, f"{rule.condition} {rule.text}"):
        return any(bound.holds(amount) for amount in amounts_in(text))
    if kinds := payment_kinds(rule.condition):
        return bool(kinds & payment_kinds(text))
    if any(name == "payment" for name, _ in rule.slots) and not payment_kinds(text):
        return False
    words = stems(rule.condition) - WEAK - _CONFIRMING
    return not words or bool(words & stems(text))


def proposed(proposal: str) -> frozenset[str]:
    """The kinds of action that a proposal would take, without those that it denies."""
    return actions_in(DENIAL.sub(" ", proposal))


def brings_up(proposal: str, goal: Goal, others: tuple[Goal, ...] = ()) -> bool:
    """Whether a proposal is so clearly about a wish that it need not be said any more.

    Args:
        proposal: what the agent proposes.
        goal: the wish.
        others: all wishes; a word that no other wish has is enough.
    """
    if not serves(proposal, goal):
        return False
    shared = content_words(proposal) & content_words(goal.text)
    common = frozenset().union(*(content_words(other.text) for other in others if other is not goal))
    return len(shared) >= 2 or any(not actions_in(word) for word in shared - common if others)


def fits(text: str, agenda: Agenda, proposal: str) -> bool:
    """Whether a proposal does what a rule's text asks for, and nothing of what the wishes had beyond it."""
    words, offered = content_words(text), content_words(proposal)
    acts = actions_in(re.sub(r"\b(?:do not|don't) want to \w+[^,.]*", "", text))
    if acts and not acts & actions_in(proposal):
        return False
    asked, paid = payment_kinds(text), payment_kinds(proposal)
    if not words & offered or (asked and paid and not asked & paid):
        return False
    first = next(agenda.of(Goal), None)
    beyond = (content_words(first.text) if first and re.search(r"\bonly\b", text) else frozenset()) - words
    return len(beyond & offered) <= 1 and len(words & offered) * 2 >= min(len(words), 4)
