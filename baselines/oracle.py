"""`Oracle`: plays what the task expects. It must score 1.0 on every task; where it does not, the engine is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from usersim_env.agent import Action, Observation
from usersim_env.domains import Task, get_domain, get_task
from usersim_env.messages import RESPOND

CLOSING = "Everything is done. Thank you for your patience, and goodbye."


@dataclass(frozen=True)
class Oracle:
    """Privileged: looks up the task's expected calls and required outputs by the task id, and plays them.

    The calls come first and without a word, so that a user side that loses its patience cannot stop them. The outputs
    follow in one turn, before a call that ends the episode. An expected call may return an error: that is part of
    what is expected.
    """

    name: ClassVar[str] = "oracle"
    privileged: ClassVar[bool] = True

    def begin(self, info: Mapping[str, Any], seed: int) -> _OracleSession:
        """Starts one episode of ``info["task_id"]``; nothing is drawn.

        Raises:
            UnknownName: no such task.
        """
        return _OracleSession(get_task(info["task_id"]))

    def describe(self) -> dict[str, Any]:
        """No settings."""
        return {}


class _OracleSession:
    def __init__(self, task: Task) -> None:
        self._actions = _script(task)

    def act(self, observation: Observation) -> Action:
        return next(self._actions)


def _script(task: Task) -> Iterator[Action]:
    """The episode's actions, without end: whatever comes back, the next one is the same."""
    terminal = get_domain(task.domain).terminal
    for call in task.expected_calls:
        if call.name not in terminal:
            yield {"name": call.name, "arguments": dict(call.arguments)}
    if task.required_outputs:
        yield _say(f"Here is what you need to know: {'; '.join(task.required_outputs)}.")
    for call in task.expected_calls:
        if call.name in terminal:
            yield {"name": call.name, "arguments": dict(call.arguments)}
    while True:
        yield _say(CLOSING)


def _say(content: str) -> Action:
    return {"name": RESPOND, "arguments": {"content": content}}
