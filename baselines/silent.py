"""`Silent`: an agent that never does anything. Whatever it scores, the task gives away for free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from usersim_env.agent import Action, Observation
from usersim_env.messages import RESPOND


@dataclass(frozen=True)
class Silent:
    """Answers every observation with the same neutral sentence.

    τ-bench gives a do-nothing agent 1.0 where the expected database is the initial one and nothing has to be said:
    7 of 115 retail test tasks, 19 of 50 airline test tasks.
    """

    name: ClassVar[str] = "silent"
    privileged: ClassVar[bool] = False

    def begin(self, info: Mapping[str, Any], seed: int) -> _SilentSession:
        """Starts one episode; nothing in ``info`` is looked at and nothing is drawn."""
        return _SilentSession()

    def describe(self) -> dict[str, Any]:
        """No settings."""
        return {}


class _SilentSession:
    def act(self, observation: Observation) -> Action:
        return {"name": RESPOND, "arguments": {"content": SENTENCE}}


SENTENCE = "Thank you for your message."
"""What `Silent` says, always. No required output of any task occurs in it."""
