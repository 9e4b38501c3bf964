"""What the agent said, as a small closed set of acts, by keyword tables. Nothing here understands English."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

ACTS: tuple[str, ...] = (
    *("greet", "ask", "confirm", "anything_else", "done", "deny", "error", "skipped"),
    *("apologise", "transfer", "hold", "goodbye", "unknown"),
)
"""``ask`` comes with topics; ``confirm`` asks for a yes; ``skipped`` says that something will not be done."""

TOPICS: tuple[tuple[str, str], ...] = (
    ("email", r"e-?mail"),
    ("name", r"full name|your (?:first |last )?name|first and last name|name and zip"),
    ("zip", r"\bzip|postal code"),
    ("user_id", r"user ?-?id|username|user name|customer id"),
    ("birthday", r"date of birth|\bdob\b|birthday"),
    (
        "order",
        r"order (?:id|number|#(?!w?\d))|which (?:of your )?orders?\b|id of the order|number of (?:your|the) order",
    ),
    (
        "reservation",
        (
            r"(?:reservation|booking|confirmation) (?:id|number|code|reference)|which (?:reservation|"
            r"booking)"
        ),
    ),
    ("reason", r"\breason|\bwhy\b"),
    ("payment", r"payment|\bpay\b|refund(?:ed)? (?:to|method)|gift card|credit card|paypal"),
    ("address", r"(?<!mail )address"),
    ("flights", r"fly from|origin|destination|flight number|which flight|\btrip\b|airport"),
    ("date", r"\bdates?\b(?! of birth)|which day|what day|\bwhen (?:would|do|did)\b"),
    ("passengers", r"passenger"),
    ("bags", r"\bbags?\b|baggage|suitcase|luggage allowance"),
    ("note", r"\bnote\b"),
    (
        "wish",
        (
            r"how (?:can|may) i|what (?:can|may) i do|help you (?:with )?today|what (?:you would|"
            r"would you) like me to do|what brings you"
        ),
    ),
    (
        "item",
        (
            r"\bitems?\b|products?\b|which (?:one|repair|of)|options?\b|colou?r|\bsize\b|specific|"
            r"details|prefer|what (?:would|do) you"
        ),
    ),
)
"""Topics of questions, with what gives them away in a sentence that asks."""

IDENTITY_TOPICS = frozenset({"email", "name", "zip", "user_id"})

_PAST = (
    "cancell?ed|returned|exchanged|modified|updated|processed|changed|booked|submitted|"
    "initiated|requested|refunded|"
    "added|removed|upgraded|downgraded|completed|moved|issued|sent|switched"
)
_TABLE: dict[str, re.Pattern[str]] = {
    name: re.compile(pattern)
    for name, pattern in {
        "greet": r"^(?:hello|hi\b|good (?:morning|afternoon)|welcome)|thank you for (?:contacting|reaching)",
        "anything_else": r"anything else|something else|any other (?:question|request|issue)|further (?:assistance|"
        r"help)|else i can|else can i|more i can (?:do|help)(?! about)",
        "confirm": (
            r"would you like me to (?!help|assist)|do you want me to|(?:shall|should|may|"
            r"can) i (?:go ahead|proceed|do th|make|process|cancel|return|exchange|book|change|modify|update|apply|"
            r"refund|switch|remove|add)\b|"
            r"would you like (?:that|to (?:cancel|return|exchange|modify|change|switch|keep|use|proceed))\b|"
            r"\bgo ahead\b|(?:like|want|wish|okay|ready|confirm) (?:me )?to proceed|"
            r"yes or no|yes/no|\(yes\)|['\"]yes['\"]|do you (?:confirm|agree|accept)|"
            r"is (?:that|this|everything) (?:ok|okay|correct|right|fine|acceptable)|please confirm|"
            r"(?:can|could) you confirm|^to confirm|^confirm\?|"
            r"confirm (?:that|these|this)|are you sure|does (?:that|this) (?:sound|work)|happy with (?:this|that)"
        ),
        "done": rf"\b(?:is|are|all) (?:now )?done\b|(?:has|"
        rf"have) (?:now )?been (?:successfully )?(?:{_PAST})|i(?:'ve|"
        rf" have) (?:now )?(?:successfully |just )?(?:{_PAST})|is now (?:{_PAST})|gone ahead|"
        rf"^done\b|successfully|all set",
        "error": r"(?:could|can|did) ?n[o']t (?:find|locate|verify)|unable to (?:find|locate|verify)|"
        r"can'?t (?:find|locate)|does ?n[o']t match|no (?:account|user|customer|"
        r"order) (?:was )?(?:found|with)|\binvalid\b|not found|is incorrect",
        "deny": r"unable to|\bcannot\b|\bcan't\b|can not|not able to|not possible|not allowed|"
        r"is ?n[o']t possible|not eligible|against (?:our|the) polic|unfortunately|not available|"
        r"no longer available|nothing more that i can|did not let me|won't be able|"
        r"policy does not|does not belong|no clear answer|not (?:have )?enough|insufficient|too low|out of stock|"
        r"will not (?:receive|get|be (?:able|possible))|can only",
        "skipped": r"will not do that|leave (?:that|it) as it is|won't (?:do|make) (?:that|any)",
        "apologise": r"\bsorry\b|apologi[sz]e",
        "transfer": r"transfer(?:ring|red)? you|human agent|specialist",
        "hold": r"one moment|just a moment|please hold|please wait|give me a (?:moment|second)|"
        r"let me (?:check|look|see|pull|find)",
        "goodbye": r"\bgood ?bye\b|\bbye\b|have a (?:great|nice|good|wonderful)",
    }.items()
}
_SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?](?![ \n]|$)[^.!?\n]*)*[.!?]*")
_REQUEST = re.compile(
    r"\?|please (?:provide|tell|share|give|specify|let|confirm your|enter|choose|select)|"
    r"could you|can you|may i have|"
    r"i(?:'ll| will)? need (?:your|the|to know|to have)|let me know|i would need|kindly"
)
_YOURS = re.compile(r"confirm (?:your|the) (?:e-?mail|name|full name|zip|user id|identity|address on)|verify your")
_OPEN = re.compile(r"\b(?:how|what|which|where|when)\b[^,.;:]{0,40}\b(?:would|do|should) (?:you|i)\b")
_GIVE = re.compile(r"provide|share|tell me|give me|may i have|(?:can|could) i (?:have|get)")
_OFFER = re.compile(r"\bI (?:would|will)\b|\bI'(?:d|ll)\b")
_NO_PROPOSAL = frozenset({"anything_else", "apologise", "greet", "done", "error", "deny", "skipped", "hold", "goodbye"})


class Heard(NamedTuple):
    """One message of the agent.

    Attributes:
        acts: some of `ACTS`.
        topics: what it asks about, in the order of `TOPICS`; ``other`` for a question of no known topic.
        question: the sentences that ask.
        proposal: where a yes is asked for, the message without its courtesies.
    """

    text: str
    acts: frozenset[str]
    topics: tuple[str, ...]
    question: str
    proposal: str


def sentences(text: str) -> list[str]:
    """The sentences of a message (of its first 4,000 characters)."""
    plain = text[:4000].replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return [sentence.strip() for sentence in _SENTENCE.findall(plain)]


@lru_cache(maxsize=4096)
def listen(text: str) -> Heard:
    """The acts of one message; never fails on a text."""
    acts: set[str] = set()
    topics: set[str] = set()
    asking, kept = [], []
    for sentence in sentences(text):
        found, about = _read_sentence(sentence.lower())
        acts |= found
        topics |= about
        if about:
            asking.append(sentence)
        if not found & _NO_PROPOSAL or (found & _NO_PROPOSAL == {"deny"} and _OFFER.search(sentence)):
            kept.append(sentence)
    order = [name for name, _ in TOPICS] + ["other"]
    if "confirm" in acts:
        topics &= IDENTITY_TOPICS
    if topics:
        acts.add("ask")
    proposal = " ".join(kept) if "confirm" in acts else ""
    listed = tuple(name for name in order if name in topics)
    return Heard(text, frozenset(acts) or frozenset({"unknown"}), listed, " ".join(asking), proposal)


def _read_sentence(low: str) -> tuple[set[str], set[str]]:
    acts = {name for name, pattern in _TABLE.items() if pattern.search(low)}
    asks_who = _GIVE.search(low) and any(pattern.search(low) for name, pattern in _TOPICS if name in IDENTITY_TOPICS)
    if "confirm" in acts and (asks_who or _YOURS.search(low)):
        acts.discard("confirm")
    if _OPEN.search(low):
        acts.discard("confirm")
    if "?" in low:
        acts -= {"done", "deny", "hold"}
    if "error" in acts:
        acts.discard("deny")
    if "anything_else" in acts:
        acts.discard("confirm")
        return acts, set()
    if "confirm" in acts or not _REQUEST.search(low):
        return acts, set()
    topics = {name for name, pattern in _TOPICS if pattern.search(low)}
    if len(topics) > 1:
        topics.discard("wish")
    if topics - {"item"} and "item" in topics and not re.search(r"which (?:one|item|product|repair)|option", low):
        topics.discard("item")
    return acts, topics or {"other"}


_TOPICS = tuple((name, re.compile(pattern)) for name, pattern in TOPICS)
