"""Tasks as a list to read, with the agendas that are parsed from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from usersim_env.domains import Task, get_task
from usersim_env.users.agenda import agenda_of, describe_agenda


def as_json(ids: Sequence[str], agenda: bool = False) -> list[dict[str, Any]]:
    """One record a task; instructions are for the people who run studies, never for the agent."""
    return [_record(get_task(task_id), agenda) for task_id in ids]


def as_text(ids: Sequence[str], agenda: bool = False) -> str:
    """The same to read: id and instruction, or id and agenda."""
    tasks = [get_task(task_id) for task_id in ids]
    return "\n".join(
        f"{t.id}\n{describe_agenda(agenda_of(t.id, t.instruction))}\n" if agenda else _line(t) for t in tasks
    )


def _line(task: Task) -> str:
    calls = len(task.expected_calls)
    return f"{task.id}\t{calls} call{'' if calls == 1 else 's'}\t{task.instruction}"


def _record(task: Task, agenda: bool) -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": task.id,
        "hash": task.hash,
        "instruction": task.instruction,
        "expected_calls": len(task.expected_calls),
        "required_outputs": len(task.required_outputs),
    }
    return record | ({"agenda": agenda_of(task.id, task.instruction).to_dict()} if agenda else {})
