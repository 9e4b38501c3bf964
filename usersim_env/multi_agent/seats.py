"""The two seats: their names, their rewards, and what the env must know of who plays the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from usersim_env.conversation.machine import Outcome, Watcher
from usersim_env.conversation.scene import Scene
from usersim_env.domains import Task
from usersim_env.errors import UsageError
from usersim_env.traces.trace import Seat, Terms

AGENT, USER = "agent_0", "user_0"
SEATS = (AGENT, USER)

Rewards: TypeAlias = Callable[[Outcome], Mapping[str, float]]
"""A reward for each seat, of how a scored episode ended."""


def rule_rewards(outcome: Outcome) -> dict[str, float]:
    """The default: the rule reward for the agent, 0 for the user seat."""
    return {AGENT: outcome.feedback.reward or 0.0, USER: 0.0}


def checked_rewards(rewards: Rewards, outcome: Outcome) -> dict[str, float]:
    """Rewards of an ended episode; 0.0 for both seats where it is not scored (and then they mean nothing).

    Raises:
        UsageError: the function gave no number for one of the seats.
    """
    if outcome.feedback.reward is None:
        return dict.fromkeys(SEATS, 0.0)
    found = rewards(outcome)
    try:
        return {name: float(found[name]) for name in SEATS}
    except (KeyError, TypeError, ValueError) as error:
        example = "lambda outcome: {'agent_0': outcome.feedback.reward, 'user_0': 0.0}"
        raise UsageError(
            f"rewards gives a number for agent_0 and user_0, got {found!r:.200}. Try {example}."
        ) from error


class UserSeat:
    """Who plays the user, as traces need to know it. The env asks for nothing else: actions come through `step`.

    Args:
        seat: written into traces; say ``Seat("llm", …)`` or ``Seat("human", …)`` where that is true.
    """

    def __init__(self, seat: Seat | None = None) -> None:
        self._seat = seat if seat is not None else Seat("scripted", "unnamed")

    @property
    def seat(self) -> Seat:
        """Who it is, with notes of the running episode."""
        return self._seat

    @property
    def terms(self) -> Terms | None:
        """Terms of what is said, where they are not the usual ones."""
        return None

    def own_task(self, task: Task, seed: int) -> Task:
        """The version of a task that is played; `UnknownName` when it cannot be."""
        return task

    def begin(self, scene: Scene) -> Watcher | None:
        """An episode begins; a watcher for a side that sees everything."""
        return None

    def close(self) -> None:
        """The episode is over."""

    def release(self) -> None:
        """The env is closed."""
