"""Which rule the agent's message brings up: conditions (``If the refund to PayPal is not possible``) against news.

A condition is read as a few marks: whether it is a refusal, the words that it names, a bound on an amount, a number of
rounds, or that something is over. News are the agent's sentences that neither ask nor offer anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from usersim_env.users.agenda.acts import Heard, sentences
from usersim_env.users.agenda.measures import Bound, amounts_in, bound_in, quantities_in, stems
from usersim_env.users.agenda.memory import Memory

_NEGATED = re.compile(
    r"\b(?:not|no|nor|never|cannot|unable|impossible|fail\w*|refuse\w*|without|out of stock)\b|n't\b", re.IGNORECASE
)
_HEDGED_NO = re.compile(
    r"\bonly\b|\bunfortunately\b|\bsorry\b|\bnot enough\b|\binsufficient\b|\btoo low\b", re.IGNORECASE
)
_OFFER = re.compile(r"\b(?:i|we) (?:would|will|could)\b(?! not)|\bi'(?:d|ll)\b|\?", re.IGNORECASE)
_ROUNDS = re.compile(r"after (\d+) (?:rounds|turns|messages|times)", re.IGNORECASE)
_LATER = re.compile(r"^(?:after|once|when)\b", re.IGNORECASE)
_GENERIC = 2
"""A condition with at most so many words of its own (``If that does not work``) fits any refusal."""
WEAK = stems(
    "a an the and or but if then so to of in on at by for from with without about as is are was were be been being am "
    "i me my you your it its this that these those he she they them we our us do does did done can could may might "
    "will would shall should have has had having get got go going not no cannot can't don't doesn't isn't won't "
    "unable impossible possible possibly available allowed able fail fails failed refuse refuses either otherwise even "
    "only just any some more most what when where who which how why because due there here than agent customer service "
    "help want wants ask asks asked say says case work works out issue issues way found error really really one two "
    "thing things give gives first still else now yet too also please let make sure unfortunately sorry however need"
)
"""Stems that say nothing about what a condition is about."""


class Condition(NamedTuple):
    """One condition, read.

    Attributes:
        negative: whether it is about a refusal.
        exclusive: whether it is about the one thing that is possible (``only``), which can be said either way.
        words: stems of the words that it names.
        bound: the amounts that it is about.
        rounds: the turns of the user side after which it holds; 0 for none.
        later: whether it waits for something to be over.
    """

    negative: bool
    exclusive: bool
    words: frozenset[str]
    bound: Bound | None
    rounds: int
    later: bool


@lru_cache(maxsize=2048)
def read_condition(text: str, before: str = "") -> Condition:
    """The marks of a condition; one that compares without a number takes that of the condition ``before`` it."""
    rounds = _ROUNDS.search(text)
    exclusive = bool(re.search(r"\bonly\b", text, re.IGNORECASE))
    return Condition(
        bool(_NEGATED.search(text)),
        exclusive,
        stems(text) - (WEAK - stems("one only") if exclusive else WEAK),
        bound_in(text, before),
        int(rounds[1]) if rounds else 0,
        bool(_LATER.search(text)),
    )


def conditions(memory: Memory) -> Iterator[tuple[int, Condition]]:
    """The ``if`` rules that wait, by index, with their conditions, in order."""
    before = ""
    waiting = set(memory.waiting_rules("if"))
    for at, rule in enumerate(memory.rules):
        if at in waiting:
            yield at, read_condition(rule.condition, before)
        if rule.trigger == "if" and re.search(r"\d", rule.condition):
            before = rule.condition


def brought_up(memory: Memory, heard: Heard) -> int | None:
    """The next ``if`` rule that a message brings up, by index; what a rule names comes before what fits all."""
    news = [sentence for sentence in sentences(heard.text) if not _OFFER.search(sentence)]
    read = list(conditions(memory))
    for at, held in read:
        if held.rounds and memory.turns >= held.rounds:
            return at
        if not held.rounds and not held.later and any(_matches(held, sentence) for sentence in news):
            return at
    refusals = [sentence for sentence in news if _NEGATED.search(sentence) or _HEDGED_NO.search(sentence)]
    if not refusals or not heard.acts & {"deny", "error"}:
        return None
    vague = any(not stems(sentence) - WEAK for sentence in refusals)
    for at, held in read:
        if held.negative and not held.later and not held.bound and (vague or len(held.words) <= _room(heard)):
            return at
    return None


def over(memory: Memory) -> int | None:
    """The next rule that waits for something to be over, of those whose words were in what was reported as done."""
    for at, held in conditions(memory):
        if held.later and not held.rounds and held.words & memory.reported:
            return at
    return None


def _room(heard: Heard) -> int:
    """How many words a condition may name and yet fit any refusal: none where the message goes on with a question."""
    return 0 if heard.acts & {"confirm", "ask"} else _GENERIC


def _matches(held: Condition, sentence: str) -> bool:
    """Whether one sentence of news is what a condition is about."""
    negated = bool(_NEGATED.search(sentence))
    words = stems(sentence)
    if held.bound:
        return not negated and any(held.bound.holds(amount) for amount in amounts_in(sentence))
    shared = held.words & words
    if _numbers(held.words) and _numbers(words) and not _numbers(held.words) & _numbers(words):
        return held.negative and _another(held, sentence)
    if held.exclusive:
        return len(shared) >= min(2, len(held.words)) > 0 and bool(negated or _HEDGED_NO.search(sentence))
    if held.negative:
        return bool(shared) and (negated or bool(_HEDGED_NO.search(sentence)))
    return not negated and len(shared) >= min(2, len(held.words)) > 0


def _another(held: Condition, sentence: str) -> bool:
    """Whether a sentence tells another number of what a condition asks for (``3x`` for ``10x``)."""
    units = {unit for _, unit in quantities_in(" ".join(held.words))}
    return any(unit in units for _, unit in quantities_in(sentence))


def _numbers(words: frozenset[str]) -> frozenset[str]:
    return frozenset(word for word in words if word[0].isdigit())
