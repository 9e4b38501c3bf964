"""A trace from recorded events and from what else a record says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from usersim_env.conversation.rules import Rules
from usersim_env.errors import UsageError
from usersim_env.feedback.behaviour import features_of_turns
from usersim_env.feedback.survey import Survey
from usersim_env.feedback.values import Effort, Failure, Feedback
from usersim_env.importers.place import Place
from usersim_env.importers.recording import Event, Recorder
from usersim_env.messages import RESPOND
from usersim_env.traces.trace import JsonDict, Provenance, Seat, Terms, Trace
from usersim_env.version import __version__

USER_KINDS = ("human", "llm", "agenda", "scripted", "replay", "mixed")
UNKNOWN = "unknown"
"""Kind of a user side that neither the file nor the caller names; and the name of a seat without one."""

NOT_STATED = Terms("not stated in the file", training=True)
"""Terms of a file that says nothing; its owner may know better."""


@dataclass(frozen=True)
class ImportSettings:
    """What the caller knows and the files do not say.

    Attributes:
        user: who sat in the user's seat: a kind, or ``kind:name`` such as ``llm:gpt-4o``; ``None``: see the
            format.
        split: of the tasks of τ-bench's files.
        terms: of files that state none; tau-usi's own cannot be changed.
        skip_broken: leave broken records out and list them.
        agent: who sat in the agent's seat, where the file does not say.
        domain: of the tasks, where the file does not say.
    """

    user: str | None = None
    split: str = "test"
    terms: Terms | None = None
    skip_broken: bool = False
    agent: str | None = None
    domain: str | None = None

    def __post_init__(self) -> None:
        if self.user is not None and self.user.partition(":")[0] not in USER_KINDS:
            kinds = ", ".join(USER_KINDS)
            raise UsageError(
                f"The user's seat is one of {kinds}, with or without a name (llm:gpt-4o); got {self.user!r}."
            )

    def agent_seat(self, name: str | None = None, **settings: object) -> Seat:
        """The agent's seat: as the file says, else as the caller does."""
        return Seat("agent", name or self.agent or UNKNOWN, settings)

    def seat(self, kind: str, name: str = UNKNOWN, notes: JsonDict | None = None, **settings: object) -> Seat:
        """The user's seat: as the caller says, else as the file does."""
        if self.user is not None:
            kind, _, given = self.user.partition(":")
            name = given or (kind if kind == "human" else name)
        return Seat(kind, name, settings, notes=notes or {})


@dataclass(frozen=True)
class Record:
    """What a record says beside its messages; ``None`` and empty: nothing.

    Attributes:
        format: name of the format.
        key: names the episode in its file.
        ended_by: in words of `Trace.ended_by`, or ``agent`` where the agent ended it.
        started, seconds: as in `Provenance`.
        rest: every other field, verbatim.
        assumed: fields of the trace that the record does not hold and a trace must have.
    """

    format: str
    key: str
    place: Place
    agent: Seat
    user: Seat
    ended_by: str
    reward: float | None
    terms: Terms
    rest: JsonDict
    checks: dict[str, bool] = field(default_factory=dict)
    survey: dict[str, str] | None = None
    behaviour: dict[str, float] | None = None
    failure: Failure | None = None
    started: str | None = None
    seconds: float | None = None
    cost: float | None = None
    seed: int | None = None
    max_steps: int | None = None


def crashed(recorder: Recorder, message: str) -> tuple[str, Failure]:
    """How a record ended that says it failed; also where a stop stood before, since something failed after it."""
    if recorder.ended_by is None:
        recorder.fail("file", "crashed", message)
    return "failure", Failure("file", "crashed", message)


def trace_of(record: Record, recorder: Recorder, layout: list[JsonDict]) -> Trace:
    """The trace; what the record does not hold and a trace must have is listed in ``source["assumed"]``."""
    events = recorder.events
    survey = None
    if record.survey and record.ended_by in ("user", "transfer"):
        survey = record.survey
        events.append({"event": "survey", "answers": survey})
    steps = sum(event["event"] == "act" for event in events)
    user, agent = _words(events)
    effort = _effort(events, user, agent)
    behaviour = record.behaviour or features_of_turns(user, 0)
    said = len(user) + sum(bool(text.strip()) for text in agent)
    given = {"started": record.started, "seconds": record.seconds, "seed": record.seed, "max_steps": record.max_steps}
    feedback = Feedback(record.reward, record.checks, Survey(record.survey) if record.survey else None, effort)
    return Trace(
        id=_id(record, events),
        task_id=record.place.task_id,
        task_hash=record.place.task_hash,
        domain=record.place.domain,
        agent=record.agent,
        user=record.user,
        seed=record.seed or 0,
        max_steps=record.max_steps or max(Rules().max_steps, steps + 1),
        events=tuple(events),
        ended_by=record.ended_by,
        reward=record.reward,
        checks=record.checks,
        survey=record.survey or None,
        failure=record.failure,
        effort=effort,
        provenance=_provenance(record),
        # The features of a format may come from its raw messages, of which each format counts others.
        behaviour=None if behaviour is None else behaviour | {"n_turns": float(said)},
        signals=feedback.signals,
        terms=record.terms,
        lazy_open=recorder.lazy_open,
        asks_survey=survey is not None,
        task=record.place.task,
        source={
            "format": record.format,
            "key": record.key,
            "record": record.rest,
            "messages": layout,
            "assumed": [name for name, value in given.items() if value is None],
        },
    )


def _provenance(record: Record) -> Provenance:
    return Provenance(__version__, {"format": record.format}, record.started or "", record.seconds or 0.0, record.cost)


def _id(record: Record, events: Sequence[Event]) -> str:
    """Equal for the same record of the same file, whatever is read into it beside the talk."""
    parts = [record.format, record.key, record.place.task_id, record.place.task_hash, events]
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _words(events: Sequence[Event]) -> tuple[list[str], list[str]]:
    """The turns of the user side and of the agent."""
    user = [e["content"] for e in events if e["event"] == "say" or (e["event"] == "stop" and e["content"].strip())]
    agent = [e["arguments"]["content"] for e in events if e.get("name") == RESPOND and "result" not in e]
    return user, agent


def _effort(events: Sequence[Event], user: Sequence[str], agent: Sequence[str]) -> Effort:
    tools = [e for e in events if "result" in e]
    return Effort(
        user_turns=len(user),
        user_words=sum(len(text.split()) for text in user),
        agent_turns=len(agent),
        agent_words=sum(len(text.split()) for text in agent),
        tool_calls=len(tools),
        tool_errors=sum(1 for e in tools if e.get("error")),
    )
