"""From an instruction to its agenda: the fixed forms whole, anything else by rules, as a draft.

A draft loses no words (each clause of the instruction is in exactly one entry) but may put a clause under the wrong
kind: when in doubt it is held back rather than said.
"""

from __future__ import annotations

import re
from functools import lru_cache

from usersim_env.users.agenda.forms import parse_whole
from usersim_env.users.agenda.identity import split_identity
from usersim_env.users.agenda.model import Agenda, Entry, Fact, Goal, Manner, Order, Preference, Rule, Secret, Slot
from usersim_env.users.agenda.sentences import pieces
from usersim_env.users.agenda.slots import action_of, slots_in
from usersim_env.users.agenda.voice import first_person, sentence, spoken


def _re(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_RESIDENCE = re.compile(r"You (?:currently )?live in ([A-Z][\w, ]*?),? ?(\d{5})?\.?$")
_WHEN = r"(?P<condition>(?:but )?(?:(?:if and only if|even if|if)|when|once|unless|in case|after)\b.*?)"
_STARTS = (
    "you|your|the|i|it|just|only|ask|say|try|cancel|change|modify|return|exchange|do|don't|"
    "mention|insist|drop|use|see|provide|"
    "no|respond|threaten|ensure|tell|keep|consider|decide|paypal|proceed|give|choose|then|switch|transfer|admit"
)
_CONDITION = _re(rf"{_WHEN}, (?:then )?(?P<then>(?:{_STARTS})\b.+)$")
_CONDITION_LOOSE = _re(rf"{_WHEN}(?:, (?:then )?|(?<=not) (?=try)| (?=then you\b))(?P<then>.+)$")
_SECOND = _re(
    r"(?P<first>(?:if|when)\b.+?)(?: first \(common mistake\)| initially| first)?, (?:but |then )"
    r"(?P<second>(?:if the agent does not|correct yourself and say).+)$"
)
_CORRECTION = _re(r"correct yourself and say (\w+) (if .+)$")
_IF_LATE = _re(
    r"(?P<then>(?!(?:\S+ ){0,3}(?:want|wish|need|"
    r"wants)\b)(?:\S+ ){2,}?\S+?),? (?P<condition>(?:but only if|only if|if and only if|if|"
    r"unless) .+)$"
)
_ASKS_IF = _re(
    r"(?:know|see|ask|asks|check|wonder|wonders|verify|figure out|sure|what|and|or|also|"
    r"so)(?: \w+)? if\b"
)
_CONFIRM = _re(r"\bconfirm(?!ation reason)|rethink")
_ASKED = _re(r"\bask(?:s|ed)?\b|\bwhen the agent finally\b")
_SECRET = _re(
    r"(?:do not|don't|won't|will not|not prefer to|never|(?:do not|don't) want to|prefer not to|not prefer) "
    r"(?:\w+ )?(?:reveal|mention|offer|provide it|speak it|specify)|test the service agent|"
    r"rounds of interaction|interacting with a customer service|^\(|only provide this"
)
_PRIVATE = _re(r"reveal (?:much|minimal|too|information)|reluctant to share|private person|more information than")
_ALL = _re(
    r"at the same time|at once|all details upfront|say things together|two things together|"
    r"in one go|in the same order$"
)
_ONE = _re(
    r"one (?:thing|request) at a time|in pieces|piecewise|not say anything that is not asked|"
    r"only when (?:the agent )?ask"
)
_SEQUENCE = _re(
    r"(?:make sure|mention).*(?:\bfirst\b|then the|at the beginning)|in the middle of the conversation|halfway"
)
_MANNER = _re(
    r"^(?:you are|you're|you were|be|you like to|you talk|you speak|you randomly|"
    r"try to (?:make|paraphrase)|make everything|"
    r"use both|otherwise,|threaten|admit|your approach|you never reveal|please be|sound|"
    r"don't provide|you may be|you are not familiar|you are reactive|do not take no)"
    r"(?! (?:to )?(?:looking|willing|going to|contacting|flying|happy (?:to|with)|ok|okay|"
    r"fine|sure|unsure|considering|initially|worried|curious about|interacting))"
)
_CONCERN = _re(r"\b(?:delayed|undo|booked|booking|refund|cancel)")
_REQUEST = _re(
    r"\b(?:you|you'd|and|also|lastly|then|to)\b.*\b(?:want|wish|wonder|would like|need|"
    r"like to|looking|intend|decide|inquire|"
    r"contacting|contact|booked and|going to|you'd like|you first ask|wondering|going)\b|"
    r"^(?:also,? |lastly,? |finally,? |first,? |initially,? |instead,? |and )*(?:return|"
    r"cancel|exchange|modify|change|check|book|"
    r"ask|tell|try|for #|upgrade|refund|inquire|complain|express)\b|"
    r"^at the end of the day|^would want|^for .*, ask\b"
)
_PREFER = _re(
    r"\bprefer|\brather\b|\bwilling|\b(?:fine|ok|okay|happy) (?:with|to)|don't care|"
    r"do not care|\baccept|budget|equally|"
    r"^use |preferred|you like the|should go to|not an issue|by default|same or lower|could be|maximum"
)
_DONT = _re(
    r"\b(?:do not|don't|does not|never|under no circumstances|cannot accept)\b"
    r"(?! (?:remember|know|have|care|need them|require|look|pair))"
)
_DONT_WANT = _re(r"(?:you )?(?:do not|don't|under no circumstances|never)\b")
_ONLY = _re(
    r"\bonly (?:want|accept|exchange|pay|go|EWR|JFK)\b|nothing else|^(?:well, )?except\b|"
    r", only |change only,"
)
_INSIST = _re(r"(?:you )?(?:insist|emphasi[sz]e|be insistent|be persistent and|can (?:also )?(?:ask|try))\b")
_DIRECTIVE = _re(
    r"^(?:insist|emphasi[sz]e|mention|make sure|ask|tell|complain|be insistent that|express|"
    r"say|ensure)\b"
)
_UNSURE = _re(r"\bguess\b|not (?:100% )?sure|you think")


@lru_cache(maxsize=2048)
def parse_instruction(instruction: str) -> Agenda:
    """The agenda of a τ-bench instruction; never fails on a text, at worst everything is background.

    The 500 retail training instructions parse whole (``draft`` is false); every other text gives a draft.
    """
    whole = parse_whole(instruction)
    if whole is not None:
        return whole
    facts, rest = split_identity(instruction.strip())
    entries: list[Entry] = list(facts)
    for piece in pieces(rest):
        entries += [piece] if isinstance(piece, Goal) else _entries(piece)
    return Agenda(tuple(_first_is_goal(entries)), draft=True)


def _entries(text: str) -> list[Entry]:
    if m := _RESIDENCE.match(text):
        found = [Fact(slots=(Slot("residence", m[1].strip(" ,")),))]
        return [*found, Fact(slots=(Slot("zip", m[2]),))] if m[2] else [*found]
    if text.startswith("("):
        return [Secret(text, slots_in(text))]
    if m := _SECOND.match(text):
        return [*_entries(m["first"]), *_entries(m["second"])]
    if m := re.match(r"(?:but )?(otherwise),? (?=you|paypal|credit|your)(.+)", text, re.IGNORECASE):
        return [Rule(spoken(_answer(m[2])), slots_in(text), "if", m[1])]
    if m := _CORRECTION.match(text):
        return [Rule(spoken(f"it is {m[1]}"), slots_in(text), "if", m[2])]
    return [_rule(text) or _held(text) or _said(text)]


def _rule(text: str) -> Rule | None:
    """A sentence with a condition in front, or one behind that is not a question."""
    m = _CONDITION.match(text) or _CONDITION_LOOSE.match(text)
    if m is None and not re.match(r"(?:but )?(?:if|when)\b", text, re.IGNORECASE):
        late = _IF_LATE.match(text)
        m = late if late and not _ASKS_IF.search(text) and not _MANNER.match(text) else None
    if m is None:
        return None
    condition, then = m["condition"].strip(), m["then"].strip()
    if _SECRET.search(then):
        then = re.split(r"(?: -|,)? (?:but )?(?:do not|don't|and be|until)\b", then)[0]
    return Rule(spoken(_answer(then)), slots_in(text), _trigger(condition), condition)


def _answer(text: str) -> str:
    """The words of ``you say GC`` or ``then say that you made a mistake``."""
    text = re.sub(r"^(?:then )?(?:you(?:'d| would| will)? )?(?:just )?say (?:that )?(?=\S)", "", text)
    text = re.sub(r"^you (?:are|become|would be) angry (?:and|but) (?:swear for a few times, then )?", "", text)
    return re.sub(r",? (?:and )?be (?:persistent|insistent|adamant about it)\.?$", "", text)


def _trigger(condition: str) -> str:
    if _CONFIRM.search(condition):
        return "on_confirmation"
    return "when_asked" if _ASKED.search(condition) else "if"


def _held(text: str) -> Entry | None:
    """Secrets, sequence and manner: never spoken."""
    slots = slots_in(text)
    if _PRIVATE.search(text):
        return Manner(text, slots)
    if _ALL.search(text) and not re.search(r"you want (?:to )?\w+", text):
        return Order(text, slots, "all")
    if _ONE.search(text):
        return Order(text, slots, "one")
    if _SEQUENCE.search(text):
        return Order(text, slots)
    if _SECRET.search(text):
        return Secret(text, slots)
    if _MANNER.match(text) and not _CONCERN.search(text):
        return Manner(text, slots)
    return None


def _said(text: str) -> Entry:
    """Wishes, preferences, prohibitions and facts: spoken, each at its time."""
    slots, speech = slots_in(text), spoken(text)
    wish = bool(_REQUEST.search(text))
    if _INSIST.match(text):
        return Rule(speech, slots, "if", "refused")
    if _ONLY.search(text) and not wish:
        return Rule(speech, slots, "only")
    if _DONT.search(text) and (not wish or _DONT_WANT.match(text)):
        return Rule(speech, slots, "dont")
    if _PREFER.search(text) and not re.search(r"\b(?:want|wish|exchange) to\b", text):
        return Preference(speech, slots)
    if wish or _DIRECTIVE.match(text):
        told = re.match(r"(?:mention|tell|complain|express|say)\b", text, re.IGNORECASE)
        return Goal(speech, slots, "tell" if told else action_of(first_person(text)))
    return Fact(sentence(first_person(text)), slots, sure=not _UNSURE.search(text))


def _first_is_goal(entries: list[Entry]) -> list[Entry]:
    """Someone who comes to a desk wants something: without any goal the first thing that may be said is one."""
    if not any(isinstance(entry, Goal) for entry in entries):
        for at, entry in enumerate(entries):
            if entry.text and isinstance(entry, Fact | Preference | Rule):
                entries[at] = Goal(entry.text, entry.slots, action_of(entry.text))
                break
    return entries
