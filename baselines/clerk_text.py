"""What the clerk says: plain service English, built from a call and from what its read tools returned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from usersim_env.messages import ToolCall

IDENTITY: Mapping[str, str] = {
    "retail": "your e-mail address, or your full name and zip code",
    "airline": "your user id",
    "mock": "your e-mail address",
}
OTHER_IDENTITY: Mapping[str, str] = {**IDENTITY, "retail": "your full name and zip code"}
"""What is asked for when the customer repeats what was not found."""

GREETING = "Hello, and thank you for contacting us."
ASK_IDENTITY = "May I have {identity}, so that I can find your account?"
NOT_FOUND = "I am sorry, I could not find an account with that. Could you check it and give me {identity}?"
NOT_IDENTIFIED = "I am sorry, I cannot help you because I could not find your account. Goodbye."
ASK_WISH = "How can I help you today?"
ASK_WISH_AGAIN = "Could you tell me again what you would like me to do?"
CONFIRM = "Would you like me to go ahead? Please answer yes or no."
UNCLEAR = "I am sorry, I am not sure that I understood. Shall I go ahead with that, yes or no?"
CORRECTED = "I am sorry, I made a mistake there and have checked it again."
SKIPPED = "All right, I will not do that."
STILL_UNCLEAR = "I will leave that as it is, since I have no clear answer from you."
DONE = "That is done."
DONE_UNASKED = "I have gone ahead and done this for you: {proposal}."
FAILED = "I am sorry, the system did not let me do that: {error}."
NOT_YOURS = "I am sorry, I cannot change that because it does not belong to your account."
INFORM = "Here is the information that you asked for: {outputs}."
ANYTHING_ELSE = "Is there anything else I can help you with?"
NOTHING_MORE = "I am sorry, there is nothing more that I can do about that."
GOODBYE = "Thank you for contacting us. Goodbye."


@dataclass
class Records:
    """What the read tools returned so far: the customer's profile, and orders, products … by id."""

    profile: dict[str, Any] = field(default_factory=dict)
    found: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def first_name(self) -> str:
        """For addressing the customer; empty where the domain gives no name."""
        return str(self.profile.get("name", {}).get("first_name", ""))

    def owned(self) -> tuple[str, ...]:
        """Ids of the orders, reservations or tickets on the account."""
        return tuple(self.profile.get("orders") or self.profile.get("reservations") or ())

    def variants(self, item_id: str) -> dict[str, dict[str, Any]]:
        """All variants of the product that an item is one of, as far as that product was read."""
        products = (record.get("variants", {}) for record in self.found.values())
        return next((variants for variants in products if item_id in variants), {})

    def item(self, item_id: str) -> dict[str, Any]:
        """Name, options and price of an item or variant; empty when none was read."""
        for record in self.found.values():
            for item in record.get("items", ()):
                if item["item_id"] == item_id:
                    return dict(item)
        return dict(self.variants(item_id).get(item_id, {}))


# What has to be asked before a call

NEEDS: Mapping[str, tuple[str, ...]] = {
    "cancel_pending_order": ("order", "reason"),
    "exchange_delivered_order_items": ("order", "payment"),
    "return_delivered_order_items": ("order", "payment"),
    "modify_pending_order_items": ("order", "payment"),
    "modify_pending_order_payment": ("order", "payment"),
    "modify_pending_order_address": ("order", "address"),
    "modify_user_address": ("address",),
    "book_reservation": ("flights", "passengers", "payment"),
    "cancel_reservation": ("reservation", "reason"),
    "update_reservation_flights": ("reservation", "payment"),
    "update_reservation_baggages": ("reservation", "bags"),
    "update_reservation_passengers": ("reservation", "passengers"),
    "move_ticket": ("ticket", "day", "note"),
}
_ASKED: Mapping[str, str] = {
    "order": "the order number",
    "reservation": "the reservation number",
    "ticket": "which repair it is about",
    "reason": "the reason for the cancellation",
    "payment": "which payment method you would like to use",
    "address": "the new address",
    "flights": "where you would like to fly from and to, and on which date",
    "passengers": "who the passengers are",
    "bags": "how many bags you have",
    "day": "which day you would like",
    "note": "the note for the workshop, if you have one",
}


def needs(call: ToolCall) -> list[str]:
    """Kinds of detail that the clerk asks for before it proposes this call."""
    return [kind for kind in NEEDS.get(call.name, ()) if kind != "note" or call.arguments.get("note")]


def ask_for(kinds: Sequence[str]) -> str:
    """One question for details of these kinds."""
    return f"Could you please tell me {listed(_ASKED[kind] for kind in kinds)}?"


# A call in ordinary words


def propose(call: ToolCall, records: Records) -> str:
    """What the call would do, after "I would …": with all ids, options, payment methods and amounts."""
    return _PROPOSALS[call.name](call.arguments, records)


def listed(parts: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *head, last = parts
    return f"{', '.join(head)} and {last}" if head else last


def _payment(method: str, records: Records) -> str:
    known = records.profile.get("payment_methods", {}).get(method, {})
    ending = f" ending in {known['last_four']}" if "last_four" in known else ""
    return f"your {method.rpartition('_')[0].replace('_', ' ')}{ending} ({method})"


def _item(item_id: str, records: Records) -> str:
    item = records.item(item_id)
    options = ", ".join(f"{key} {value}" for key, value in item.get("options", {}).items())
    return f"the {item.get('name', 'item')} {item_id}{f' ({options})' if options else ''}"


def _price(item_ids: Iterable[str], records: Records) -> float:
    return float(sum(records.item(item_id).get("price", 0) for item_id in item_ids))


def _swaps(a: Mapping[str, Any], records: Records) -> str:
    pairs = zip(a["item_ids"], a["new_item_ids"], strict=False)
    swaps = listed(f"{_item(old, records)} for {_item(new, records)}" for old, new in pairs)
    difference = _price(a["new_item_ids"], records) - _price(a["item_ids"], records)
    amount = f"{'a charge' if difference >= 0 else 'a refund'} of ${abs(difference):.2f}"
    return f"{swaps} in order {a['order_id']}, with {amount} on {_payment(a['payment_method_id'], records)}"


def _return(a: Mapping[str, Any], records: Records) -> str:
    items = listed(_item(item_id, records) for item_id in a["item_ids"])
    refund = f"${_price(a['item_ids'], records):.2f} to {_payment(a['payment_method_id'], records)}"
    return f"return {items} from order {a['order_id']} and refund {refund}"


def _address(a: Mapping[str, Any]) -> str:
    return ", ".join(str(a[key]) for key in ("address1", "address2", "city", "state", "country", "zip") if a.get(key))


def _flights(a: Mapping[str, Any]) -> str:
    return listed(f"{flight['flight_number']} on {flight['date']}" for flight in a["flights"])


def _passengers(a: Mapping[str, Any]) -> str:
    return listed(f"{p['first_name']} {p['last_name']} (born {p['dob']})" for p in a["passengers"])


def _bags(a: Mapping[str, Any]) -> str:
    return f"checked bags: {a['total_baggages']}, of which paid: {a['nonfree_baggages']}"


_TRIPS = {"one_way": "one-way trip", "round_trip": "round trip"}


def _book(a: Mapping[str, Any], records: Records) -> str:
    paid = listed(f"{_payment(p['payment_id'], records)} (${p['amount']})" for p in a["payment_methods"])
    trip = f"{_TRIPS[a['flight_type']]} from {a['origin']} to {a['destination']} in {_cabin(a)}"
    insurance = "with" if a["insurance"] == "yes" else "without"
    people = f"for {_passengers(a)}, {_bags(a)}, {insurance} insurance"
    return f"book a {trip}: flights {_flights(a)}, {people}, paid with {paid}"


def _cabin(a: Mapping[str, Any]) -> str:
    return str(a["cabin"]).replace("_", " ")


def _update_flights(a: Mapping[str, Any], records: Records) -> str:
    change = f"change reservation {a['reservation_id']} to {_cabin(a)} on flights {_flights(a)}"
    return f"{change}, paid or refunded with {_payment(a['payment_id'], records)}"


def _move(a: Mapping[str, Any], records: Records) -> str:
    bike = records.found.get(a["ticket_id"], {}).get("bike", "")
    note = f", with the note '{a['note']}'" if a.get("note") else ""
    return f"move the repair of your {bike} bike (ticket {a['ticket_id']}) to {a['day']}{note}"


_PROPOSALS: Mapping[str, Callable[[Mapping[str, Any], Records], str]] = {
    "cancel_pending_order": lambda a, r: f"cancel order {a['order_id']}, with the reason: {a['reason']}",
    "exchange_delivered_order_items": lambda a, r: f"exchange {_swaps(a, r)}",
    "return_delivered_order_items": _return,
    "modify_pending_order_items": lambda a, r: f"change {_swaps(a, r)}",
    "modify_pending_order_payment": lambda a, r: (
        f"change the payment method of order {a['order_id']} to {_payment(a['payment_method_id'], r)}"
    ),
    "modify_pending_order_address": lambda a, r: f"change the address of order {a['order_id']} to {_address(a)}",
    "modify_user_address": lambda a, r: f"change the address of your account to {_address(a)}",
    "book_reservation": _book,
    "cancel_reservation": lambda a, r: f"cancel reservation {a['reservation_id']}",
    "update_reservation_flights": _update_flights,
    "update_reservation_baggages": lambda a, r: (
        f"update the bags of reservation {a['reservation_id']} ({_bags(a)}), with {_payment(a['payment_id'], r)}"
    ),
    "update_reservation_passengers": lambda a, r: (
        f"update the passengers of reservation {a['reservation_id']} to {_passengers(a)}"
    ),
    "send_certificate": lambda a, r: f"send you a travel certificate of ${a['amount']}",
    "move_ticket": _move,
    "transfer_to_human_agents": lambda a, r: "transfer you to a human agent, because I cannot do this myself",
}
