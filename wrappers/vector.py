"""`make_vec`: Gymnasium's ``make_vec`` with the settings that text needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from usersim_env.errors import UsageError, unknown
from usersim_env.wrappers.base import AnyEnv


def make_vec(
    id: str | EnvSpec,  # noqa: A002 - as Gymnasium has it
    num_envs: int = 1,
    mode: Literal["sync", "async"] = "sync",
    wrappers: Sequence[Callable[[AnyEnv], AnyEnv]] = (),
    vector_kwargs: dict[str, Any] | None = None,
    **keywords: Any,
) -> gym.vector.VectorEnv[Any, Any, Any]:
    """Many envs as one, for text of any length.

    Args:
        id: of the env, or a spec: ``env.spec`` of a wrapped env makes its whole stack in every copy.
        num_envs: how many.
        mode: ``sync`` (one process, one after the other) or ``async`` (one process each, without shared memory: text
            has no fixed size).
        wrappers: put around each env, inmost first; for example ``functools.partial(StepPenalty, penalty=0.1)``.
        vector_kwargs: for Gymnasium's vector env, such as ``autoreset_mode``.
        keywords: for the env, as of `gymnasium.make`.

    Raises:
        UnknownName: another mode.
        UsageError: ``shared_memory=True``.

    Example:
        >>> from usersim_env.wrappers import ChatHistory, make_vec
        >>> envs = make_vec("TauMock-agenda-v0", 3, wrappers=[ChatHistory])
        >>> observations, infos = envs.reset(seed=0)
        >>> [len(messages) for messages in observations]
        [2, 2, 2]
        >>> envs.close()
    """
    if mode not in ("sync", "async"):
        raise unknown("mode", mode, ("sync", "async"))
    settings = dict(vector_kwargs or {})
    if settings.get("shared_memory"):
        raise UsageError("Text has no fixed size and cannot be in shared memory: leave shared_memory out.")
    if mode == "async":
        settings["shared_memory"] = False
    made: Any = gym.make_vec(id, num_envs, mode, settings, list(wrappers), **keywords)  # type: ignore[arg-type]
    return made  # type: ignore[no-any-return]
