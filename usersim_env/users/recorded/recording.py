"""A trace as something that can be played: the user side's turns, and what the agent had done before each."""

from __future__ import annotations

from dataclasses import dataclass

from usersim_env.domains import Task, get_domain
from usersim_env.errors import TraceError, UnknownName, UsageError
from usersim_env.feedback.survey import Survey
from usersim_env.messages import Say, Stop
from usersim_env.traces.recorded_task import task_of
from usersim_env.traces.trace import Terms, Trace
from usersim_env.users.recorded.moves import MoveReader, Moves


@dataclass(frozen=True)
class RecordedTurn:
    """One turn of the recorded user side, and what the recorded agent had done since the one before."""

    before: Moves
    reply: Say | Stop


@dataclass(frozen=True)
class Recording:
    """One recorded episode, ready to be played.

    Attributes:
        id: of the trace.
        source_kind: what sat in the user's seat.
        turns: at least one, the first a `Say`.
        tail: what the recorded agent did after the last turn; it ends in ``transfer`` or ``none``.
        survey: the recorded answers.
    """

    id: str
    source_kind: str
    turns: tuple[RecordedTurn, ...]
    tail: Moves
    survey: Survey | None
    terms: Terms

    def before(self, turn: int) -> Moves:
        """What the recorded agent had done before a turn; the tail where there was no such turn any more."""
        return self.turns[turn].before if turn < len(self.turns) else self.tail


def read_recording(trace: Trace) -> Recording:
    """Makes a trace playable; see `check_trace` for what is refused."""
    check_trace(trace)
    reader = MoveReader(get_domain(trace.domain))
    turns: list[RecordedTurn] = []
    for event in trace.events:
        if event["event"] == "say":
            turns.append(RecordedTurn(reader.moves(), Say(event["content"])))
        elif event["event"] == "stop" and not event.get("used_up"):
            turns.append(RecordedTurn(reader.moves(), Stop(event["content"])))
        reader.take(event)
    survey = Survey(trace.survey) if trace.survey else None
    return Recording(trace.id, source_kind(trace), tuple(turns), reader.moves(), survey, trace.terms)


def check_trace(trace: Trace) -> Task:
    """The task of a trace that can be played.

    Raises:
        UnknownName: its task does not exist.
        TraceError: it is empty, its user side says nothing, its survey is none, its task is not the recorded one, or
            it was imported and its task is none of those here.
    """
    where = f"Trace {trace.id} ({trace.task_id})"
    if not trace.events:
        raise TraceError(f"{where}: an empty recording: it holds no events, so there is nothing to play.")
    spoken = [event["event"] for event in trace.events if event["event"] in ("say", "stop")]
    if not spoken or spoken[0] != "say":
        raise TraceError(
            f"{where}: a recording without user turns: among its {len(trace.events)} events there is no opening of the "
            f"user side (it ended by {trace.ended_by!r}). Leave it out."
        )
    try:
        Survey(trace.survey or {"overall_score": "3 (Acceptable)"})
    except UsageError as error:
        raise TraceError(f"{where}: survey: {error}") from None
    try:
        return task_of(trace)
    except UnknownName as error:
        if not trace.source:
            raise
        raise TraceError(
            f"{where}: its task is not one of those here (it came from a file of the format "
            f"{trace.source.get('format', 'unknown')!r}), so there is no world to play it in. Leave it out. {error}"
        ) from None


def source_kind(trace: Trace) -> str:
    """What sat in the user's seat; of a recording of a replay, what was recorded first."""
    if trace.user.kind != "replay":
        return trace.user.kind
    return str(trace.user.notes.get("source_kind", trace.user.settings.get("source_kind", "replay")))
