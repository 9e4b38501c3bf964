"""The checked agendas of the 165 test tasks: written from its instruction, task by task, and validated.

An agenda belongs to one text. A task id under which another text is played (an older recording, a set of tasks of
your own) gets the rule-based reading of that text instead.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import TypeAlias

from usersim_env.errors import UsageError, unknown
from usersim_env.users.agenda.model import Agenda
from usersim_env.users.agenda.parser import parse_instruction

SOURCES: tuple[str, ...] = ("checked", "draft")
"""Where agendas come from by name: those that were checked, and a draft for the rest; or drafts for all."""

Agendas: TypeAlias = str | Mapping[str, Agenda]
"""One of `SOURCES`, or agendas of your own by task id (a draft for the tasks that are not in it)."""

_FILES = ("retail_test.json", "airline_test.json")


def agenda_of(task_id: str, instruction: str, agendas: Agendas = "checked") -> Agenda:
    """What the agenda user reads in an instruction.

    Raises:
        UnknownName: a name that is none of `SOURCES`.
    """
    if isinstance(agendas, str):
        if check_agendas(agendas) == "checked":
            key, agenda = checked_agendas().get(task_id, ("", None))
            if agenda is not None and key == instruction_hash(instruction):
                return agenda
    elif task_id in agendas:
        return agendas[task_id]
    return parse_instruction(instruction)


def check_agendas(agendas: Agendas) -> Agendas:
    """The argument itself.

    Raises:
        UnknownName: a name that is none of `SOURCES`.
        UsageError: neither a name nor a mapping of task ids to agendas.
    """
    if isinstance(agendas, str):
        if agendas not in SOURCES:
            raise unknown("source of agendas", agendas, SOURCES)
    elif not isinstance(agendas, Mapping) or not all(isinstance(agenda, Agenda) for agenda in agendas.values()):
        raise UsageError(
            f"agendas is {' or '.join(map(repr, SOURCES))} or a mapping of task ids to Agenda objects "
            f"(Agenda.from_dict reads one), got {agendas!r:.80}."
        )
    return agendas


@lru_cache(maxsize=1)
def checked_agendas() -> Mapping[str, tuple[str, Agenda]]:
    """Task id → hash of the instruction that was read, and its agenda; read from the package's data once."""
    found = {}
    for name in _FILES:
        data = json.loads(files(__package__).joinpath(name).read_text(encoding="utf-8"))
        for task_id, record in data["agendas"].items():
            agenda = Agenda.from_dict({"draft": False, "entries": record["entries"]})
            found[task_id] = (str(record["instruction"]), agenda)
    return MappingProxyType(found)


@lru_cache(maxsize=4096)
def instruction_hash(instruction: str) -> str:
    """Sixteen hex digits (SHA-256) that tie an agenda to the text that it was read from."""
    return hashlib.sha256(instruction.encode("utf-8", "surrogatepass")).hexdigest()[:16]
