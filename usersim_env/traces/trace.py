"""Traces: one finished or broken-off episode, one JSON line; the common currency of everything that follows."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from usersim_env.conversation.rules import MAX_CHARS, Rules
from usersim_env.domains.task import Task
from usersim_env.feedback.survey import Survey
from usersim_env.feedback.values import Effort, Failure, Feedback, Replayed
from usersim_env.messages import RESPOND, Message

SCHEMA = 1
"""Version of the line format; a reader refuses newer ones."""

JsonDict: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Seat:
    """Who sat in a seat.

    Attributes:
        kind: ``agent``, or for the user side ``human``, ``llm``, ``agenda``, ``scripted``, ``replay`` or ``mixed``.
        name: of the agent, persona or model.
        settings: everything that tells it from another of its kind.
        privileged: an agent that looks the task's expected calls up; every report says so.
        notes: what the seat wants known about this episode.
    """

    kind: str
    name: str
    settings: JsonDict = field(default_factory=dict)
    privileged: bool = False
    notes: JsonDict = field(default_factory=dict)


@dataclass(frozen=True)
class Terms:
    """What may be done with a trace.

    Attributes:
        licence: in words.
        training: whether models may be trained on it.
        sharing: whether it may be passed on to others; ``None`` where nobody has said.
    """

    licence: str = "MIT (tasks: tau-bench, MIT)"
    training: bool = True
    sharing: bool | None = None


NOT_ASKED = Terms("of the person who typed; not stated", training=False, sharing=False)
"""Terms of what a person typed whom nobody has asked."""


@dataclass(frozen=True)
class Provenance:
    """Where a trace comes from; times in seconds, cost in US dollars (``None``: unknown).

    Attributes:
        package: version of usersim_env.
        upstream: package and version that the domain was read from.
        started: UTC, ISO 8601.
    """

    package: str
    upstream: dict[str, str]
    started: str
    seconds: float
    cost: float | None = None


@dataclass(frozen=True, repr=False)
class Trace:
    """One episode.

    Attributes:
        id: what makes the episode this one (task, seats, seed, rules), hashed; equal for a repetition.
        events: what the conversation was told, in order; `Conversation.restore` plays them.
        ended_by: ``user``, ``transfer``, ``limit``, ``failure``, ``recording`` (one that played the user side had no
            more turns: not scored), ``cut`` for an episode that was broken off, or ``agent`` where another program let
            the agent end it.
        reward: the rule reward; ``None`` when the episode is not scored.
        survey: answers by field, or ``None``.
        scoring: version of the scoring rules.
        recording: how far a recording that played the user side was followed.
        task: the task itself where it is not the one with its id here; see `recorded_task`.
        max_chars: characters that a message of the agent could have; ``None``: no limit, or not known.
        source: of an imported trace: the format, and everything of the record that has no place here.
    """

    id: str
    task_id: str
    task_hash: str
    domain: str
    agent: Seat
    user: Seat
    seed: int
    max_steps: int
    events: tuple[JsonDict, ...]
    ended_by: str
    reward: float | None
    checks: dict[str, bool]
    survey: dict[str, str] | None
    failure: Failure | None
    effort: Effort
    provenance: Provenance
    behaviour: dict[str, float] | None = None
    signals: dict[str, float] = field(default_factory=dict)
    terms: Terms = field(default_factory=Terms)
    lazy_open: bool = False
    asks_survey: bool = True
    scoring: str = ""
    recording: Replayed | None = None
    task: JsonDict | None = None
    max_chars: int | None = None
    source: JsonDict = field(default_factory=dict)
    schema: int = SCHEMA

    @property
    def valid(self) -> bool:
        """Whether the episode ended and is scored."""
        return self.reward is not None

    @property
    def human(self) -> bool:
        """Whether a person sat in the user's seat; nothing else may be called human or real."""
        return self.user.kind == "human"

    @property
    def rules(self) -> Rules:
        """The rules it was played by, for `Conversation.restore`."""
        return Rules(self.max_steps, self.asks_survey, self.lazy_open, self.max_chars)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The visible turns of both seats."""
        found = []
        for event in self.events:
            if event["event"] == "act" and event["name"] == RESPOND and "result" not in event:
                found.append(Message("agent", event["arguments"]["content"]))
            elif event["event"] in ("say", "stop") and (event["event"] == "say" or event["content"].strip()):
                found.append(Message("user", event["content"]))
        return tuple(found)

    @property
    def feedback(self) -> Feedback:
        """The feedback as the env gave it."""
        messages = self.messages
        return Feedback(
            reward=self.reward,
            checks=self.checks,
            survey=None if self.survey is None else Survey(self.survey),
            effort=self.effort,
            user_texts=tuple(m.content for m in messages if m.role == "user"),
            n_messages=len(messages),
            recording=self.recording,
        )

    def __repr__(self) -> str:
        """One line: a notebook would print all events otherwise."""
        reward = "not scored" if self.reward is None else f"reward {self.reward:g}"
        seats = f"{self.user.kind} user side, agent {self.agent.name:.60}"
        failed = "" if self.failure is None else f" ({self.failure.side}:{self.failure.kind:.40})"
        end = f"{len(self.events)} events, ended by {self.ended_by}{failed}, {reward}"
        return f"<Trace {self.id:.20} of {self.task_id:.80}: {seats}, seed {self.seed}, {end}>"

    def to_line(self) -> bytes:
        """The trace as one line of JSON, with its newline. Lone surrogates survive as escapes."""
        try:
            return _json(self, ensure_ascii=False).encode() + b"\n"
        except UnicodeEncodeError:
            return _json(self, ensure_ascii=True).encode() + b"\n"


def _json(trace: Trace, ensure_ascii: bool) -> str:
    # Not dataclasses.asdict, which copies every event first and takes most of the time.
    return json.dumps(vars(trace), ensure_ascii=ensure_ascii, allow_nan=False, separators=(",", ":"), default=_fields)


def _fields(value: object) -> JsonDict:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return vars(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def episode_id(task: Task, agent: Seat, user: Seat, seed: int, rules: Rules) -> str:
    """Sixteen hex digits that are equal for two runs of the same episode and differ otherwise.

    The task's id counts beside its hash: retail/test/93 and 95 are the same task twice.
    """
    seats = [[seat.kind, seat.name, seat.settings] for seat in (agent, user)]
    limits = dataclasses.asdict(rules)
    if rules.max_chars == MAX_CHARS:  # came later: the ids of before are those of the default
        del limits["max_chars"]
    parts = json.dumps([task.id, task.hash, seats, seed, limits], sort_keys=True, default=str)
    return hashlib.sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()[:16]
