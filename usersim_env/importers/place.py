"""Which task a foreign record belongs to: one of ours by id or by content, one that it carries, or one unknown here."""

from __future__ import annotations

from dataclasses import dataclass

from usersim_env.domains import LOADERS, Task, get_domain, get_task
from usersim_env.errors import UnknownName
from usersim_env.traces.recorded_task import task_to_json
from usersim_env.traces.trace import JsonDict


@dataclass(frozen=True)
class Place:
    """For `Trace.task_id`, ``task_hash``, ``domain`` and ``task``; the empty text is what nobody knows."""

    task_id: str = ""
    task_hash: str = ""
    domain: str = ""
    task: JsonDict | None = None

    @property
    def here(self) -> Task | None:
        """The task with that id here, whatever its content."""
        try:
            return get_task(self.task_id)
        except UnknownName:
            return None

    @property
    def terminal(self) -> frozenset[str]:
        """The tools that end an episode of the domain."""
        return get_domain(self.domain).terminal if self.domain in LOADERS else frozenset()

    def parameter_types(self, tool: str) -> dict[str, str]:
        """Parameter → JSON type of a tool of the domain; empty for a tool that it does not have."""
        known = get_domain(self.domain).tools.get(tool) if self.domain in LOADERS else None
        properties = known.schema["function"]["parameters"].get("properties", {}) if known is not None else {}
        return {name: str(schema.get("type", "string")) for name, schema in properties.items()}


def by_id(task_id: str) -> Place:
    """The place of a task that is named alone; its hash is ours where it is one of ours, else unknown."""
    place = Place(task_id, domain=task_id.split("/")[0])
    task = place.here
    return place if task is None else Place(task.id, task.hash, task.domain)


def by_content(task: Task) -> Place:
    """The place of a task that a record carries.

    Ours where the content is the same, whatever the number; else the id of the record with the task itself attached,
    which is how an older text of a task is kept apart from ours.
    """
    named = Place(task.id).here
    if named is not None and named.hash == task.hash:
        return Place(task.id, task.hash, task.domain)
    for split in get_domain(task.domain).splits if task.domain in LOADERS else ():
        for ours in get_domain(task.domain).tasks(split):
            if ours.hash == task.hash:
                return Place(ours.id, ours.hash, ours.domain)
    return Place(task.id, task.hash, task.domain, task_to_json(task))
