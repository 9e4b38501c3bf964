"""`SwapUser`: who sits in the user's seat is drawn anew for every episode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from usersim_env.domains import get_task
from usersim_env.errors import UnknownName, UsageError
from usersim_env.users.base import User
from usersim_env.wrappers.base import AnyEnv, Reset, TauWrapper, tau_env

_STREAM = 0x5357_4150
"""Keeps the draws apart from those of the env and the user side, which are made from the same seed."""


class SwapUser(TauWrapper):
    """A mixture of user sides, for example 80 % a language model and 20 % recordings.

    Description:
        At every `reset` one user side is drawn with the probability of its weight. The draw follows ``reset(seed=…)``:
        the same seed draws the same side, and the resets after it without a seed repeat as well. The trace names the
        side that was drawn (kind, name, settings), so a gap or a report can tell them apart. The agent is not told.

    Action space:
        Unchanged.

    Observation space:
        Unchanged.

    Rewards:
        Unchanged.

    Info:
        Unchanged.

    Args:
        env: an env of this package; its own user side plays only if it is among ``users``.
        users: the user sides. Each must be able to play all tasks of the env: recordings play only those that were
            recorded, so make the env with ``tasks=replay.task_ids``.
        weights: one per user side, at least 0, of any sum; equal by default.

    Raises:
        UsageError: no users, weights that do not fit, or a task that one of the users cannot play.

    Example:
        >>> import gymnasium as gym
        >>> from usersim_env import ScriptedUser
        >>> from usersim_env.wrappers import SwapUser
        >>> users = [ScriptedUser(("Good day.",)), ScriptedUser(("Hey.",))]
        >>> env = SwapUser(gym.make("TauMock-v0", user=users[0]), users, weights=[0.8, 0.2])
        >>> said = [env.reset(seed=seed)[0]["content"] for seed in range(100)]
        >>> said.count("Good day."), said.count("Hey.")
        (80, 20)
    """

    def __init__(self, env: AnyEnv, users: Sequence[User], weights: Sequence[float] | None = None) -> None:
        users = tuple(users)
        for user in users:
            if not isinstance(user, User):
                raise UsageError(f"SwapUser takes usersim_env.users.User objects, got {type(user).__name__}.")
        if not users:
            raise UsageError("SwapUser needs at least one user side.")
        shares = _shares(weights, len(users))
        super().__init__(env, users=users, weights=weights)
        _check_tasks(tau_env(env, "SwapUser").task_ids, users)
        self._users = users
        self._shares = shares
        self._rng = np.random.default_rng()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        """Draws a user side; one that is named in ``options["user"]`` plays instead of it."""
        if seed is not None:
            self._rng = np.random.default_rng((_STREAM, seed))
        drawn = self._users[int(self._rng.choice(len(self._users), p=self._shares))]
        options = dict(options or {})
        if options.get("user") is None:
            options["user"] = drawn
        return self.env.reset(seed=seed, options=options)


def _shares(weights: Sequence[float] | None, count: int) -> list[float]:
    found = [1.0] * count if weights is None else list(weights)
    if len(found) != count or not all(
        isinstance(w, int | float) and not isinstance(w, bool) and 0 <= w < math.inf for w in found
    ):
        raise UsageError(f"weights are {count} finite numbers of at least 0, one per user side, got {weights!r}.")
    if not (whole := sum(found)):
        raise UsageError("weights: at least one is above 0.")
    return [w / whole for w in found]


def _check_tasks(task_ids: Sequence[str], users: Sequence[User]) -> None:
    """Now, or some episode in the middle of a run could not begin."""
    for user in users:
        for task_id in task_ids:
            try:
                user.own_task(get_task(task_id), seed=0)
            except UnknownName as error:
                raise UsageError(
                    f"SwapUser: the user side {user.name!r} cannot play {task_id}. Make the env with tasks=[…] that "
                    f"all of them can play. {error}"
                ) from None
