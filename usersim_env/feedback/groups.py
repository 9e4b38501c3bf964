"""Groups of episodes for trainers that compare the episodes of one task with each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from usersim_env.errors import UsageError


class Row(Protocol):
    """Anything with a rule reward that may be ``None``: a `Trace`, a `Feedback`."""

    @property
    def reward(self) -> float | None:
        """The rule reward; ``None`` when the episode is not scored."""


R = TypeVar("R", bound=Row)


def drop_invalid(groups: Iterable[Sequence[R]], at_least: int = 2) -> list[list[R]]:
    """Takes out the episodes that are not scored, before any baseline of a group is computed.

    An episode that failed says nothing about the agent. Kept as a 0 it would lower the group's mean and reward the
    others for an outage; so the whole row goes, and with it every token of it.

    Args:
        groups: episodes of one task (and prompt) each.
        at_least: groups with fewer scored episodes are left out: a baseline over one row is the row itself.

    Returns:
        The groups that are left, in their order.

    Raises:
        UsageError: ``at_least`` is below 1.
    """
    if at_least < 1:
        raise UsageError(f"at_least is 1 or more, got {at_least!r}.")
    scored = ([row for row in group if row.reward is not None] for group in groups)
    return [group for group in scored if len(group) >= at_least]
