"""What a rollout gives back."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from usersim_env.feedback.values import Failure
from usersim_env.traces.trace import Trace
from usersim_env.visible import html_table


@dataclass(frozen=True, repr=False)
class RolloutResult:
    """Traces in the order of tasks and seeds, how many of them were on disk already, and how many others were there."""

    traces: tuple[Trace, ...]
    resumed: int = 0
    others: int = 0

    @property
    def scored(self) -> tuple[Trace, ...]:
        """Episodes with a reward."""
        return tuple(t for t in self.traces if t.valid)

    @property
    def failed(self) -> dict[str, int]:
        """Episodes without a reward, by ``side:kind``."""
        return dict(Counter(failure_name(t.failure, t.ended_by) for t in self.traces if not t.valid))

    @property
    def success(self) -> float | None:
        """Mean rule reward of the scored episodes; ``None`` when there is none."""
        rewards = [t.reward for t in self.traces if t.reward is not None]
        return math.fsum(rewards) / len(rewards) if rewards else None

    @property
    def success_bounds(self) -> tuple[float, float] | None:
        """The same if all failed episodes count as 0, and as 1: an agent may cause a failure instead of a loss."""
        failed = sum(t.ended_by == "failure" and not t.valid for t in self.traces)
        whole = len(self.scored) + failed
        if not whole:
            return None
        won = math.fsum(t.reward for t in self.traces if t.reward is not None)
        return won / whole, (won + failed) / whole

    @property
    def cost(self) -> float | None:
        """US dollars for the model calls of all episodes whose cost is known; ``None`` when there is none."""
        known = [t.provenance.cost for t in self.traces if t.provenance.cost is not None]
        return math.fsum(known) if known else None

    def __repr__(self) -> str:
        """The figures: asyncio makes one of every task's result, and thousands of traces would take a while."""
        figures = ", ".join(f"{name}={value!r}" for name, value in self.summary().items())
        return f"RolloutResult({figures})"

    def _repr_html_(self) -> str:
        """The figures as a table, for notebooks."""
        return html_table(
            "Rollout", ("figure", "value"), ((name, str(value)) for name, value in self.summary().items())
        )

    def summary(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {
            "episodes": len(self.traces),
            "resumed": self.resumed,
            "scored": len(self.scored),
            "failed": self.failed,
            "success": self.success,
            "success_bounds": self.success_bounds,
            "cost": self.cost,
        }


LOUD = 0.1
"""Share of failed episodes above which success over the others says little."""


def failure_name(failure: Failure | None, ended_by: str) -> str:
    """What an episode without a reward is counted under."""
    return f"{failure.side}:{failure.kind}" if failure is not None else ended_by
