"""What comes back from an episode beside the reward, and what is known when it failed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from usersim_env.feedback.behaviour import features_of_turns
from usersim_env.feedback.survey import Survey


@dataclass(frozen=True)
class Failure:
    """Why an episode is not scored.

    Attributes:
        side: whose fault: ``"user"``, ``"agent"``, ``"file"``, or ``"study"`` for what served a person.
        kind: what summaries group by, for example ``"outage"``, ``"timeout"``, ``"abandoned"``, ``"bad_reply"``,
            ``"stopped_at_open"``, ``"error"``, ``"interrupted"``; see docs/failures.md.
        message: one sentence for a reader.
        frames: where an exception came from, the innermost last, such as ``agent.py:17 in act``; files without folders,
            and none of this package's. No part of equality: each driver comes to a seat on its own way.
    """

    side: str
    kind: str
    message: str
    frames: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Effort:
    """Counts of one episode; words are runs of non-blank characters."""

    user_turns: int
    user_words: int
    agent_turns: int
    agent_words: int
    tool_calls: int
    tool_errors: int


@dataclass(frozen=True)
class Replayed:
    """How far a recording that played the user side was followed. Turns are those of the user side, 0 the opening.

    Attributes:
        id: of the recorded trace.
        source_kind: what sat in the user's seat when it was recorded.
        turns: recorded turns.
        used: how many of them were played.
        left_at: the turn before which the agent had left the recording (``turns`` or ``used``: at the end); ``None``
            where it was followed.
        used_up: the agent went on when there was no recorded turn any more.
        handed_over_at: the first turn of the user side that took over.
        divergence: per turn, and at an end that the agent made, in [0, 1]; see docs/replay.md.
        survey: ``counted`` (the recorded answers), ``left`` (there are some, but about another course of events),
            ``none recorded``, ``handover`` (those of the side that took over) or ``not asked``.
    """

    id: str
    source_kind: str
    turns: int
    used: int
    left_at: int | None
    used_up: bool
    handed_over_at: int | None
    divergence: tuple[float, ...]
    survey: str

    @property
    def followed(self) -> bool:
        """Whether the agent kept to the recording all the way to its end."""
        return self.left_at is None and not self.used_up


@dataclass(frozen=True)
class Feedback:
    """Everything that an ended episode says about the agent.

    Attributes:
        reward: the rule reward, 0.0 or 1.0; ``None`` when the episode is not scored.
        checks: what the reward is made of, name → passed; empty when not scored.
        survey: the user side's eight answers; ``None`` when nobody was asked or nothing usable came.
        effort: counts.
        user_texts: the user side's turns, which `behaviour` is computed from.
        n_messages: visible turns of both seats.
        recording: how far a recording was followed; ``None`` where the user side was none.
    """

    reward: float | None
    checks: Mapping[str, bool]
    survey: Survey | None
    effort: Effort
    user_texts: tuple[str, ...] = field(default=(), repr=False)
    n_messages: int = field(default=0, repr=False)
    recording: Replayed | None = None

    @cached_property
    def behaviour(self) -> dict[str, float] | None:
        """The 19 features of the user side's turns (and ``n_turns``), computed when first asked for."""
        return features_of_turns(self.user_texts, self.n_messages)

    @cached_property
    def signals(self) -> dict[str, float]:
        """Named numbers in [0, 1] for reward mixing; a signal that is missing is absent, never 0.

        ``rule``; ``survey.<field>`` as ``(level - lowest) / (highest - lowest)``; ``survey.mean`` over the answered.
        """
        found = {} if self.reward is None else {"rule": self.reward}
        if self.survey is not None:
            answers = self.survey.normalised()
            found |= {f"survey.{name}": x for name, x in answers.items()}
            found["survey.mean"] = math.fsum(answers.values()) / len(answers)
        return found
