"""The limits of an episode, the same for every driver."""

from __future__ import annotations

from dataclasses import dataclass

from usersim_env.errors import UsageError

MAX_CHARS = 50_000
"""Characters of one message of the agent: far beyond what anybody reads, far below what fills a model's context."""


@dataclass(frozen=True)
class Rules:
    """Settings of the machine.

    Attributes:
        max_steps: agent steps after which the episode is truncated.
        survey: whether the user side is asked to fill in the survey.
        lazy_open: the agent speaks first; the user side's opening answers its first message.
        max_chars: characters of one message of the agent, so that no agent ends an episode by words that are too long
            for whoever plays the user side; a longer one is refused, which takes a step. ``None``: no limit.
    """

    max_steps: int = 200
    survey: bool = True
    lazy_open: bool = False
    max_chars: int | None = MAX_CHARS

    def __post_init__(self) -> None:
        if type(self.max_steps) is not int or self.max_steps < 1:
            raise UsageError(f"max_steps is a whole number of at least 1, got {self.max_steps!r}.")
        if type(self.survey) is not bool:
            raise UsageError(f"survey is True or False, got {self.survey!r}.")
        if self.max_chars is not None and (type(self.max_chars) is not int or self.max_chars < 1):
            raise UsageError(f"max_chars is a whole number of at least 1, or None, got {self.max_chars!r}.")

    def refusal(self, content: object) -> str | None:
        """Why the words of a respond cannot be taken, as the agent reads it; ``None`` if they can."""
        if type(content) is not str:
            return f"Error: respond needs a str 'content', got {type(content).__name__}"
        if self.max_chars is not None and len(content) > self.max_chars:
            return f"Error: a message has at most {self.max_chars} characters, got {len(content)}"
        return None
