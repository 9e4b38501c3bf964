"""What an env is made with beside its domain and its user side, the same for every face of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from usersim_env.agent import Agent, seat_of
from usersim_env.conversation.rules import MAX_CHARS
from usersim_env.domains import Task, get_domain
from usersim_env.errors import UsageError
from usersim_env.traces.trace import Seat


@dataclass(frozen=True)
class EnvSettings:
    """Tasks, limits, survey and recording.

    Attributes:
        split: the tasks to draw from: ``test``, ``train`` or ``dev``.
        tasks: ids to draw from instead of the whole split.
        survey: whether the user side is asked to fill in the survey at the end.
        max_steps: agent steps after which an episode is truncated.
        max_chars: characters of one message of the agent; a longer one is refused (`Rules.max_chars`).
        record: a file that every episode is appended to as a trace.
        agent: what the agent is called in traces: a name, or an `Agent`, whose settings are written down too. Two
            agents of one name and settings are one agent to a gap report.
    """

    split: str = "test"
    tasks: Sequence[str] | None = None
    survey: bool = True
    max_steps: int = 200
    max_chars: int | None = MAX_CHARS
    record: str | os.PathLike[str] | None = None
    agent: str | Agent = "unnamed"

    def __post_init__(self) -> None:
        if self.record is not None and not isinstance(self.record, str | os.PathLike):
            raise UsageError(f"record is the path of a file of traces, got {self.record!r}.")
        if not self.agent:
            raise UsageError(f"agent is a name such as 'my-policy', or an Agent, got {self.agent!r}.")

    @property
    def agent_seat(self) -> Seat:
        """The agent as traces name it."""
        return Seat("agent", self.agent) if isinstance(self.agent, str) else seat_of(self.agent)

    def chosen(self, domain: str) -> tuple[Task, ...]:
        """The tasks to draw from.

        Raises:
            UnknownName: a split or task that the domain does not have.
            UsageError: no list of ids.
        """
        found = get_domain(domain)
        if self.tasks is None:
            return found.tasks(self.split)
        if isinstance(self.tasks, str) or not self.tasks:
            raise UsageError(f"tasks is a list of task ids such as ['{domain}/test/0'], got {self.tasks!r}.")
        return tuple(found.task(task_id) for task_id in self.tasks)
