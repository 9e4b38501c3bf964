"""What a user side may know when it is its turn."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from usersim_env.feedback.survey import QUESTIONS, Question
from usersim_env.messages import Message


class Scene(NamedTuple):
    """A snapshot for the user seat: no tool calls, no thoughts of the agent, no expected calls.

    A named tuple, not a dataclass, because one is made for every turn and it must cost nothing.
    """

    task_id: str
    instruction: str
    transcript: tuple[Message, ...] = ()
    """The visible turns so far, oldest first."""
    waited: int = 0
    """Agent steps since the user side's last turn (tool calls it saw nothing of, and the reply itself)."""
    seed: int = 0
    """Seed of this episode."""
    form: tuple[Question, ...] = QUESTIONS
    """The survey it will be asked to fill in."""
    events: tuple[Mapping[str, Any], ...] = ()
    """The full transcript with its tool calls, for a side that ``sees_everything`` (replay); else empty."""

    def rng(self) -> np.random.Generator:
        """A generator for this turn, a function of the episode's seed, its task and the number of turns so far.

        So a session that draws from it is a function of what it has seen and can be rebuilt from a transcript, and
        the same seed on another task draws something else.
        """
        return np.random.default_rng((self.seed, zlib.crc32(self.task_id.encode()), len(self.transcript)))
