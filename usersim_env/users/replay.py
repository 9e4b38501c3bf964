"""`ReplayUser`: a recorded user side in a live episode; it notices when the agent leaves the recording."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from usersim_env.conversation.scene import Scene
from usersim_env.domains import Task, get_domain
from usersim_env.errors import UnknownName, UsageError, unknown
from usersim_env.traces.trace import Trace
from usersim_env.users.base import User
from usersim_env.users.recorded.divergence import DivergenceSettings
from usersim_env.users.recorded.recording import check_trace, read_recording, source_kind
from usersim_env.users.recorded.session import POLICIES, ReplayPolicy, ReplaySession
from usersim_env.users.recorded.sources import check_terms


@dataclass(frozen=True)
class ReplayUser(User):
    """Plays the user side of the recordings' own tasks: every recorded turn in order, whatever the agent does.

    Before every turn it measures how far the live agent is from the recorded one (docs/replay.md). Nobody reacts to
    the agent here: what is said fits only as long as the agent does what the recorded one did.

    Args:
        traces: the recordings; where a task has several, the episode's seed chooses.
        on_divergence: where the recording is left. ``continue``: goes on with the recorded turns. ``truncate``: ends
            the episode as not valid. ``handover``: another user side takes over with the transcript so far.
            Where it is used up, ``continue`` stops with ``ended_by="recording"``, which is not scored.
        handover: the side that takes over.
        purpose: ``training`` or ``evaluation``; the recordings' terms are held to it.
        divergence: weights and threshold.

    Raises:
        TermsError: the terms of a recording forbid training.
        TraceError: a recording that cannot be played, and why.
        UsageError: no recordings; a handover without a side or a side without a handover.
        UnknownName: an unknown policy, purpose or task.
    """

    kind: ClassVar[str] = "replay"
    sees_everything: ClassVar[bool] = True

    traces: tuple[Trace, ...]
    on_divergence: str = "continue"
    handover: User | None = None
    purpose: str = "training"
    divergence: DivergenceSettings = field(default_factory=DivergenceSettings)

    def __post_init__(self) -> None:
        traces = list(self.traces) if isinstance(self.traces, Iterable) else [self.traces]
        for trace in traces:
            if not isinstance(trace, Trace):
                got = type(trace).__name__
                raise UsageError(f"ReplayUser takes Trace objects, got {got}: read_traces(path) reads them.")
        if not traces:
            raise UsageError("ReplayUser needs at least one recording, got none.")
        object.__setattr__(self, "traces", tuple(traces))
        if self.on_divergence not in POLICIES:
            raise unknown("on_divergence", self.on_divergence, POLICIES)
        if not isinstance(self.divergence, DivergenceSettings):
            raise UsageError(f"divergence is a DivergenceSettings, got {type(self.divergence).__name__}.")
        self._check_handover()
        check_terms(traces, self.purpose)
        for trace in traces:
            check_trace(trace)

    def _check_handover(self) -> None:
        other = self.handover
        if (self.on_divergence == "handover") != (other is not None):
            raise UsageError(
                f"on_divergence={self.on_divergence!r} with handover={other!r:.80}: the two go together, for example "
                "on_divergence='handover', handover=AgendaUser()."
            )
        if other is None:
            return
        if not isinstance(other, User) or other.sees_everything:
            raise UsageError(f"handover is a user side of another kind than replay, got {type(other).__name__}.")
        # An instance attribute over the class's: async drivers must run a side that blocks in a pool.
        object.__setattr__(self, "blocking", other.blocking)

    @cached_property
    def _by_task(self) -> dict[str, tuple[Trace, ...]]:
        found: dict[str, list[Trace]] = {}
        for trace in self.traces:
            found.setdefault(trace.task_id, []).append(trace)
        return {task_id: tuple(traces) for task_id, traces in found.items()}

    @property
    def task_ids(self) -> tuple[str, ...]:
        """Ids of the tasks that have a recording, in the order of the recordings."""
        return tuple(self._by_task)

    def _choose(self, task_id: str, scene: Scene) -> Trace:
        traces = self._by_task[task_id]
        return traces[int(scene.rng().integers(len(traces)))]

    def own_task(self, task: Task, seed: int) -> Task:
        """The task as it was when the recording was made that this seed chooses.

        Raises:
            UnknownName: no recording of it.
        """
        if task.id not in self._by_task:
            known = ", ".join(self.task_ids[:5]) + (" …" if len(self.task_ids) > 5 else "")
            raise UnknownName(f"No recording of the task {task.id!r}. There are recordings of {known}.")
        return check_trace(self._choose(task.id, Scene(task.id, "", seed=seed)))

    def begin(self, scene: Scene) -> ReplaySession:
        """Chooses the recording by the episode's seed."""
        trace = self._choose(scene.task_id, scene._replace(transcript=()))
        policy = ReplayPolicy(self.on_divergence, self.handover, self.divergence)
        return ReplaySession(read_recording(trace), get_domain(trace.domain), policy)

    def describe(self) -> dict[str, Any]:
        """The settings, and a hash of the recordings' ids in their order."""
        ids = hashlib.sha256("\n".join(trace.id for trace in self.traces).encode()).hexdigest()[:16]
        settings: dict[str, Any] = {
            "recordings": ids,
            "on_divergence": self.on_divergence,
            "purpose": self.purpose,
            "divergence": asdict(self.divergence),
        }
        kinds = {source_kind(trace) for trace in self.traces}
        if len(kinds) == 1 and self.handover is None:
            settings["source_kind"] = kinds.pop()
        if self.handover is not None:
            settings["handover"] = {"kind": self.handover.kind, **self.handover.describe()}
        return settings
