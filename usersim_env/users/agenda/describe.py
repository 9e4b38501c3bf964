"""An agenda as text, for people who check it."""

from __future__ import annotations

from usersim_env.users.agenda.model import Agenda, Entry, Goal, Order, Rule


def describe_agenda(agenda: Agenda) -> str:
    """One line per entry: kind, what it is, its text and its slots; the first line says whether it is a draft."""
    head = "draft (read by rules, not checked)" if agenda.draft else "whole (every part of a fixed form, or checked)"
    return "\n".join([head, *(_line(entry) for entry in agenda.entries)])


def _line(entry: Entry) -> str:
    note = ""
    if isinstance(entry, Goal):
        note = f"[{entry.action}] "
    elif isinstance(entry, Rule):
        note = f"[{entry.trigger}{': ' + entry.condition if entry.condition else ''}] -> "
    elif isinstance(entry, Order) and entry.pace:
        note = f"[{entry.pace}] "
    slots = ", ".join(f"{name}={value}" for name, value in entry.slots)
    known = f"({slots})" if slots else ""
    return f"  {entry.kind:<10} {note}{' '.join(filter(None, (entry.text, known)))}".rstrip()
