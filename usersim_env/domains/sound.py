"""Whether a domain is one: its parts fit together, its expected calls run, and its tools are what they say."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from usersim_env.domains.overlay import texts
from usersim_env.domains.task import Task
from usersim_env.domains.world import Domain, Tool, World
from usersim_env.errors import told
from usersim_env.messages import RESPOND, ToolCall

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_HAND_OVER = frozenset({"transfer_to_human_agents"})
_SCHEMA = '{"type": "function", "function": {"name", "description", "parameters": {"type": "object", "properties"}}}'


def problems_of(domain: Domain) -> list[str]:
    """Everything that keeps a domain from being played, one sentence each; the calls are made when the rest fits."""
    found = [*_shape(domain)]
    for name, tool in domain.tools.items():
        found += _tool(name, tool)
    for split, tasks in domain.splits.items():
        for index, task in enumerate(tasks):
            found += _task(domain, split, index, task)
    if found:
        return found
    every = [task for tasks in domain.splits.values() for task in tasks]
    _ = domain.base_texts  # kept from before the first call
    return [*_raising(domain, every)] or [*problems_of_calls(domain, every)]


def _shape(domain: Domain) -> Iterator[str]:
    if not isinstance(domain.name, str) or not _NAME.fullmatch(domain.name):
        yield f"name is small letters, digits and single underscores such as 'tea_shop', got {domain.name!r}"
    if not isinstance(domain.policy, str) or not domain.policy.strip():
        yield f"policy is the text that the agent is given, got {domain.policy!r:.40}"
    if not domain.tools:
        yield "tools: there is none"
    if not domain.splits.get("test"):
        yield f"splits: 'test' has no task (splits: {', '.join(domain.splits) or 'none'})"
    for table, records in domain.data.items():
        yield from _table(table, records)
    for tool, tables in (domain.written or {}).items():
        if tool not in domain.tools:
            yield f"written: {tool!r} is no tool (tools: {', '.join(domain.tools)})"
        for table in sorted(tables - domain.data.keys()):
            yield f"written: {tool} writes {table!r}, which is no table (tables: {', '.join(domain.data)})"
    for name in sorted(domain.terminal - domain.tools.keys() - _HAND_OVER):
        yield f"terminal: {name!r} is no tool (tools: {', '.join(domain.tools)})"


def _table(table: str, records: Any) -> Iterator[str]:
    try:
        whole = isinstance(records, Mapping) and json.loads(json.dumps(dict(records), allow_nan=False)) == records
    except (TypeError, ValueError) as error:
        yield f"data: the table {table!r} is not JSON: {error}"
        return
    if not whole:
        yield f"data: the table {table!r} is key → record of JSON values (str keys, lists, no tuples)"


def _tool(name: str, tool: Tool) -> Iterator[str]:
    if name != tool.name or name == RESPOND or not name:
        yield f"tools: {name!r} holds the tool {tool.name!r}; the two are the same, and not {RESPOND!r}"
    try:
        function = tool.schema["function"]
        parameters = function["parameters"]
        named, properties = function["name"], set(parameters["properties"])
        known = set(parameters.get("required", ())) <= properties and parameters["type"] == "object"
        described = isinstance(function["description"], str) and tool.schema["type"] == "function"
        json.dumps(tool.schema)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        yield f"tools: {name} has no schema of the shape {_SCHEMA}: {told(error)}"
        return
    if named != name or not known or not described:
        yield f"tools: the schema of {name} is for {named!r} and has the shape {_SCHEMA}, 'required' among 'properties'"
        return
    try:
        inspect.signature(tool.invoke).bind(data={}, **dict.fromkeys(properties))
    except (TypeError, ValueError) as error:
        yield f"tools: {name} cannot be called as {name}(data=…, {', '.join(sorted(properties))}): {error}"


def _task(domain: Domain, split: str, index: int, task: object) -> Iterator[str]:
    name = f"{domain.name}/{split}/{index}"
    if not isinstance(task, Task):
        yield f"{name} is a Task, got {type(task).__name__}"
        return
    if (task.id, task.domain, task.split) != (name, domain.name, split):
        yield f"{name}: got id={task.id!r}, domain={task.domain!r}, split={task.split!r}"
    if not isinstance(task.instruction, str) or not task.instruction.strip():
        yield f"{name}: instruction is what the user side is told, got {task.instruction!r:.40}"
    outputs: object = task.required_outputs
    if not isinstance(outputs, tuple) or not all(isinstance(output, str) and output for output in outputs):
        yield f"{name}: required_outputs is a tuple of texts, got {outputs!r:.60}"
    for call in task.expected_calls:
        yield from _call(domain, name, call)


def _call(domain: Domain, task: str, call: ToolCall) -> Iterator[str]:
    if call.name not in domain.tools:
        if call.name not in domain.terminal:
            yield f"{task}: expects a call of {call.name!r}, which is no tool (tools: {', '.join(domain.tools)})"
        return
    try:
        parameters = domain.tools[call.name].schema["function"]["parameters"]
        properties, required = set(parameters["properties"]), set(parameters.get("required", ()))
    except (KeyError, TypeError):
        return  # said of the tool
    if not required <= set(call.arguments) <= properties:
        yield (
            f"{task}: expects {call.name}({', '.join(call.arguments)}), which takes {', '.join(sorted(properties))}"
            f" and needs {', '.join(sorted(required)) or 'none'}"
        )


def _raising(domain: Domain, tasks: Iterable[Task]) -> Iterator[str]:
    """An agent's mistake may raise; what a task expects must not."""
    for task in tasks:
        world = World(domain)
        for call in task.expected_calls:
            try:
                if call.name in domain.tools:
                    world.run(call)
            except Exception as error:
                arguments = ", ".join(f"{name}={value!r:.60}" for name, value in call.arguments.items())
                yield f"{task.id}: {call.name}({arguments}) raised {told(error)}"
                break


def problems_of_calls(domain: Domain, tasks: Iterable[Task]) -> Iterator[str]:
    """What the expected calls show: tools that draw or look at the clock, and writers that are not declared."""
    before = domain.base_texts
    for task in tasks:
        worlds = World(domain), World(domain)
        seen = [[world.call(call) for call in task.expected_calls] for world in worlds]
        for call, first, second in zip(task.expected_calls, *seen, strict=True):
            if first != second:
                yield (
                    f"{task.id}: {call.name} answers {second.content!r:.80} and then {first.content!r:.80} to the same "
                    "call: a tool is a function of the database and its arguments alone, and writes only what "
                    "`written` says"
                )
                break
        else:
            if worlds[0].changed() != worlds[1].changed():
                yield f"{task.id}: the expected calls leave another database each time"
    after = texts(domain.data)
    if tables := sorted({at[0] for at in before.keys() | after.keys() if before.get(at) != after.get(at)}):
        yield (
            f"the shared table {', '.join(tables)} was written: name its writers in `written`, or leave `written` out "
            "and the database is copied for every episode"
        )
