"""The two halves of a user side: `User`, a setting to share, and `UserSession`, one episode of it."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from usersim_env.conversation.scene import Scene
from usersim_env.domains.task import Task
from usersim_env.feedback.survey import Survey
from usersim_env.feedback.values import Replayed
from usersim_env.messages import Say, Stop
from usersim_env.traces.trace import Terms

KINDS = ("human", "llm", "agenda", "scripted", "replay", "mixed")
"""What a user side may be; ``scripted`` is any program of your own."""


class UserSession(abc.ABC):
    """One episode of a user side. The async twins call the plain methods unless overridden."""

    @abc.abstractmethod
    def open(self, scene: Scene) -> Say | Stop:
        """First turn. The transcript is empty, or holds the agent's greeting when the opening was lazy."""

    @abc.abstractmethod
    def reply(self, scene: Scene) -> Say | Stop:
        """Answers the agent's last message (the last entry of ``scene.transcript``).

        Raises:
            UserSideError: the turn could not be taken; the episode ends as failed, not as scored.
        """

    def fill_survey(self, scene: Scene) -> Survey | None:
        """Answers the form; ``None`` when this side does not answer surveys."""
        return None

    async def aopen(self, scene: Scene) -> Say | Stop:
        """Async twin of `open`."""
        return self.open(scene)

    async def areply(self, scene: Scene) -> Say | Stop:
        """Async twin of `reply`."""
        return self.reply(scene)

    async def afill_survey(self, scene: Scene) -> Survey | None:
        """Async twin of `fill_survey`."""
        return self.fill_survey(scene)

    terms: Terms | None = None
    """Terms that what it says comes under, where they are not the usual ones."""

    def watch(self, events: Sequence[Mapping[str, Any]], ended_by: str | None) -> Replayed | None:
        """How far a recording was followed; asked only of a side that ``sees_everything``."""
        return None

    def notes(self) -> Mapping[str, Any]:
        """What this session wants written into the trace's provenance (JSON values)."""
        return {}

    def close(self) -> None:
        """Frees what the session holds; called once, also after a failure."""


class User(abc.ABC):
    """An immutable, picklable setting that many envs may share."""

    kind: ClassVar[str]
    """``"human"``, ``"llm"``, ``"agenda"``, ``"scripted"``, ``"replay"`` or ``"mixed"``; written into traces."""

    blocking: ClassVar[bool] = False
    """Whether a turn waits for something outside the process (async drivers then use a bounded pool)."""

    sees_everything: ClassVar[bool] = False
    """Whether its scenes hold the full transcript, and its sessions `watch`: replay alone, to measure divergence."""

    @property
    def name(self) -> str:
        """A short name for tables: a persona, a model; the kind where there is nothing better."""
        return self.kind

    @abc.abstractmethod
    def begin(self, scene: Scene) -> UserSession:
        """Starts one episode; must not say anything yet."""

    def own_task(self, task: Task, seed: int) -> Task:
        """The version of a task that this side plays in the episode of a seed; the same but for recordings.

        Raises:
            UnknownName: it cannot play this task.
        """
        return task

    def release(self) -> None:
        """Frees what outlives an episode; called when an env that it sits in is closed, so perhaps more than once."""

    def describe(self) -> dict[str, Any]:
        """Settings that tell two user sides apart, as JSON values, for traces and for resuming rollouts."""
        return {}
