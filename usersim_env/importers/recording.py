"""A foreign conversation as events, in an order that `Conversation.restore` takes.

Recordings are looser than the machine: a seat may speak twice, words may stand before a tool call, a chat may go on
after its end. What has no place in the events stays in the layout (see `layout`), so nothing is lost.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from usersim_env.errors import TraceError
from usersim_env.feedback.values import Failure
from usersim_env.importers.fields import plain
from usersim_env.messages import RESPOND

Event = dict[str, Any]
_JOINT = "\n\n"


class Recorder:
    """Builds the events of one episode.

    Args:
        terminal: tools that end the episode.
        where: file and record, for errors.

    Attributes:
        events: for `Trace.events`. Beside what the machine writes an event may hold ``thoughts`` and ``text`` (what the
            agent wrote beside a call and did not say), ``call_id``, ``parts`` (words said in several messages),
            ``implied`` (a turn that the recording passed over) and ``no_result`` (a call whose result is not recorded).
        entries: every message with its events.
        ended_by: ``user``, ``transfer``, ``failure`` or ``None``.
        notes: what a reader of the import should know.
    """

    def __init__(self, terminal: Collection[str], where: str) -> None:
        self.where = where
        self.events: list[Event] = []
        self.entries: list[tuple[Mapping[str, Any], list[Event]]] = []
        self.ended_by: str | None = None
        self.notes: list[str] = []
        self._terminal = terminal
        self._pending: list[tuple[str | None, Event]] = []
        self._held: list[str] = []
        self._thoughts: list[str] = []
        self._late = 0
        self._mine: list[Event] | None = None

    def begin(self, message: Mapping[str, Any]) -> None:
        """What follows comes from this message."""
        self._mine = []
        self.entries.append((message, self._mine))

    def close(self) -> None:
        """No message stands for what follows."""
        self._mine = None

    # -- the agent -------------------------------------------------------------------------------------------------

    def think(self, text: str) -> None:
        """A private thought; it is kept with the agent's next action."""
        self._thoughts.append(text)

    def respond(self, text: str) -> None:
        """Words of the agent; those of several messages in a row are one turn."""
        if self._over():
            return
        last = self._last()
        if self._open_respond(last):
            _append(last, last["arguments"], text)
            self._own(last)
            return
        event: Event = {"event": "act", "name": RESPOND, "arguments": {"content": text}}
        if self._held:
            self._unhold(event, text)
        self._add(event)

    def call(self, name: str, arguments: object, call_id: str | None = None, text: str | None = None) -> None:
        """A tool call. Words that the agent had just said without an answer are held back for its next turn."""
        if self._over():
            return
        if not isinstance(arguments, dict):
            raise TraceError(f"{self.where}: arguments of {name}: expected an object, got {arguments!r:.80}")
        given: dict[str, Any] = plain(arguments, f"{self.where}: arguments of {name}")
        if name == RESPOND and isinstance(given.get("content"), str):
            self.respond(given["content"])
            return
        last = self._last()
        if self._open_respond(last):
            self.events.pop()
            self._thoughts = last.get("thoughts", []) + self._thoughts
            self._held += [] if last.get("implied") else last.get("parts", [last["arguments"]["content"]])
        event: Event = {"event": "act", "name": name, "arguments": given}
        if text is not None:
            event["text"] = text
        if call_id not in (None, f"call_{len(self.events)}"):  # the id that an exporter makes
            event["call_id"] = call_id
        if name in self._terminal:
            self.ended_by = "transfer"
            if self._held:
                event["text"] = _JOINT.join([*self._held, *([text] if text else [])])
        self._pending.append((call_id, event))
        self._add(event)

    def result(self, content: str, call_id: str | None = None, error: bool | None = None) -> bool:
        """The result of the call with that id; false when there is no such call.

        Where the result has no id, or no call has, results belong to the calls in their order.
        """
        ids = [known for known, _ in self._pending]
        wanted = call_id if call_id in ids or call_id is None else None
        if wanted is None and call_id is not None and None not in ids:
            return False
        number = ids.index(wanted) if wanted in ids else 0
        if number >= len(ids):
            return False
        _, event = self._pending.pop(number)
        event["result"] = content
        if looks_wrong(event["name"], content) if error is None else error:
            event["error"] = True
        self._own(event)
        return True

    # -- the user side ---------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Words of the user side; those of several messages in a row are one turn."""
        if self._over():
            return
        last = self._last()
        if last.get("event") == "say":
            _append(last, last, text)
            self._own(last)
            return
        self._hand_over()
        self._add({"event": "say", "content": text})

    def stop(self, text: str = "", implied: bool = False) -> None:
        """The user side ends the episode; at the opening that is the failure ``stopped_at_open``."""
        if self._over():
            return
        said = sum(event["event"] == "say" for event in self.events)
        last = self._last()
        if said == 0:
            message = f"The user side stopped before it had said anything.{f' Its words: {text}' if text else ''}"
            self.fail("user", "stopped_at_open", message)
            return
        if last.get("event") == "say" and said > 1:
            last["event"] = "stop"
            if text:
                _append(last, last, text)
            self._own(last)
        else:
            self._hand_over()
            last = {"event": "stop", "content": text}
            self._add(last)
        if implied:
            last["implied"] = True
        self.ended_by = "user"

    def fail(self, side: str, kind: str, message: str) -> None:
        """The recording says that the episode failed."""
        self._add({"event": "fail", "side": side, "kind": kind, "message": message})
        self.ended_by = "failure"

    # -- the end ---------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Nothing more comes: words held back become a turn, calls without a result are marked."""
        if self._held and self.ended_by is None:
            self._hand_over()
        for _, event in self._pending:
            event["result"] = ""
            event["no_result"] = True
            self.notes.append(f"the call of {event['name']} has no result")
        self._pending.clear()
        if self._late:
            self.notes.append(f"{self._late} turns after the end of the episode are kept in source alone")

    @property
    def failure(self) -> Failure | None:
        """What the recording says has failed; the last event then."""
        if self.ended_by != "failure":
            return None
        failed = self.events[-1]
        return Failure(failed["side"], failed["kind"], failed["message"])

    @property
    def lazy_open(self) -> bool:
        """Whether the agent acted first."""
        return bool(self.events) and self.events[0]["event"] == "act"

    def _over(self) -> bool:
        self._late += self.ended_by is not None
        return self.ended_by is not None

    def _last(self) -> Event:
        return self.events[-1] if self.events else {}

    @staticmethod
    def _open_respond(event: Event) -> bool:
        return event.get("name") == RESPOND and isinstance(event["arguments"].get("content"), str)

    def _hand_over(self) -> None:
        """After a tool call the machine waits for the agent; a recording in which the user spoke had no words then."""
        last = self._last()
        if last.get("event") == "act" and not self._open_respond(last):
            event: Event = {"event": "act", "name": RESPOND, "arguments": {"content": ""}}
            if self._held:
                self._unhold(event, None)
            else:
                event["implied"] = True
            self._insert(event)
        elif last.get("event") == "say":
            self._insert({"event": "act", "name": RESPOND, "arguments": {"content": ""}, "implied": True})

    def _unhold(self, event: Event, text: str | None) -> None:
        parts = [*self._held, *([] if text is None else [text])]
        event["arguments"] = {"content": _JOINT.join(parts)}
        event["parts"] = parts
        self._held = []

    def _add(self, event: Event) -> None:
        if self._thoughts and event["event"] == "act":
            event["thoughts"], self._thoughts = self._thoughts, []
        self.events.append(event)
        self._own(event)

    def _insert(self, event: Event) -> None:
        """An event that no message stands for."""
        self.events.append(event)

    def _own(self, event: Event) -> None:
        if self._mine is not None and not any(mine is event for mine in self._mine):
            self._mine.append(event)


def _append(event: Event, holder: dict[str, Any], text: str) -> None:
    parts = event.setdefault("parts", [holder["content"]])
    parts.append(text)
    holder["content"] = _JOINT.join(parts)


def looks_wrong(name: str, content: str) -> bool:
    """Whether a tool's answer is an error, as the worlds here tell it."""
    return content.startswith("Error") or content == f"Unknown action {name}"
