"""The 19 behaviour features of a conversation's user turns.

They are dimensions D1 to D4 of the User-Sim Index (arXiv:2603.11245). A *rate* is a share of user turns,
from 0 to 1; a *flag* is 0 or 1. The phrase lists are data (`behaviour_phrases.json`, which also explains
its notation), read and compiled on first use.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Literal, NamedTuple

Source = Literal["human", "llm"]

DIMENSIONS: dict[str, tuple[str, ...]] = {
    "D1_conv": (
        "politeness_rate",
        "short_msg_rate",
        "formality_rate",
        "ack_only_rate",
        "verbosity_cv",
        "repeat_rate",
        "id_confuse_rate",
    ),
    "D2_info": ("info_frontload", "id_density", "user_words_per_turn", "opening_words"),
    "D3_clarif": (
        "uncertainty_rate",
        "certainty_rate",
        "pushback_q_rate",
        "clarify_q_rate",
        "info_q_rate",
    ),
    "D4_react": ("emotion_rate", "accusation_rate", "pivot_rate"),
}
"""The dimensions of the index and their features."""

FEATURES: tuple[str, ...] = tuple(name for names in DIMENSIONS.values() for name in names)
"""The 19 features, in the order of their dimensions."""

_PLAIN = frozenset({"verbosity_cv", "id_density", "user_words_per_turn", "opening_words"})

RATES: tuple[str, ...] = tuple(name for name in FEATURES if name not in _PLAIN)
"""Rates, flags and shares: the features that a row of the index gives times 100."""

_SHORT = 3  # words, at most, in a short turn
_REPEATS = 10  # a run of three words counts as repeated when it occurs more often than this
_QUESTIONS = ("pushback", "clarify", "info")  # a turn counts for the first that it matches
_LIST_RATES = {
    "politeness_rate": "polite",
    "uncertainty_rate": "uncertainty",
    "certainty_rate": "certainty",
    "emotion_rate": "emotion",
    "accusation_rate": "accusation",
    "pivot_rate": "pivot",
}
_MARKUP = (  # opening, closing, whether an unclosed one runs to the end of the text
    ("<|think|>", "<|/think|>", False),
    ("<function=", "</function>", True),
    ("<|tool|>", "<|/tool|>", False),
)
_CURLY = "\u2019"
_PANELS = ("<|canvas|>", "<|highlight|>", "<|survey|>")


class _Lists(NamedTuple):
    """The compiled lists: `phrase` by name; `ack` matches a whole turn, `identifier` one token."""

    phrase: dict[str, re.Pattern[str]]
    ack: re.Pattern[str]
    identifier: re.Pattern[str]


def behaviour_features(conversation: Sequence[Mapping[str, object]], source: Source) -> dict[str, float] | None:
    """Return the features of one conversation, or None if no user turn is left.

    Args:
        conversation: messages with `role` and `content`. Roles other than `user` and `assistant` are
            passed over; a content of None reads as the text "None", a missing one as the empty text.
        source: whose user turns they are; decides which control messages are left out.

    Returns:
        `n_turns` (messages of both seats, control messages left out) and the 19 features of
        `FEATURES`; rates lie between 0 and 1.

    Raises:
        ValueError: the source is unknown or a message has no role.
        TypeError: a content is neither text nor None.
    """
    texts, n_turns = user_turns(conversation, source)
    return features_of_turns(texts, n_turns)


def user_turns(conversation: Sequence[Mapping[str, object]], source: Source) -> tuple[list[str], int]:
    """Return the texts of the user turns, without agent markup, and the number of turns of both seats.

    Takes and raises what `behaviour_features` does.
    """
    if source not in ("human", "llm"):
        raise ValueError(f"source is {source!r}; expected 'human' or 'llm'")
    is_control = _is_human_control if source == "human" else _is_llm_control
    texts: list[str] = []
    n_turns = 0
    for index, message in enumerate(conversation):
        role, content = _role_and_content(message, index)
        if role not in ("user", "assistant") or is_control(content):
            continue
        n_turns += 1
        if role == "user":
            texts.append(_without_markup(content))
    return texts, n_turns


def features_of_turns(texts: Sequence[str], n_turns: int) -> dict[str, float] | None:
    """Return the features of user turns that are filtered and free of markup, or None if there are none.

    Args:
        texts: the user turns, in order.
        n_turns: the number of turns of both seats; reported, not used.
    """
    if not texts:
        return None
    count = len(texts)
    words = [text.split() for text in texts]
    lowered = [text.lower() for text in texts]
    values = {"n_turns": float(n_turns)}
    values.update(_style(lowered, words))
    values.update(_amounts([len(turn) for turn in words]))
    values.update({name: hits / count for name, hits in _phrase_counts(lowered).items()})
    return {name: values[name] for name in ("n_turns", *FEATURES)}


def hidden_turns(texts: Sequence[str]) -> int:
    """How many turns hold a phrase of the lists that is not found because its apostrophe is curly (``don’t``).

    The reference scorer does not find it either, and the features are the reference's.
    """
    return sum("hidden" in phrase_hits(text) for text in texts if _CURLY in text)


def phrase_hits(text: str) -> dict[str, list[str]]:
    """Return what each list matches in one turn: list name to lower-cased phrases, in order of appearance.

    Only lists with a hit are there, and the matches of one list do not overlap. `ack` is there only if
    the whole turn is an acknowledgement. Of `pushback`, `clarify` and `info` all are given, though a turn
    counts for the first alone. `hidden` are phrases that count for no list because their apostrophe is
    curly (``don’t``), which the reference scorer does not find.
    """
    lowered = _without_markup(text).lower()
    hits = _hits(lowered)
    if _CURLY in lowered:
        plain = _hits(lowered.replace(_CURLY, "'"))
        # A list counts a turn once, so further phrases of one that has a hit are not missed; identifiers are counted.
        hidden = [phrase for name, found in plain.items() if not hits.get(name) for phrase in found]
        hidden += _beyond(plain["id"], hits["id"]) if hits["id"] else []
        hits["hidden"] = list(dict.fromkeys(hidden))
    return {name: found for name, found in hits.items() if found}


def _hits(lowered: str) -> dict[str, list[str]]:
    lists = _lists()
    hits = {name: [m.group() for m in pattern.finditer(lowered)] for name, pattern in lists.phrase.items()}
    ack = lists.ack.fullmatch(lowered.strip())
    hits["ack"] = [ack.group(1)] if ack else []
    hits["id"] = [m.group() for m in lists.identifier.finditer(lowered)]
    return hits


def _beyond(plain: Sequence[str], found: Sequence[str]) -> list[str]:
    """What is found with plain apostrophes only."""
    more = Counter(plain) - Counter(phrase.replace(_CURLY, "'") for phrase in found)
    return [phrase for phrase in plain if phrase in more]


def _style(lowered: Sequence[str], words: Sequence[Sequence[str]]) -> dict[str, float]:
    lists = _lists()
    count = len(lowered)
    agent_talk = lists.phrase["agent_talk"].search
    return {
        "short_msg_rate": sum(len(turn) <= _SHORT for turn in words) / count,
        "formality_rate": sum("\u2014" in text or "\u2013" in text for text in lowered) / count,
        "ack_only_rate": sum(lists.ack.fullmatch(text.strip()) is not None for text in lowered) / count,
        "repeat_rate": float(_repeats(words)),
        "id_confuse_rate": float(any(agent_talk(text) for text in lowered)),
        "id_density": sum(len(lists.identifier.findall(text)) for text in lowered) / count,
    }


def _amounts(lengths: Sequence[int]) -> dict[str, float]:
    total = sum(lengths)
    mean = total / len(lengths)
    spread = math.sqrt(math.fsum((length - mean) ** 2 for length in lengths) / len(lengths))
    return {
        "verbosity_cv": spread / mean if total else 0.0,
        "info_frontload": sum(lengths[:2]) / total if total else 0.0,
        "user_words_per_turn": mean,
        "opening_words": float(lengths[0]),
    }


def _phrase_counts(lowered: Sequence[str]) -> dict[str, int]:
    """Count the turns with a phrase of each list."""
    phrase = _lists().phrase
    counts = {
        feature: sum(phrase[name].search(text) is not None for text in lowered) for feature, name in _LIST_RATES.items()
    }
    kinds = Counter(_question_kind(text) for text in lowered)
    counts.update({f"{kind}_q_rate": kinds[kind] for kind in _QUESTIONS})
    return counts


def _question_kind(lowered: str) -> str | None:
    phrase = _lists().phrase
    return next((kind for kind in _QUESTIONS if phrase[kind].search(lowered)), None)


def _repeats(turns: Sequence[Sequence[str]]) -> bool:
    """Tell whether a run of three words occurs too often; runs do not cross turns."""
    if sum(max(len(turn) - 2, 0) for turn in turns) <= _REPEATS:
        return False
    runs = Counter(run for turn in turns for run in zip(turn, turn[1:], turn[2:], strict=False))
    return max(runs.values()) > _REPEATS


def _role_and_content(message: Mapping[str, object], index: int) -> tuple[object, str]:
    if "role" not in message:
        raise ValueError(f"message {index} has the keys {sorted(message)}; expected 'role' and 'content'")
    content = message.get("content", "")
    if content is not None and not isinstance(content, str):
        raise TypeError(
            f"content of message {index} is of type {type(content).__name__}; expected text or None. "
            "Join the parts of a content list into one string first"
        )
    return message["role"], str(content)


def _is_human_control(content: str) -> bool:
    if content.startswith(("\\tau ", "\\reward")):
        return True
    return content.strip() == "/stop" or any(panel in content for panel in _PANELS)


def _is_llm_control(content: str) -> bool:
    return content.strip() == "###STOP###"


def _without_markup(text: str) -> str:
    for opening, closing, open_ended in _MARKUP:
        if opening in text:
            text = _cut(text, opening, closing, open_ended)
    return text


def _cut(text: str, opening: str, closing: str, open_ended: bool) -> str:
    """Remove each span from `opening` to the next `closing`.

    Searches by hand: a lazy regex takes quadratic time on many unclosed openings.
    """
    kept = []
    position = 0
    while (start := text.find(opening, position)) >= 0:
        end = text.find(closing, start + len(opening))
        if end < 0:
            if open_ended:
                kept.append(text[position:start])
                position = len(text)
            break
        kept.append(text[position:start])
        position = end + len(closing)
    return "".join(kept) + text[position:]


@lru_cache(maxsize=1)
def _lists() -> _Lists:
    data = json.loads(files("usersim_env.feedback").joinpath("behaviour_phrases.json").read_text(encoding="utf-8"))
    entries = {name: [_regex(phrase) for phrase in phrases] for name, phrases in data["phrases"].items()}
    identifier = re.compile("|".join(data["patterns"].pop("id")))
    for name, patterns in data["patterns"].items():
        entries[name] += patterns
    ack = re.compile(rf"({'|'.join(entries.pop('ack'))})[\s!.\-,]*")
    phrase = {name: re.compile(rf"\b(?:{'|'.join(alternatives)})\b") for name, alternatives in entries.items()}
    return _Lists(phrase, ack, identifier)


def _regex(phrase: str) -> str:
    """Translate a phrase from the notation of the data file."""
    return phrase.replace("'", "'?").replace("(", "(?:").replace("[", "(?:").replace("]", ")?")
