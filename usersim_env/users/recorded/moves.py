"""What an agent did between two turns of the user side, read from the events of an episode."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from usersim_env.domains import Domain, World
from usersim_env.messages import RESPOND, ToolCall

Closing = Literal["respond", "transfer", "none"]
"""How a stretch of agent steps ended: it spoke, it left the customer to somebody else, or neither (yet)."""


@dataclass(frozen=True)
class Moves:
    """One stretch of agent steps.

    Attributes:
        closing: how it ended.
        text: what was said to the user side; empty unless ``closing`` is ``respond``.
        changed: records of the world that differ from the start of the *episode*: (table, key) → canonical text.
        calls: names of the tools called, in order.
    """

    closing: Closing = "none"
    text: str = ""
    changed: Mapping[tuple[str, str], str] = field(default_factory=dict)
    calls: tuple[str, ...] = ()


class MoveReader:
    """Reads events in order; `moves` is what the agent has done since the last turn of the user side.

    It plays the writing calls on a world of its own, so that effects are known without the episode's world: the
    tools are deterministic, and a call that cannot write changes nothing.
    """

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self._world = World(domain)
        self._acts: list[Mapping[str, Any]] = []
        self._seen = 0

    def read(self, events: Sequence[Mapping[str, Any]]) -> Moves:
        """Takes in what is new in the events of an episode, and returns the stretch that is going on."""
        for event in events[self._seen :]:
            self.take(event)
        self._seen = len(events)
        return self.moves()

    def take(self, event: Mapping[str, Any]) -> None:
        """Takes in one event; a turn of the user side begins a new stretch."""
        if event["event"] in ("say", "stop"):
            self._acts.clear()
        elif event["event"] == "act":
            self._acts.append(event)
            if self._may_write(event):
                self._world.call(ToolCall(event["name"], event["arguments"]))

    def moves(self) -> Moves:
        """What the agent has done since the last turn of the user side."""
        last = self._acts[-1] if self._acts else None
        closing = _closing(last, self._domain.terminal)
        text = last["arguments"]["content"] if last is not None and closing == "respond" else ""
        return Moves(closing, text, self._world.changed(), tuple(_calls(self._acts)))

    def _may_write(self, event: Mapping[str, Any]) -> bool:
        if event["name"] == RESPOND or event.get("refused"):
            return False
        return self._domain.written is None or event["name"] in self._domain.written


def _closing(last: Mapping[str, Any] | None, terminal: frozenset[str]) -> Closing:
    if last is None:
        return "none"
    if last["name"] == RESPOND and "result" not in last:
        return "respond"
    return "transfer" if last["name"] in terminal and not last.get("refused") else "none"


def _calls(acts: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    return (act["name"] for act in acts if act["name"] != RESPOND)
