"""Episodes as a comparison needs them: numbers and names, not transcripts.

A report over 200,000 episodes is made of a few numbers of each. `read_episodes` keeps those and forgets the rest; the
few conversations that are shown are read again from the file.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import struct
from collections.abc import Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from usersim_env.errors import TraceError
from usersim_env.feedback.behaviour import FEATURES, hidden_turns
from usersim_env.feedback.values import Failure, Feedback
from usersim_env.messages import Message
from usersim_env.traces.file import latest, located, trace_at
from usersim_env.traces.trace import JsonDict, Provenance, Seat, Terms, Trace

T = TypeVar("T", bound=Hashable)

_NAMES = ("n_turns", *FEATURES)
_NOTES = ("keep", "batch", "run", "source_kind", "cost")
_RECORD = ("reward", "survey")


_DOUBLE = struct.Struct("d")


def _packed(values: Iterable[float]) -> bytes:
    found = list(values)
    return struct.pack(f"{len(found)}d", *found)


def _unpacked(content: bytes) -> tuple[float, ...]:
    return struct.unpack(f"{len(content) // 8}d", content)


class Signals(Mapping[str, float]):
    """Named numbers in little room: the names are one object for all episodes that have the same.

    Args:
        places: name → where its number begins, in bytes.
        values: the numbers in that order.
    """

    __slots__ = ("_places", "_values")

    def __init__(self, places: Mapping[str, int], values: Iterable[float]) -> None:
        self._places, self._values = places, _packed(values)

    def __getitem__(self, name: str) -> float:
        number: float = _DOUBLE.unpack_from(self._values, self._places[name])[0]
        return number

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class Episode:
    """One episode of a file, read for its numbers. It has the attributes of a `Trace` that a comparison looks at.

    Equal parts of many episodes (seats, terms, names) are one object: nothing may be changed.

    Args:
        trace: the episode.
        path: of its file.
        offset: of its line, in bytes.
        shared: keeps what several episodes have in common.
    """

    __slots__ = (
        "_answers",
        "_asked",
        "_behaviour",
        "_cost",
        "_offset",
        "_path",
        "_seconds",
        "_software",
        "agent",
        "domain",
        "ended_by",
        "failure",
        "hidden",
        "id",
        "lazy_open",
        "max_steps",
        "reward",
        "scoring",
        "seed",
        "signals",
        "source",
        "talked",
        "task_hash",
        "task_id",
        "terms",
        "user",
    )

    def __init__(self, trace: Trace, path: Path, offset: int, shared: Shared) -> None:
        self.id, self.seed = trace.id, trace.seed
        self.task_id, self.task_hash = shared.text(trace.task_id), shared.text(trace.task_hash)
        self.domain, self.scoring = shared.text(trace.domain), shared.text(trace.scoring)
        self.max_steps, self.ended_by = trace.max_steps, shared.text(trace.ended_by)
        self.agent, self.user = shared.seat(trace.agent), shared.seat(trace.user)
        self.terms: Terms = shared.one(trace.terms)
        self.failure: Failure | None = shared.one(trace.failure)
        self.reward: float | None = shared.one(trace.reward)
        self.lazy_open = trace.lazy_open
        survey = trace.survey
        self._asked = None if survey is None else shared.one(tuple(survey))
        self._answers = () if survey is None else tuple(map(shared.text, survey.values()))
        signals = _signals(trace)
        self.signals: Mapping[str, float] = Signals(shared.places(tuple(signals)), signals.values())
        self.source: JsonDict = shared.source(trace.source)
        messages = trace.messages
        self.talked = bool(messages)
        """Whether anybody said anything."""
        self.hidden = hidden_turns([message.content for message in messages if message.role == "user"])
        """Turns whose phrases curly apostrophes hide."""
        features = trace.behaviour if trace.behaviour is not None else trace.feedback.behaviour
        self._behaviour = None if features is None else _packed([features[name] for name in _NAMES])
        made = trace.provenance
        self._software = shared.software(made)
        self._seconds, self._cost = made.seconds, made.cost
        self._path, self._offset = path, offset

    @property
    def valid(self) -> bool:
        """As `Trace.valid`."""
        return self.reward is not None

    @property
    def human(self) -> bool:
        """As `Trace.human`."""
        return self.user.kind == "human"

    @property
    def survey(self) -> dict[str, str] | None:
        """As `Trace.survey`."""
        return None if self._asked is None else dict(zip(self._asked, self._answers, strict=True))

    def answer(self, field: str) -> str | None:
        """The answer to one question of the survey."""
        return self._answers[self._asked.index(field)] if self._asked and field in self._asked else None

    @property
    def behaviour(self) -> dict[str, float] | None:
        """The 19 features and ``n_turns``; ``None`` without a user turn."""
        return None if self._behaviour is None else dict(zip(_NAMES, _unpacked(self._behaviour), strict=True))

    @property
    def provenance(self) -> Provenance:
        """As `Trace.provenance`; the start to the minute."""
        package, upstream, started = self._software
        return Provenance(package, dict(upstream), started, self._seconds, self._cost)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The visible turns, read again from the file."""
        return self.whole().messages

    @property
    def feedback(self) -> Feedback:
        """As `Trace.feedback`, read again from the file."""
        return self.whole().feedback

    def whole(self) -> Trace:
        """The trace.

        Raises:
            TraceError: the file has changed since it was read.
        """
        try:
            trace = trace_at(self._path, self._offset)
        except (TraceError, OSError):
            trace = None
        if trace is None or trace.id != self.id:
            raise TraceError(f"{self._path} has changed since episode {self.id} was read. Compare again.")
        return trace


AnyEpisode: TypeAlias = Trace | Episode
"""What a comparison takes: traces, or what `read_episodes` kept of them."""


def answer_of(episode: AnyEpisode, field: str) -> str | None:
    """The answer to one question of the survey; ``None`` where it was not asked."""
    return episode.answer(field) if isinstance(episode, Episode) else (episode.survey or {}).get(field)


def hidden_of(episode: AnyEpisode) -> int:
    """Turns of the user side whose phrases curly apostrophes hide."""
    if isinstance(episode, Episode):
        return episode.hidden
    return hidden_turns([message.content for message in episode.messages if message.role == "user"])


def lost(episode: AnyEpisode) -> AnyEpisode:
    """The same episode with a rule reward of 0."""
    signals = {**episode.signals, "rule": 0.0}
    if isinstance(episode, Trace):
        return dataclasses.replace(episode, reward=0.0, signals=signals)
    found = copy.copy(episode)
    found.reward, found.signals = 0.0, signals
    return found


class Shared:
    """Parts that many episodes have in common, each kept once."""

    def __init__(self) -> None:
        self._kept: dict[Any, Any] = {}

    def one(self, value: T) -> T:
        """An equal value that was seen before, or this one."""
        found: T = self._kept.setdefault((type(value), value), value)
        return found

    text = one

    def places(self, names: tuple[str, ...]) -> Mapping[str, int]:
        """Where the number of each name begins in `Signals`."""
        found: Mapping[str, int] | None = self._kept.get((Signals, names))
        if found is None:
            found = self._kept[Signals, names] = {name: 8 * number for number, name in enumerate(names)}
        return found

    def seat(self, seat: Seat) -> Seat:
        """A seat with the notes that a comparison looks at; what it cost is known from the trace."""
        notes = {name: None if name == "cost" else seat.notes[name] for name in _NOTES if name in seat.notes}
        slim = Seat(seat.kind, seat.name, seat.settings, seat.privileged, notes)
        key = Seat, seat.kind, seat.name, seat.privileged, _key(seat.settings), _key(notes)
        found: Seat = self._kept.setdefault(key, slim)
        return found

    def source(self, source: Mapping[str, Any]) -> JsonDict:
        """What the index asks of an imported record."""
        if not source:
            return self._kept.setdefault((dict, "source"), {})  # type: ignore[no-any-return]
        record = source.get("record", {})
        kept = {name: record[name] for name in _RECORD if name in record}
        return {"format": self.one(source.get("format")), "key": source.get("key"), "record": kept}

    def software(self, made: Provenance) -> tuple[str, tuple[tuple[str, str], ...], str]:
        """Versions, and when it was recorded, to the minute."""
        return self.one((made.package, tuple(made.upstream.items()), made.started[:16]))


def _key(table: Mapping[str, Any]) -> Hashable:
    """Equal for equal tables alone; ``1`` and ``True`` are not equal here."""
    flat = tuple((name, type(value), value) for name, value in table.items())
    try:
        hash(flat)
    except TypeError:
        return json.dumps(table, default=str)
    return flat


def _signals(trace: Trace) -> dict[str, float]:
    found = dict(trace.signals) or dict(trace.feedback.signals)
    return found if trace.reward is None else found | {"rule": trace.reward}


def read_episodes(path: str | os.PathLike[str]) -> list[Episode]:
    """What a comparison needs of the traces of a file, without failed episodes that a later line has run again.

    It takes 800 to 900 bytes for an episode, whatever its length.

    Raises:
        TraceError: as `usersim_env.traces.file.iter_traces`.
    """
    shared, place = Shared(), Path(path)
    return latest(Episode(trace, place, offset, shared) for offset, trace in located(path))
