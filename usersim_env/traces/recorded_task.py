"""The task of a trace: the one with its id here, or the one that the trace carries because it was another then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from usersim_env.domains import Domain, Task, get_task
from usersim_env.errors import TraceError, UnknownName
from usersim_env.messages import ToolCall
from usersim_env.traces.trace import JsonDict, Trace

FIELDS = ("instruction", "expected_calls", "required_outputs")
"""What `Trace.task` holds; calls are ``{"name", "arguments"}``."""


def task_to_json(task: Task) -> JsonDict:
    """What defines a task, as `Trace.task` holds it."""
    calls = [{"name": call.name, "arguments": dict(call.arguments)} for call in task.expected_calls]
    return {
        "instruction": task.instruction,
        "expected_calls": calls,
        "required_outputs": list(task.required_outputs),
    }


def differing(task: Task, domain: Domain) -> JsonDict | None:
    """The task as JSON where it is not the one with its id here, else ``None``: what a trace of it has to carry."""
    try:
        here = domain.task(task.id)
    except UnknownName:
        return task_to_json(task)
    return None if here.hash == task.hash else task_to_json(task)


def task_of(trace: Trace) -> Task:
    """The task that a trace was recorded with; privileged, like every look at a task.

    Raises:
        UnknownName: no task with that id.
        TraceError: the task has changed since, and the trace does not carry its own; or what it carries is no task.
    """
    here = get_task(trace.task_id)
    task = here if trace.task is None else _from_json(here, trace.task, f"Trace {trace.id}: task")
    if task.hash != trace.task_hash:
        raise TraceError(
            f"Trace {trace.id}: task_hash: {trace.task_id} is not the task that was recorded: then "
            f"{trace.task_hash[:12]}…, here {task.hash[:12]}…. Use the version that recorded it "
            f"({trace.provenance.package}), or import it again: a trace may carry its own task."
        )
    return task


def read_task(content: Mapping[str, Any], where: str) -> tuple[str, tuple[ToolCall, ...], tuple[str, ...]]:
    """Instruction, expected calls and required outputs of `Trace.task`.

    Raises:
        TraceError: it is no task.
    """
    try:
        calls = tuple(ToolCall(call["name"], dict(call["arguments"])) for call in content["expected_calls"])
        instruction, outputs = content["instruction"], tuple(content["required_outputs"])
    except (KeyError, TypeError, ValueError) as error:
        raise TraceError(f"{where}: expected {', '.join(FIELDS)} (got {content!r:.80}): {error!r}") from None
    if not all(isinstance(text, str) for text in (instruction, *outputs, *(call.name for call in calls))):
        raise TraceError(f"{where}: instruction, outputs and names of tools are texts (got {content!r:.80})")
    return instruction, calls, outputs


def _from_json(here: Task, content: Mapping[str, Any], where: str) -> Task:
    return Task(here.id, here.domain, here.split, *read_task(content, where))
