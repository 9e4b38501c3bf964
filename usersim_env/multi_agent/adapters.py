"""Both ways: a user side as the policy of ``user_0``, and such a policy as a user side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from pettingzoo.utils.env import AECEnv, ParallelEnv

from usersim_env.conversation.machine import Watcher
from usersim_env.conversation.scene import Scene
from usersim_env.domains import Task
from usersim_env.env.raised import user_failure
from usersim_env.errors import BadReply, UsageError, UserSideError
from usersim_env.feedback.survey import Survey
from usersim_env.feedback.values import Failure
from usersim_env.messages import Say, Stop
from usersim_env.multi_agent.actions import (
    MISTAKES,
    TOO_MANY,
    Action,
    Filled,
    Mistake,
    as_action,
    read_user_action,
)
from usersim_env.multi_agent.observations import OPEN, OVER, REPLY, SURVEY, WAIT, user_observation
from usersim_env.multi_agent.seats import UserSeat
from usersim_env.multi_agent.tau_v0 import raw_env
from usersim_env.traces.trace import Seat, Terms
from usersim_env.users.base import User, UserSession
from usersim_env.users.seating import begun, checked_user, released, session_notes, user_seat

Policy: TypeAlias = Callable[[Mapping[str, Any], Mapping[str, Any]], Action | Failure]
"""Of what ``user_0`` observes and its info; an action of `UserAction`, or a `Failure` when it cannot go on."""


class UserPolicy(UserSeat):
    """A `User` (a person at the terminal, a model, a recording, …) as the policy of ``user_0`` of one env.

    It takes its seat when it is made, from the next `reset` on, so that traces name it and a recording plays its own
    version of the task. Then it is called like any policy. When the user side raises, it returns a `Failure`.

    Args:
        user: the user side.
        env: what `tau_v0.env` or `tau_v0.parallel_env` gave.

    Raises:
        UsageError: ``user`` is no `User`, or ``env`` another env.
    """

    def __init__(
        self, user: User, env: AECEnv[str, dict[str, Any], Any] | ParallelEnv[str, dict[str, Any], Any]
    ) -> None:
        super().__init__()
        self._user = checked_user(user)
        self._session: UserSession | None = None
        seats: object = getattr(env, "unwrapped", None)
        if not isinstance(seats, raw_env):
            raise UsageError(
                f"UserPolicy sits in what tau_v0.env(…) or parallel_env(…) gave, got {type(env).__name__}."
            )
        seats.sit(self)

    @property
    def seat(self) -> Seat:
        """The user side, with its notes of the running or last episode."""
        return user_seat(self._user, session_notes(self._session))

    @property
    def terms(self) -> Terms | None:
        """Those of its session."""
        return self._session.terms if self._session is not None else None

    def own_task(self, task: Task, seed: int) -> Task:
        """The version of the task that the user side plays."""
        return self._user.own_task(task, seed)

    def begin(self, scene: Scene) -> Watcher | None:
        """Begins a session of the user side."""
        self._session = None
        session = self._session = begun(self._user, scene)
        return session.watch if self._user.sees_everything else None

    def close(self) -> None:
        """Frees the session."""
        if self._session is not None:
            self._session.close()

    def release(self) -> None:
        """Frees what the user side holds beyond an episode."""
        released(self._user)

    def __call__(self, observation: Mapping[str, Any], info: Mapping[str, Any]) -> Action | Failure:
        """The user side's turn; when none is asked for, words that the parallel env does not listen to."""
        phase, session = observation["phase"], self._session
        if phase in (WAIT, OVER) or session is None:
            return as_action(Say(""))
        turns: dict[str, Callable[[Scene], object]]
        turns = {OPEN: session.open, REPLY: session.reply, SURVEY: session.fill_survey}
        try:
            came = turns[phase](info["scene"])
        except Exception as error:
            return user_failure(error)
        return _survey_action(came) if phase == SURVEY else _turn_action(came)


def _turn_action(came: object) -> Action | Failure:
    if isinstance(came, Say | Stop) and isinstance(came.content, str):
        return as_action(came)
    got = type(came).__name__
    if isinstance(came, Say | Stop):
        got += f" with content of type {type(came.content).__name__}"
    return Failure("user", "bad_reply", f"The user side answered {got}, not Say or Stop with a str.")


def _survey_action(came: object) -> Action | Failure:
    if came is None or isinstance(came, Survey):
        return as_action(Filled(came))
    text = f"The user side answered the survey with {type(came).__name__}, not Survey or None."
    return Failure("user", "bad_reply", text)


@dataclass(frozen=True)
class PolicyUser(User):
    """A policy of ``user_0`` as a user side: for `gym.make`, rollouts and everything else that takes a `User`.

    Its kind is ``scripted``; a subclass may set another one where it is true. A policy with a memory of its own sees
    by ``observation["phase"] == "open"`` that an episode begins, and must not be shared between envs then.

    Args:
        policy: called with observation and info for the opening, every reply and the survey; after an action that
            is not a turn, again with ``observation["error"]``, as in the PettingZoo env.
        label: its name in traces.
        settings: what tells it from another policy of that name, as JSON values.
    """

    kind: ClassVar[str] = "scripted"

    policy: Policy
    label: str = "policy"
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The label."""
        return self.label

    def describe(self) -> dict[str, Any]:
        """The settings."""
        return dict(self.settings)

    def begin(self, scene: Scene) -> UserSession:
        """Starts one episode."""
        return _PolicySession(self.policy)


class _PolicySession(UserSession):
    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def open(self, scene: Scene) -> Say | Stop:
        return self._turn(scene, OPEN)

    def reply(self, scene: Scene) -> Say | Stop:
        return self._turn(scene, REPLY)

    def fill_survey(self, scene: Scene) -> Survey | None:
        filled = self._ask(scene, SURVEY)
        assert isinstance(filled, Filled)
        return filled.survey

    def _turn(self, scene: Scene, phase: str) -> Say | Stop:
        turn = self._ask(scene, phase)
        assert isinstance(turn, Say | Stop)
        return turn

    def _ask(self, scene: Scene, phase: str) -> Say | Stop | Filled:
        error = ""
        for _ in range(MISTAKES):
            action = self._policy(user_observation(scene, phase, error), {"valid": True, "scene": scene})
            if isinstance(action, Failure):
                raise UserSideError(action.message, action.kind)
            move = read_user_action(action, phase == SURVEY)
            if not isinstance(move, Mistake):
                return move
            error = move.text
        raise BadReply(TOO_MANY)
