"""The limits of an episode, the same for every driver."""

from __future__ import annotations

from dataclasses import dataclass

from usersim_env.errors import UsageError


@dataclass(frozen=True)
class Rules:
    """Settings of the machine.

    Attributes:
        max_steps: agent steps after which the episode is truncated.
        survey: whether the user side is asked to fill in the survey.
        lazy_open: the agent speaks first; the user side's opening answers its first message.
    """

    max_steps: int = 200
    survey: bool = True
    lazy_open: bool = False

    def __post_init__(self) -> None:
        if type(self.max_steps) is not int or self.max_steps < 1:
            raise UsageError(f"max_steps is a whole number of at least 1, got {self.max_steps!r}.")
        if type(self.survey) is not bool:
            raise UsageError(f"survey is True or False, got {self.survey!r}.")
