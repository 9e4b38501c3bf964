"""How the clerk gets an argument wrong: a plausible other value, as a person in a hurry would pick it."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from usersim_env.baselines.clerk_text import Records
from usersim_env.messages import ToolCall


def slip(call: ToolCall, properties: Mapping[str, Any], records: Records, rng: random.Random) -> ToolCall:
    """The call with one argument wrong, or the call itself where nothing plausible can go wrong.

    Args:
        call: the right call.
        properties: the tool's parameters as JSON schemas by name.
        records: what was read; wrong ids come from the customer's own records.
        rng: decides which argument, and which other value.
    """
    options = {name: _others(name, call, properties.get(name, {}), records) for name in call.arguments}
    names = [name for name, values in options.items() if values]
    if not names:
        return call
    name = rng.choice(names)
    return ToolCall(call.name, {**call.arguments, name: rng.choice(options[name])})


def _others(name: str, call: ToolCall, schema: Mapping[str, Any], records: Records) -> list[Any]:
    """Other values of an argument; none for free texts and for what the customer is known by."""
    value = call.arguments[name]
    if name in ("user_id", "summary", "note"):
        return []
    if "enum" in schema:
        return [other for other in schema["enum"] if other != value]
    if name in ("order_id", "reservation_id", "ticket_id"):
        return [other for other in records.owned() if other != value]
    if name in ("payment_method_id", "payment_id"):
        return [other for other in records.profile.get("payment_methods", {}) if other != value]
    if name == "new_item_ids":
        return _other_variants(value, records)
    if isinstance(value, int):
        return [value + 1]
    if isinstance(value, str):
        return _swapped_digits(value)
    return []


def _other_variants(item_ids: Sequence[str], records: Records) -> list[list[str]]:
    """The list with its last item replaced by each other variant of that product that can be had."""
    *head, last = item_ids
    variants = records.variants(last).items()
    return [[*head, other] for other, variant in variants if other != last and variant.get("available")]


def _swapped_digits(text: str) -> list[str]:
    """The text with its last two different neighbouring digits swapped: ``28236`` → ``28263``."""
    pairs = [m.start() for m in re.finditer(r"(?=\d\d)", text) if text[m.start()] != text[m.start() + 1]]
    return [text[:at] + text[at + 1] + text[at] + text[at + 2 :] for at in pairs[-1:]]
