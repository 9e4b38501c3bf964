"""The oracle's moves as the texts and messages that a model would write."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from usersim_env import ScriptedUser
from usersim_env.adapters import EpisodeSettings
from usersim_env.baselines import Oracle
from usersim_env.errors import UserSideError
from usersim_env.messages import RESPOND

Move = Callable[[], Any]


def hermes(action: dict[str, Any]) -> str:
    if action["name"] == RESPOND:
        return str(action["arguments"]["content"])
    return f"<tool_call>{json.dumps(action)}</tool_call>"


def react(action: dict[str, Any]) -> str:
    if action["name"] == RESPOND:
        return f"Final Answer: {action['arguments']['content']}"
    return f"Action: {action['name']}\nAction Input: {json.dumps(action['arguments'])}"


def message(action: dict[str, Any]) -> dict[str, Any]:
    if action["name"] == RESPOND:
        return {"role": "assistant", "content": action["arguments"]["content"]}
    function = {"name": action["name"], "arguments": json.dumps(action["arguments"])}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "type": "function", "function": function}]}


WRITERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "hermes": hermes,
    "react": react,
    "message": message,
    "call": lambda action: action,
}


@pytest.fixture(scope="session")
def oracle() -> Callable[[str, str], Move]:
    """Of a task's id and a way to write: the next move at each call."""

    def begin(task_id: str, writes: str) -> Move:
        session = Oracle().begin({"task_id": task_id}, seed=0)
        return lambda: WRITERS[writes](session.act({"role": "user", "name": "user", "content": ""}))

    return begin


@pytest.fixture
def outage() -> EpisodeSettings:
    """A user side that breaks at its first reply."""
    user = ScriptedUser(("Hello.", UserSideError("The line is dead.", "outage")))
    return EpisodeSettings("TauMock-v0", {"user": user})


@pytest.fixture
def dead() -> EpisodeSettings:
    """A user side that breaks at its opening."""
    return EpisodeSettings("TauMock-v0", {"user": ScriptedUser((UserSideError("Nobody there.", "outage"),))})
