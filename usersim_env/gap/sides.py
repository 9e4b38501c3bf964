"""One side of a comparison: its episodes, counted, and the words that may be used for it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from usersim_env.gap.episodes import AnyEpisode
from usersim_env.traces.trace import Seat, Terms

Role = Literal["sim", "reference", "real"]

SYNTHETIC_KINDS = frozenset({"agenda", "llm", "scripted"})
"""Kinds of user side that are programs: always called synthetic, never human."""

ABANDONED = "abandoned"
"""Failure kind of a person who walked off; counted apart from everything else."""

_LONGEST = 200  # characters of a user side's settings
_LABELS: dict[Role, str] = {"sim": "simulated", "reference": "reference", "real": "human"}
_GAP_WORDS: dict[Role, str] = {"sim": "simulated", "reference": "reference", "real": "real"}


@dataclass(frozen=True)
class FailureCount:
    """Episodes that are not scored: whose fault (``user``, ``agent``, ``file``, or ``none``), what, how many."""

    fault: str
    kind: str
    n: int


@dataclass(frozen=True)
class Side:
    """The episodes of one side.

    Attributes:
        role: ``sim``; for the other side ``real`` if every episode has a person in the user's seat, else ``reference``.
        traces: in the order given.
        left_out: episodes that came with them and do not count: their study marked them ``keep: false``.
    """

    role: Role
    traces: tuple[AnyEpisode, ...]
    left_out: int = 0

    @property
    def label(self) -> str:
        """What readers see: ``simulated``, ``reference`` or ``human``."""
        return _LABELS[self.role]

    @property
    def gap_word(self) -> str:
        """The side's word in "real − simulated"."""
        return _GAP_WORDS[self.role]

    @cached_property
    def scored(self) -> dict[str, tuple[AnyEpisode, ...]]:
        """Scored episodes by task."""
        found: dict[str, list[AnyEpisode]] = {}
        for trace in self.traces:
            if trace.valid:
                found.setdefault(trace.task_id, []).append(trace)
        return {task: tuple(traces) for task, traces in found.items()}

    @property
    def n_scored(self) -> int:
        """Scored episodes of all tasks."""
        return sum(len(traces) for traces in self.scored.values())

    @property
    def failures(self) -> tuple[FailureCount, ...]:
        """Episodes that are not scored, counted by fault and kind, most frequent first."""
        counts: Counter[tuple[str, str]] = Counter()
        for trace in self.traces:
            if not trace.valid:
                failure = trace.failure
                counts[(failure.side, failure.kind) if failure else ("none", trace.ended_by)] += 1
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return tuple(FailureCount(fault, kind, n) for (fault, kind), n in ordered)

    @property
    def n_abandoned(self) -> int:
        """Episodes that a person left before their end."""
        return sum(is_abandoned(trace) for trace in self.traces)

    @property
    def abandonment_rate(self) -> float:
        """Abandoned episodes among those that were scored or abandoned; 0.0 where there are neither."""
        return self.n_abandoned / max(self.n_abandoned + self.n_scored, 1)

    @property
    def synthetic(self) -> bool:
        """Whether every user side was a program."""
        return all(nature(trace.user) == "synthetic" for trace in self.traces)

    @property
    def user_sides(self) -> tuple[str, ...]:
        """Who sat in the user's seat, each with what it is and how often."""
        words = Words(describe_user)
        counts = Counter(words(trace.user) for trace in self.traces)
        return tuple(f"{text}, {n} episode{'s' * (n != 1)}" for text, n in counts.most_common())

    @property
    def agents(self) -> tuple[str, ...]:
        """The agents, each with its settings, in order of name."""
        words = Words(describe_agent)
        return tuple(sorted({words(trace.agent) for trace in self.traces}))

    @property
    def privileged_agents(self) -> tuple[str, ...]:
        """Names of agents that looked the expected calls up."""
        return tuple(sorted({trace.agent.name for trace in self.traces if trace.agent.privileged}))

    @property
    def terms(self) -> tuple[str, ...]:
        """The terms that the traces carry, in words."""
        return tuple(sorted({describe_terms(trace.terms) for trace in self.traces}))


def kept(trace: AnyEpisode) -> bool:
    """Whether the study that recorded an imported episode counts it; true of every other episode."""
    return trace.user.notes.get("keep") is not False


def is_abandoned(trace: AnyEpisode) -> bool:
    """Whether a person left this episode before its end; an agent or a study that says so of itself is no person."""
    failure = trace.failure
    return failure is not None and (failure.side, failure.kind) == ("user", ABANDONED)


def nature(user: Seat) -> str:
    """``human``, ``synthetic``, ``mixed``, or ``replay`` for a recording of anything but a program."""
    kind = user.kind
    if kind == "replay":
        kind = str(user.settings.get("source_kind", user.notes.get("source_kind", "unknown source")))
        return "synthetic" if kind in SYNTHETIC_KINDS else "replay"
    return "synthetic" if kind in SYNTHETIC_KINDS else kind


class Words:
    """What is said of seats, found once for each: the seats of many episodes of a file are one object.

    Args:
        describe: a seat in words.
    """

    def __init__(self, describe: Callable[[Seat], str]) -> None:
        self._describe = describe
        self._known: dict[int, tuple[Seat, str]] = {}

    def __call__(self, seat: Seat) -> str:
        """The words."""
        found = self._known.get(id(seat))
        if found is None:  # the seat is kept, so that no other can get its id
            found = self._known[id(seat)] = seat, self._describe(seat)
        return found[1]


def describe_user(user: Seat) -> str:
    """A user side in a few words. People are not named."""
    if user.kind == "human":
        return "human"
    source = user.settings.get("source_kind", user.notes.get("source_kind"))
    what = f"replay of {source}" if user.kind == "replay" and source else user.kind
    name = "" if user.name in ("", user.kind) else f" “{user.name}”"
    settings = _settings({key: value for key, value in user.settings.items() if key != "source_kind"})
    if len(settings) > _LONGEST:  # a prompt, say
        settings = settings[:_LONGEST] + "…"
    return f"{what}{name}{settings}{' (synthetic)' if nature(user) == 'synthetic' else ''}"


def describe_agent(agent: Seat) -> str:
    """An agent with the settings that tell it from another of its name, and whether it is privileged."""
    return f"{agent.name}{_settings(agent.settings)}{' (privileged)' if agent.privileged else ''}"


def _settings(settings: Mapping[str, Any]) -> str:
    pairs = (f"{key}={json.dumps(value, sort_keys=True, default=str)}" for key, value in sorted(settings.items()))
    return f" {', '.join(pairs)}" if settings else ""


def describe_terms(terms: Terms) -> str:
    """Licence, and whether models may be trained on it."""
    shared = "; not to be passed on" if terms.sharing is False else ""
    return f"{terms.licence}; {'training allowed' if terms.training else 'not for training'}{shared}"
