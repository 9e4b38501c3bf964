"""From the second person of an instruction to the first person of the one who speaks."""

from __future__ import annotations

import re
from functools import lru_cache

_AGENT = r"\b[Tt]he (?:customer service |service |support )?(?:agent|representative)"
_VERBS = "asks|says|tells|gives|provides|confirms|wants|charges|allows|agrees|lists|requires|offers"
_OBJECT = (
    r"\b(to|for|with|of|from|on|at|tell|tells|told|give|gives|help|helps|ask|asks|asked|let|upgrade|refund|charge|"
    r"allow|allows|offer|offers|get|gets|saves|save|show|shows|caused|causes|"
    r"compensate)\s+you\b(?=\s*(?:$|[.,;:!?)]|(?:to|a|an|the|for|with|at|in|on|that|which|if|"
    r"not|how|all|your|about|and|of|several|individual|basic|most|exchange|cancel|return|refund)\b))"
)
_STEPS: tuple[tuple[str, str], ...] = (
    (r"\byou (mind|reservation|order|skateboard)\b(?! to\b)", r"your \1"),
    (_AGENT + r"'s\b", "\u0001r"),
    (_AGENT + r" is\b", "\u0001u are"),
    (_AGENT + r" has\b", "\u0001u have"),
    (_AGENT + r" (" + _VERBS + r")\b", "\u0001v\\1"),
    (_AGENT + r"\b", "\u0001u"),
    (r"\b[Yy]ou're\b", "I'm"),
    (r"\b[Yy]ou are\b", "I am"),
    (r"\b[Yy]ou were\b", "I was"),
    (r"\b(?:wo|were) you\b", "was I"),
    (r"\bare you\b", "am I"),
    (r"\b[Yy]ourself\b", "myself"),
    (r"\b[Yy]ours\b", "mine"),
    (r"\byour\b", "my"),
    (r"\bYour\b", "My"),
    (_OBJECT, r"\1 me"),
    (r"\b[Yy]ou\b", "I"),
    (r"\bI (wants|wonders|needs|likes|has)\b", r"I \1"),
    ("\u0001v(\\w+?)s\\b", r"you \1"),
    ("\u0001u", "you"),
    ("\u0001r", "your"),
    (r"\bI wants\b", "I want"),
    (r"\bI need you to to\b", "I need you to"),
    (r"\b(on|by) its own\b", r"\1 your own"),
    (r"\s+", " "),
)
_COMPILED = tuple((re.compile(pattern), by) for pattern, by in _STEPS)

_SPEECH: tuple[tuple[str, str], ...] = (
    (r"^(?:please )?(?:make sure|be sure|remember)(?: that)?(?: to)? (?:you |I )?(?:briefly |explicitly )?", ""),
    (r"^(?:also |then |just |instead |initially |first,? |lastly,? |finally,? |in the end,? |eventually )+", ""),
    (
        (
            r"^(?:I(?:'d| would| will| can)? )?(?:insist(?: persistently)?|emphasi[sz]e|complain|mention|be insistent|"
            r"say|respond exactly with|respond with|claim|state)(?: that| so)?(?: to you)?:? (?=\S)"
        ),
        "",
    ),
    (r"^(?:tell|inform) (?:you|the \w+)(?: that)? ", ""),
    (r"^(?:I )?(?:provide|give)(?: (?:you|them))? (.*?)(?: first| initially)?$", r"It is \1"),
    (r"^(?:kindly )?ask (?:you )?(?:explicitly )?(?:to )?(?:be able to )?(?:for|about) ", "I want to ask for "),
    (r"^ask you (?:explicitly )?(?:to|if) (?=\w)", "I want you to "),
    (r"^ask (?:to|for) ", "I want to ask for "),
    (r"^ask ", "I want to ask "),
    (r"^try (?:your |my )?(?:best )?to see if ", "I want to know if "),
    (r"^try (?:your |my )?(?:best )?to ", "I want to "),
    (r"^try ", "I want to try "),
    (r"^(?:I )?want to want to ", "I want to "),
    (r"^to (?=\w)", "I want to "),
    (r"^on (?=\w+ing\b)", "I insist on "),
    (
        (
            r"^(return|cancel|exchange|modify|change|switch|refund|use|keep|book|remove|add|upgrade|"
            r"downgrade|drop|see|check|go|agree|thank|decide|do|transfer|accept|get|push|move|talk|"
            r"speak|proceed|forget|choose|select|cover|pay|just|only)\b"
        ),
        r"I want to \1",
    ),
    (r"^(?:want|wish|wonder|would|prefer|agree|need|like)\b", r"I \g<0>"),
    (r"^I want to (?:just )?do not\b", "I do not want to"),
    (r"^(?:do not|don't) ", "I do not want to "),
)
_SPEECH_COMPILED = tuple((re.compile(pattern, re.IGNORECASE), by) for pattern, by in _SPEECH)
_LOWERED = re.compile(r"^(I (?:want to )?)(Would|Want|Wish|Need|Use|Return|Get|Check)\b")


@lru_cache(maxsize=8192)
def first_person(text: str) -> str:
    """``You want the agent to refund your order`` becomes ``I want you to refund my order``."""
    for pattern, by in _COMPILED:
        text = pattern.sub(by, text)
    return text.strip()


@lru_cache(maxsize=8192)
def spoken(text: str) -> str:
    """A directive or wish as the sentence that carries it out, with a capital and a full stop."""
    text = first_person(text).strip(" ,;.")
    for pattern, by in _SPEECH_COMPILED:
        text = pattern.sub(by, text, count=1)
    return sentence(_LOWERED.sub(lambda m: m.group(1) + m.group(2).lower(), text))


def sentence(text: str) -> str:
    """With a capital first letter and an end mark; empty stays empty."""
    text = text.strip(" ,;:")
    if not text:
        return ""
    if not text[0].isupper() and "@" not in text.split()[0] and "_" not in text.split()[0]:
        text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?" else text + "."
