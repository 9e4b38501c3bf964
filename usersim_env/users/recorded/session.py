"""One episode of a recording: its turns in order, and a watch on the agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from usersim_env.conversation.scene import Scene
from usersim_env.domains import Domain
from usersim_env.errors import UserSideError
from usersim_env.feedback.survey import Survey
from usersim_env.feedback.values import Replayed
from usersim_env.messages import Say, Stop
from usersim_env.users.base import User, UserSession
from usersim_env.users.recorded.divergence import Divergence, DivergenceSettings, compare
from usersim_env.users.recorded.moves import MoveReader
from usersim_env.users.recorded.recording import Recording

POLICIES = ("continue", "truncate", "handover")


@dataclass(frozen=True)
class ReplayPolicy:
    """What happens when the agent leaves the recording, or the recording is used up."""

    on_divergence: str = "continue"
    handover: User | None = None
    divergence: DivergenceSettings = field(default_factory=DivergenceSettings)


class ReplaySession(UserSession):
    """Plays the recorded turns; what it says is a function of the recording and of the turn's number alone.

    The full transcript (``scene.events``) is used for one thing: measuring whether what is said still fits.
    """

    def __init__(self, recording: Recording, domain: Domain, policy: ReplayPolicy) -> None:
        self.terms = recording.terms
        self._recording = recording
        self._policy = policy
        self._reader = MoveReader(domain)
        self._turn = 0
        self._measured: list[Divergence] = []
        self._left_at: int | None = None
        self._used_up = False
        self._other: UserSession | None = None
        self._handed_over_at: int | None = None
        self._survey = "not asked"

    # -- turns -----------------------------------------------------------------------------------------------------

    def open(self, scene: Scene) -> Say | Stop:
        """The first recorded turn."""
        return self._recorded(scene) or self._taken_over().open(_visible(scene))

    def reply(self, scene: Scene) -> Say | Stop:
        """The next recorded turn.

        Raises:
            UserSideError: the policy is ``truncate`` and the recording was left (kind ``left_recording``) or is used
                up (kind ``recording_over``).
        """
        return self._recorded(scene) or self._taken_over().reply(_visible(scene))

    async def aopen(self, scene: Scene) -> Say | Stop:
        """The first recorded turn."""
        return self._recorded(scene) or await self._taken_over().aopen(_visible(scene))

    async def areply(self, scene: Scene) -> Say | Stop:
        """The next recorded turn."""
        return self._recorded(scene) or await self._taken_over().areply(_visible(scene))

    def _recorded(self, scene: Scene) -> Say | Stop | None:
        """The turn from the recording; ``None`` where another user side has it."""
        if self._other is not None:
            return None
        turn, recording = self._turn, self._recording
        used_up = turn >= len(recording.turns)
        self._reader.read(scene.events)
        if not used_up or recording.tail.closing == "transfer":
            self._measure(turn)
        if self._policy.on_divergence != "continue" and self._left_at is not None:
            return self._give_up("left_recording", self._why_left(), scene)
        if used_up:
            self._used_up = True
            why = f"recording {recording.id} is used up after its {len(recording.turns)} user turns"
            return self._give_up("recording_over", why, scene)
        self._turn += 1
        return recording.turns[turn].reply

    def _give_up(self, kind: str, why: str, scene: Scene) -> Stop | None:
        policy = self._policy
        if policy.on_divergence == "continue":
            return Stop(used_up=True)
        if policy.on_divergence == "truncate":
            raise UserSideError(f"Replay was ended: {why}.", kind)
        assert policy.handover is not None
        self._other = policy.handover.begin(_visible(scene))
        self._handed_over_at = self._turn
        return None

    def _taken_over(self) -> UserSession:
        assert self._other is not None
        return self._other

    # -- measuring -------------------------------------------------------------------------------------------------

    def _measure(self, turn: int) -> None:
        settings = self._policy.divergence
        found = compare(self._reader.moves(), self._recording.before(turn), turn, settings)
        self._measured.append(found)
        if self._left_at is None and settings.left(found):
            self._left_at = turn

    def _measure_end(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Compares an end that the agent made (a transfer, the step limit) with what the recorded agent did there."""
        if self._other is None and len(self._measured) == self._turn:
            self._reader.read(events)
            self._measure(self._turn)

    def _why_left(self) -> str:
        last = self._measured[-1]
        parts = ", ".join(f"{name} {value:.2f}" for name, value in last.to_dict().items() if name != "turn")
        return f"the agent left recording {self._recording.id} before user turn {last.turn} ({parts})"

    def watch(self, events: Sequence[Mapping[str, Any]], ended_by: str | None) -> Replayed:
        """How far the recording was followed."""
        if ended_by in ("transfer", "limit"):
            self._measure_end(events)
        return Replayed(
            id=self._recording.id,
            source_kind=self._recording.source_kind,
            turns=len(self._recording.turns),
            used=self._turn,
            left_at=self._left_at,
            used_up=self._used_up,
            handed_over_at=self._handed_over_at,
            divergence=tuple(round(found.total, 6) for found in self._measured),
            survey=self._survey,
        )

    # -- the end ---------------------------------------------------------------------------------------------------

    def fill_survey(self, scene: Scene) -> Survey | None:
        """The recorded answers, while the recording was followed; those of the side that took over after that."""
        recorded = self._before_survey(scene)
        return recorded if self._other is None else self._other.fill_survey(_visible(scene))

    async def afill_survey(self, scene: Scene) -> Survey | None:
        """Async twin of `fill_survey`."""
        recorded = self._before_survey(scene)
        return recorded if self._other is None else await self._other.afill_survey(_visible(scene))

    def _before_survey(self, scene: Scene) -> Survey | None:
        if self._other is not None:
            self._survey = "handover"
            return None
        if scene.events and scene.events[-1]["event"] != "stop":
            self._measure_end(scene.events)
        if self._recording.survey is None:
            self._survey = "none recorded"
        elif self._left_at is not None or self._used_up:
            self._survey = "left"
        else:
            self._survey = "counted"
        return self._recording.survey if self._survey == "counted" else None

    def notes(self) -> Mapping[str, Any]:
        """Which recording, what sat there, and every divergence with its parts."""
        notes: dict[str, Any] = {
            "recording": self._recording.id,
            "source_kind": self._recording.source_kind,
            "divergence": [found.to_dict() for found in self._measured],
        }
        if self._other is None or self._policy.handover is None:
            return notes
        if self._policy.handover.kind != notes["source_kind"]:
            notes["source_kind"] = "mixed"
        return notes | {"handover": {"kind": self._policy.handover.kind, "notes": dict(self._other.notes())}}

    def close(self) -> None:
        """Closes the side that took over, if one did."""
        if self._other is not None:
            self._other.close()


def _visible(scene: Scene) -> Scene:
    """What any other user side may see."""
    return scene._replace(events=())
