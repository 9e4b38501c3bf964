"""The mock domain's data, tools and tasks, in the shape of a τ-bench domain."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from usersim_env.domains.task import Task
from usersim_env.domains.world import Domain, Tool
from usersim_env.messages import ToolCall

POLICY = """# Repair desk

You help customers of a small bicycle workshop with their repair tickets.

- Find the ticket with find_ticket before you say anything about it. You need the customer's e-mail.
- You may move a ticket that is `waiting` to another day. Ask for a yes first.
- A ticket that is `done` cannot be moved. Say so.
- Hand over to a person with transfer_to_human_agents only when the customer asks for something else altogether.
"""

CUSTOMERS: dict[str, Any] = {
    "ada": {"email": "ada@mock.example", "tickets": ["T-1001"]},
    "bo": {"email": "bo@mock.example", "tickets": ["T-1002", "T-1003"]},
    "cy": {"email": "cy@mock.example", "tickets": ["T-1004"]},
}

TICKETS: dict[str, Any] = {
    "T-1001": {"ticket_id": "T-1001", "bike": "touring", "status": "waiting", "day": "monday", "price": 40.5},
    "T-1002": {"ticket_id": "T-1002", "bike": "cargo", "status": "waiting", "day": "tuesday", "price": 85},
    "T-1003": {"ticket_id": "T-1003", "bike": "racer", "status": "done", "day": "monday", "price": 23.25},
    "T-1004": {"ticket_id": "T-1004", "bike": "folding", "status": "waiting", "day": "friday", "price": 61},
}

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")


def _find_ticket(data: dict[str, Any], email: str) -> str:
    for customer in data["customers"].values():
        if customer["email"] == email.lower():
            return json.dumps([data["tickets"][ticket] for ticket in customer["tickets"]])
    return "Error: no customer with that e-mail"


def _move_ticket(data: dict[str, Any], ticket_id: str, day: str, note: str = "") -> str:
    tickets = data["tickets"]
    if ticket_id not in tickets:
        return "Error: ticket not found"
    ticket = tickets[ticket_id]
    if ticket["status"] != "waiting":
        return "Error: only waiting tickets can be moved"
    if day not in DAYS:
        return "Error: the workshop is open monday to friday"
    ticket["day"] = day
    if note:
        ticket["note"] = note
    return json.dumps(ticket)


def _transfer(data: dict[str, Any], summary: str) -> str:
    return "Transfer successful"


def _schema(name: str, description: str, required: int, **properties: dict[str, Any]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)[:required]}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


_TEXT = {"type": "string"}
_TOOLS = (
    Tool(
        "find_ticket",
        _schema("find_ticket", "The repair tickets of the customer with an e-mail.", 1, email=_TEXT),
        _find_ticket,
    ),
    Tool(
        "move_ticket",
        _schema(
            "move_ticket",
            "Moves a waiting ticket to another day.",
            2,
            ticket_id={"type": "string", "description": "Such as 'T-0000'."},
            day={"type": "string", "enum": list(DAYS)},
            note=_TEXT,
        ),
        _move_ticket,
    ),
    Tool(
        "transfer_to_human_agents",
        _schema("transfer_to_human_agents", "Hands the customer over to a person.", 1, summary=_TEXT),
        _transfer,
    ),
)


def _task(split: str, index: int, instruction: str, *calls: ToolCall, outputs: tuple[str, ...] = ()) -> Task:
    return Task(f"mock/{split}/{index}", "mock", split, instruction, calls, outputs)


def _move(ticket: str, day: str, note: str = "") -> ToolCall:
    arguments = {"ticket_id": ticket, "day": day}
    return ToolCall("move_ticket", arguments | ({"note": note} if note else {}))


def _find(email: str) -> ToolCall:
    return ToolCall("find_ticket", {"email": email})


TEST = (
    _task(
        "test",
        0,
        "Your name is Ada Okafor and your email is ada@mock.example. You want to move your repair to wednesday. "
        "If the agent asks for a note, it is 'canary-4711-note'.",
        _find("ada@mock.example"),
        _move("T-1001", "wednesday", "canary-4711-note"),
    ),
    _task(
        "test",
        1,
        "Your name is Bo Lindqvist and your email is bo@mock.example. You want to move the cargo bike to thursday. "
        "You also want to know the price of both repairs together.",
        _find("bo@mock.example"),
        _move("T-1002", "thursday"),
        outputs=("108.25",),
    ),
    _task(
        "test",
        2,
        "Your name is Bo Lindqvist and your email is bo@mock.example. You want to move the racer to friday. "
        "If that is not possible, you leave everything as it is.",
        _find("bo@mock.example"),
        _move("T-1003", "friday"),
    ),
    _task(
        "test",
        3,
        "Your name is Cy Moreau and your email is cy@mock.example. You want to sell your folding bike to the shop. "
        "You insist on speaking with a person about it.",
        _find("cy@mock.example"),
        ToolCall("transfer_to_human_agents", {"summary": "canary-0815-summary"}),
    ),
)

TRAIN = (
    _task(
        "train",
        0,
        "Your name is Ada Okafor and your email is ada@mock.example. You want to move your repair to tuesday.",
        _move("T-1001", "tuesday"),
    ),
    _task(
        "train",
        1,
        "Your name is Cy Moreau and your email is cy@mock.example. You want to move your repair to monday.",
        _move("T-1004", "monday"),
    ),
)


@cache
def load() -> Domain:
    """The mock domain, built once per process."""
    return Domain(
        name="mock",
        policy=POLICY,
        tools={tool.name: tool for tool in _TOOLS},
        data={"customers": CUSTOMERS, "tickets": TICKETS},
        splits={"test": TEST, "train": TRAIN},
        written={"move_ticket": frozenset({"tickets"})},
        source={"package": "usersim_env", "version": "mock-1"},
    )
