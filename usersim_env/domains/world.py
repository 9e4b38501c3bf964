"""A domain, and a world: one episode's database with the domain's unmodified tools running on it."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from usersim_env.domains.canonical import canonical, checked, copier, sha256
from usersim_env.domains.overlay import Database, Overlay, digest, joined, texts
from usersim_env.domains.task import Task
from usersim_env.errors import UnknownName, unknown
from usersim_env.messages import ToolCall, ToolResult


@dataclass(frozen=True)
class Tool:
    """One tool: ``schema`` is the OpenAI function schema, ``invoke(data=…, **arguments)`` returns a text."""

    name: str
    schema: Mapping[str, Any]
    invoke: Callable[..., Any]
    guard: Callable[[Mapping[str, Any]], str | None] | None = None
    """Looks at the arguments first; a text it returns is the tool's answer and the tool is not run."""


@dataclass(frozen=True, eq=False)
class Domain:
    """Everything that the episodes of a domain share; never written after it was built.

    Attributes:
        data: the parsed database.
        written: tool name → tables it writes; ``None`` when the domain does not say, and then every episode
            works on a deep copy.
        source: where the content comes from, for traces: ``{"package": …, "version": …}``.
        terminal: tools that end the episode.
    """

    name: str
    policy: str
    tools: Mapping[str, Tool]
    data: Database
    splits: Mapping[str, tuple[Task, ...]]
    written: Mapping[str, frozenset[str]] | None
    source: Mapping[str, str]
    terminal: frozenset[str] = frozenset({"transfer_to_human_agents"})
    _expected: dict[str, dict[tuple[str, str], str]] = field(default_factory=dict, init=False, repr=False)

    def tasks(self, split: str = "test") -> tuple[Task, ...]:
        """The tasks of a split; an unknown split is an `UnknownName` that lists the splits."""
        if split not in self.splits:
            raise unknown(f"split of {self.name}", split, self.splits)
        return self.splits[split]

    @cached_property
    def _by_id(self) -> dict[str, Task]:
        return {task.id: task for tasks in self.splits.values() for task in tasks}

    def task(self, task_id: str) -> Task:
        """The task with an id like ``retail/test/17``."""
        found = self._by_id.get(task_id) if isinstance(task_id, str) else None
        if found is not None:
            return found
        counts = ", ".join(f"{self.name}/{s}/0 … {self.name}/{s}/{len(t) - 1}" for s, t in self.splits.items() if t)
        near = f"{self.name}/test/{str(task_id).rpartition('/')[2]}"
        meant = f" Did you mean {near!r}?" if near in self._by_id else ""
        raise UnknownName(f"Unknown task {task_id!r}.{meant} Tasks of {self.name}: {counts}.")

    def __reduce__(self) -> tuple[Callable[[str], Domain], tuple[str]]:
        """Pickled and copied by its name: it is shared, large, and never written."""
        return _by_name, (self.name,)

    @cached_property
    def written_tables(self) -> frozenset[str]:
        """Tables that some tool writes."""
        return frozenset().union(*(self.written or {}).values())

    @cached_property
    def base_texts(self) -> dict[tuple[str, str], str]:
        """The canonical text of every record of the base; large, and made only where it is needed."""
        return texts(self.data)

    @cached_property
    def schemas(self) -> Callable[[], list[dict[str, Any]]]:
        """Gives the tools' schemas, built afresh at every call."""
        return copier([dict(tool.schema) for tool in self.tools.values()])

    def expected_changes(self, task: Task) -> Mapping[tuple[str, str], str]:
        """The records that the task's expected calls change; computed once per task and process."""
        found = self._expected.get(task.hash)
        if found is None:
            world = World(self)
            for call in task.expected_calls:
                if call.name not in self.terminal:
                    world.call(call)
            found = self._expected[task.hash] = world.changed()
        return found


def _by_name(name: str) -> Domain:
    found: Domain = importlib.import_module("usersim_env.domains").get_domain(name)  # which imports this file
    return found


class World:
    """One episode's database. Unmodified tools run on it; the shared base is never written."""

    __slots__ = ("_copy", "_overlay", "domain")

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self._overlay: Overlay | None = None
        self._copy: dict[str, Any] | None = None
        if domain.written is None:
            self._copy = copy.deepcopy({name: dict(table) for name, table in domain.data.items()})
        else:
            self._overlay = Overlay(domain.data, domain.written_tables)

    def __getstate__(self) -> tuple[Domain, Any, dict[str, Any] | None]:
        return self.domain, self._overlay.state() if self._overlay is not None else None, self._copy

    def __setstate__(self, state: tuple[Domain, Any, dict[str, Any] | None]) -> None:
        self.domain, touched, self._copy = state
        self._overlay = None
        if touched is not None:
            self._overlay = Overlay(self.domain.data, self.domain.written_tables)
            self._overlay.restore(touched)

    def fresh(self) -> World:
        """A new world of the same domain, untouched."""
        return World(self.domain)

    def after(self, events: Iterable[Mapping[str, Any]]) -> World:
        """A new world of the same domain, in which the tool calls of a conversation's events were made."""
        world = self.fresh()
        for event in events:
            if event["event"] == "act" and "result" in event and not event.get("refused"):
                world.call(ToolCall(event["name"], event["arguments"]))
        return world

    def call(self, call: ToolCall) -> ToolResult:
        """Runs a tool. Whatever is wrong inside becomes a readable text, as in τ-bench; nothing is raised."""
        if call.name not in self.domain.tools:
            return ToolResult(call.name, f"Unknown action {call.name}", error=True)
        try:
            text = self.run(call)
        except Exception as error:
            return ToolResult(call.name, f"Error: {error}", error=True)
        return ToolResult(call.name, text, error=text.startswith("Error"))

    def run(self, call: ToolCall) -> str:
        """Runs a tool that there is, and lets through what it raises; a `TypeError` when it returns no text."""
        tool = self.domain.tools[call.name]
        arguments = checked(call.arguments)
        text = tool.guard(arguments) if tool.guard is not None else None
        if text is None:
            text = tool.invoke(data=self._data(call.name), **arguments)
        if type(text) is not str:
            raise TypeError(f"{call.name} returned no text")
        return text

    def _data(self, tool: str) -> dict[str, Any]:
        if self._overlay is None:
            assert self._copy is not None
            return self._copy
        assert self.domain.written is not None
        return self._overlay.writer if tool in self.domain.written else self._overlay.reader

    def changed(self) -> dict[tuple[str, str], str]:
        """Records whose content differs from the start: (table, key) → canonical text."""
        if self._overlay is not None:
            return self._overlay.changed()
        before, after = self.domain.base_texts, texts(self._copy or {})
        return {at: after.get(at, "") for at in before.keys() | after.keys() if after.get(at) != before.get(at)}

    def digest(self) -> str:
        """SHA-256 of what changed; equal digests mean equal databases."""
        return digest(self.changed())

    def upstream_hash(self) -> str:
        """τ-bench's own hash of the whole database (slow: for tests)."""
        if self._copy is not None:
            return sha256(canonical(self._copy))
        return sha256(joined({**self.domain.base_texts, **self.changed()}, self.domain.data))
