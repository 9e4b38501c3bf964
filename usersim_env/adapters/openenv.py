"""`TauEnvironment` and `app`: an OpenEnv server (openenv 0.10.0).

Serve it with any ASGI server; every WebSocket session has an env of its own::

    uvicorn.run(usersim_env.adapters.openenv.app(EpisodeSettings("TauRetail-agenda-v0")))

A client sends `{"name": …, "arguments": {…}}` and reads ``messages`` (what is new), ``done`` and ``reward``; `reset`
takes ``seed`` and ``task_id``, and its observation also holds ``tools``.

Not scored: ``done`` with ``reward`` ``null`` and a ``failure`` in the observation. A client that reads ``null`` as 0
(``result.reward or 0.0``) undoes this.

Cannot express: termination apart from truncation (both are ``done``); typed feedback (signals come as a mapping under
``metadata``); a rubric of OpenEnv's own beside the reward here. OpenEnv ends a session whose step takes longer than
its client waits, so a person as the user side needs a client with a long ``message_timeout_s``.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any, NamedTuple

from usersim_env.adapters.episode import ChatEpisode, EpisodeSettings, Turn, missing_library


class Classes(NamedTuple):
    """The three classes that OpenEnv wants."""

    action: Any
    observation: Any
    environment: Any


def __getattr__(name: str) -> Any:
    names = {"TauAction": "action", "TauObservation": "observation", "TauEnvironment": "environment"}
    if name in names:
        return getattr(_classes(), names[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def app(settings: EpisodeSettings, sessions: int = 64) -> Any:
    """The ASGI application.

    Args:
        settings: what is played; ``format`` is not used.
        sessions: how many clients may play at once.

    Raises:
        InstallError: OpenEnv is missing.
    """
    action, observation, environment = _classes()
    from openenv.core.env_server import create_app

    make = partial(environment, settings)
    return create_app(make, action, observation, env_name="usersim_env", max_concurrent_envs=sessions)


@cache
def _classes() -> Classes:
    try:
        from openenv.core.env_server import Action, Environment, Observation, State
    except ImportError:
        raise missing_library("openenv", "openenv==0.10.0") from None

    class TauAction(Action):  # type: ignore[misc]  # untyped where it is not installed
        """A tool call, or ``respond`` with ``{"content": …}``."""

        name: str
        arguments: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies it

    class TauObservation(Observation):  # type: ignore[misc]
        """What is new for the agent; ``tools`` only after a reset, ``failure`` only where there is one."""

        messages: list[dict[str, Any]] = []  # noqa: RUF012
        tools: list[dict[str, Any]] | None = None
        failure: dict[str, str] | None = None

    class TauEnvironment(Environment):  # type: ignore[misc]
        """One session.

        Args:
            settings: what is played.
        """

        SUPPORTS_CONCURRENT_SESSIONS = True

        def __init__(self, settings: EpisodeSettings) -> None:
            super().__init__()
            self._episode = ChatEpisode(settings, "call")
            self._state = State()

        def reset(
            self, seed: int | None = None, episode_id: str | None = None, task_id: str | None = None, **more: Any
        ) -> Any:
            """Starts an episode of ``task_id``, or of a drawn task."""
            self._state = State(episode_id=episode_id)
            return TauObservation(tools=self._episode.tools, **_fields(self._episode.begin(task_id, seed)))

        def step(self, action: Any, timeout_s: float | None = None, **more: Any) -> Any:
            """One action."""
            self._state.step_count += 1
            turn = self._episode.act({"name": action.name, "arguments": action.arguments})
            return TauObservation(**_fields(turn))

        @property
        def state(self) -> Any:
            """The client's id of the episode and the number of steps."""
            return self._state

        def close(self) -> None:
            """Frees the env."""
            self._episode.close()

    return Classes(TauAction, TauObservation, TauEnvironment)


def _fields(turn: Turn) -> dict[str, Any]:
    failed = turn.failure
    failure = None if failed is None else {"side": failed.side, "kind": failed.kind, "message": failed.message}
    metadata = {} if turn.feedback is None else {"signals": turn.feedback.signals, "checks": dict(turn.feedback.checks)}
    return {
        "messages": list(turn.messages),
        "done": turn.done,
        "reward": turn.reward,
        "failure": failure,
        "metadata": metadata,
    }
