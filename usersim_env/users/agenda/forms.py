"""The seven fixed forms of the retail training instructions, which are read whole.

They are: return, exchange, modify, cancel, change of payment, change of address, and the line that says who speaks.
The same clauses turn up inside some of the other splits' instructions.
"""

from __future__ import annotations

import ast
import re
from functools import lru_cache

from usersim_env.users.agenda.model import Agenda, Entry, Fact, Goal, Manner, Slot

_ITEM = r"[A-Z][\w /-]*?(?: \{[^{}]*\})?"
_SWAP = r"[A-Z][\w /-]*? \{[^{}]*\} to \{[^{}]*\}"
_WHO = re.compile(
    r"You(?:r)? name is (?P<name>[A-Z]\w+ [A-Z]\w+) and your (?:zip code is (?P<zip>\d{5})|"
    r"email is (?P<email>\S+@\S+\w))\. "
    r"You are (?P<manner>[a-z]+(?:, [a-z]+)*)\. "
)
_RETURN = re.compile(rf"Return (#W\d{{7}}) via (\w+): ((?:{_ITEM}; )+)")
_EXCHANGE = re.compile(rf"For (#W\d{{7}}), (exchange|modify) ((?:{_SWAP}; )+)(?:via (\w+)\. ?)?")
_CANCEL = re.compile(r"Cancel order (#W\d{7}) because ([a-z ]+)\. ?")
_PAYMENT = re.compile(r"For (#W\d{7}), change payment to (\w+)\. ?")
_ADDRESS = re.compile(r"For (#W\d{7}), change address to (\{[^{}]*\}) \(same as (#W\d{7})\)\. ?")
_PART = re.compile(r"([A-Z][\w /-]*?)(?: (\{[^{}]*\})(?: to (\{[^{}]*\}))?)?; ")


def parse_whole(text: str) -> Agenda | None:
    """The agenda of an instruction that consists of fixed forms and nothing else; ``None`` for any other."""
    who = _WHO.match(text)
    if who is None:
        return None
    entries: list[Entry] = [
        Fact(slots=(Slot(name, who[name]),)) for name in ("name", "zip", "email") if who[name] is not None
    ]
    entries.append(Manner(text=who["manner"]))
    at = who.end()
    while at < len(text):
        found = match_form(text, at)
        if found is None:
            return None
        goal, at = found
        entries.append(goal)
    return Agenda(tuple(entries), draft=False)


@lru_cache(maxsize=4096)
def match_form(text: str, at: int) -> tuple[Goal, int] | None:
    """The goal in one of the fixed forms that starts at ``at``, and where it ends."""
    for pattern, build in _BUILDERS:
        if m := pattern.match(text, at):
            return build(m), m.end()
    return None


def _return(m: re.Match[str]) -> Goal:
    order, payment, items = m.groups()
    parts = _PART.findall(items)
    slots = [Slot("order_id", order), Slot("payment_id", payment)]
    for name, options, _ in parts:
        slots += [Slot("item", name), *_options("from_option", options)]
    names = _listed([_item(name, options) for name, options, _ in parts])
    text = f"I want to return {names} from order {order}, with the refund to {payment}."
    return Goal(text, tuple(slots), "return")


def _exchange(m: re.Match[str]) -> Goal:
    order, verb, items, payment = m.groups()
    slots, swaps = [Slot("order_id", order)], []
    for name, old, new in _PART.findall(items):
        slots += [Slot("item", name), *_options("from_option", old), *_options("to_option", new)]
        swaps.append(f"{_item(name, old)} for {_wanted(new)}")
    how = ""
    if payment:
        slots.append(Slot("payment_id", payment))
        how = f", with {payment} for the difference"
    verb = "exchange" if verb == "exchange" else "switch"
    return Goal(f"In order {order} I want to {verb} {_listed(swaps)}{how}.", tuple(slots), m.group(2))


def _cancel(m: re.Match[str]) -> Goal:
    order, reason = m.groups()
    text = f"I want to cancel order {order}, the reason is: {reason}."
    return Goal(text, (Slot("order_id", order), Slot("reason", reason)), "cancel")


def _payment(m: re.Match[str]) -> Goal:
    order, payment = m.groups()
    slots = (Slot("order_id", order), Slot("payment_id", payment))
    return Goal(f"I want to change the payment of order {order} to {payment}.", slots, "payment")


def _address(m: re.Match[str]) -> Goal:
    order, raw, same = m.groups()
    parts = ast.literal_eval(raw)
    address = ", ".join(str(value) for name, value in parts.items() if name != "order_id" and value)
    slots = (Slot("order_id", order), Slot("address", address), Slot("order_id", same))
    text = f"I want to change the address of order {order} to {address} (the same as for {same})."
    return Goal(text, slots, "address")


def _options(slot: str, raw: str) -> list[Slot]:
    return [Slot(slot, f"{name}: {value}") for name, value in ast.literal_eval(raw or "{}").items()]


def _item(name: str, options: str) -> str:
    values = ", ".join(map(str, ast.literal_eval(options).values())) if options else ""
    return f"the {name} ({values})" if values else f"the {name}"


def _wanted(raw: str) -> str:
    options = ast.literal_eval(raw or "{}")
    if not options:
        return "another one with the same options"
    return "one with " + ", ".join(f"{name} {value}" for name, value in options.items())


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


_BUILDERS = (
    (_RETURN, _return),
    (_EXCHANGE, _exchange),
    (_CANCEL, _cancel),
    (_PAYMENT, _payment),
    (_ADDRESS, _address),
)
