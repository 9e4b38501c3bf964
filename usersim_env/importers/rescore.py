"""Verdict against verdict: the agent's calls of recorded episodes, replayed on a fresh world and scored again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from usersim_env import importers
from usersim_env.conversation.machine import Conversation
from usersim_env.conversation.rules import Rules
from usersim_env.domains import World, get_domain
from usersim_env.errors import OutOfTurn, TraceError, UnknownName, UsageError, unknown
from usersim_env.feedback import scoring
from usersim_env.traces.file import holds_traces, iter_traces
from usersim_env.traces.recorded_task import task_of
from usersim_env.traces.trace import Trace

FORMATS = ("auto", "usersim", *importers.FORMATS)


@dataclass(frozen=True)
class RescoreResult:
    """What came out of a replay.

    Attributes:
        episodes: all records of all files.
        scored: episodes that had ended and hold a recorded reward.
        agree: how many of the scored get the same reward again.
        disagree: ids of the others: of a trace its own, of a foreign record its key (τ-bench: ``task_id/trial``).
        unfinished: episodes that were cut, failed or never ended, and so have no verdict to compare.
        not_scorable: imported episodes with a reward whose task is not one of ours, which nobody can score here.
    """

    episodes: int
    scored: int
    agree: int
    disagree: tuple[str, ...]
    unfinished: int
    not_scorable: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The counts and ids as JSON values; ``not_scorable_here`` is there only where there are any."""
        found: dict[str, Any] = {
            "episodes": self.episodes,
            "scored": self.scored,
            "agree": self.agree,
            "disagree": list(self.disagree),
            "unfinished": self.unfinished,
        }
        return found | ({"not_scorable_here": self.not_scorable} if self.not_scorable else {})


class _Verdict(NamedTuple):
    id: str
    recorded: float | None
    """``None``: there is no verdict to compare with."""
    replayed: float | None
    scorable: bool = True


def rescore(paths: Iterable[str | os.PathLike[str]], format: str = "auto") -> RescoreResult:  # noqa: A002
    """Replays recorded episodes and compares the rewards.

    Args:
        paths: files of traces (JSON Lines), or of any format that can be imported; a τ-bench record is scored with the
            task that it carries.
        format: ``usersim``, a name in `importers.FORMATS`, or ``auto``: by what each file holds.

    Raises:
        TraceError: which file, which record, which field, what came.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    verdicts = [verdict for path in paths for verdict in _verdicts(Path(path), format)]
    scored = [v for v in verdicts if v.recorded is not None and v.scorable]
    not_scorable = sum(not v.scorable for v in verdicts)
    disagree = tuple(v.id for v in scored if v.recorded != v.replayed)
    return RescoreResult(
        episodes=len(verdicts),
        scored=len(scored),
        agree=len(scored) - len(disagree),
        disagree=disagree,
        unfinished=len(verdicts) - len(scored) - not_scorable,
        not_scorable=not_scorable,
    )


def _verdicts(path: Path, format: str) -> Iterator[_Verdict]:  # noqa: A002
    if not path.exists():
        raise TraceError(f"No file at {path}: expected traces (JSON Lines) or a recording that can be imported.")
    if format == "auto":
        ours = path.is_file() and holds_traces(path)
        format = "usersim" if ours else importers.recognised(path) or "usersim"  # noqa: A001
    if format == "usersim":
        return (_verdict(trace, trace.id, f"{path}, episode {trace.id}") for trace in iter_traces(path))
    return _imported(path, format)


def _imported(path: Path, format: str) -> Iterator[_Verdict]:  # noqa: A002
    for outcome in importers.read_file(path, format, importers.ImportSettings()):
        if isinstance(outcome, TraceError):
            raise outcome
        trace = outcome[0]
        name = str(trace.source.get("key", trace.id))
        yield _verdict(trace, name, f"{path}, record {name!r}")


def _verdict(trace: Trace, name: str, where: str) -> _Verdict:
    if trace.reward is None:
        return _Verdict(name, None, None)
    try:
        task = task_of(trace)
    except (TraceError, UnknownName) as error:
        if trace.source:  # somebody else's recording: that its task is unknown here is no fault
            return _Verdict(name, trace.reward, None, scorable=False)
        raise TraceError(f"{where}: {error}") from None
    rules = Rules(trace.max_steps, lazy_open=trace.lazy_open, max_chars=None)
    conversation = Conversation(task, World(get_domain(trace.domain)), rules, trace.seed)
    for index, event in enumerate(trace.events):
        try:
            conversation.apply(event)
        except (OutOfTurn, UsageError) as error:
            raise TraceError(f"{where}: events.{index}: {error} (got {event!r:.80})") from None
    if conversation.ended_by in (None, "failure"):
        return _Verdict(name, trace.reward, None)
    texts = [m.content for m in conversation.messages if m.role == "agent"]
    checks = scoring.check(task, conversation.world, texts, finished=conversation.ended_by != "limit")
    return _Verdict(name, trace.reward, scoring.reward(checks))
