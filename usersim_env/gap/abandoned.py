"""How far episodes that a person walked out of could move the rule reward's gap.

They are not scored, and they are not missing at random: a person may leave because the agent is bad. So the gap is
computed as if all of them had failed, as if all had succeeded, and in the two worst cases (Manski's bounds).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from usersim_env.gap.bootstrap import BootstrapSettings, Interval, interval
from usersim_env.gap.pairing import Pairing, natural
from usersim_env.gap.sides import Side, is_abandoned


@dataclass(frozen=True)
class AbandonedBounds:
    """The rule reward's gap with abandoned episodes counted: tasks with a scored or abandoned episode on both sides.

    Attributes:
        sim, reference: abandoned episodes per side.
        sim_rate, reference_rate: their share of the scored and abandoned ones.
        as_zero: gap if all of them count as 0.
        as_one: gap if all of them count as 1.
        lowest: gap if the reference's count as 0 and the simulated as 1.
        highest: the other way round.
    """

    sim: int
    reference: int
    sim_rate: float
    reference_rate: float
    as_zero: Interval
    as_one: Interval
    lowest: Interval
    highest: Interval

    @property
    def any(self) -> bool:
        """Whether anybody walked off; if not, all four gaps are the gap itself."""
        return self.sim + self.reference > 0


def abandoned_bounds(pairing: Pairing, settings: BootstrapSettings) -> AbandonedBounds:
    """The bounds of a pairing."""

    def gap(sim_as: float, reference_as: float) -> Interval:
        sim, reference = _task_means(pairing.sim, sim_as), _task_means(pairing.reference, reference_as)
        found = interval(np.array([reference[t] - sim[t] for t in natural(sim.keys() & reference.keys())]), settings)
        assert found is not None  # a pairing has at least two tasks
        return found

    return AbandonedBounds(
        sim=pairing.sim.n_abandoned,
        reference=pairing.reference.n_abandoned,
        sim_rate=pairing.sim.abandonment_rate,
        reference_rate=pairing.reference.abandonment_rate,
        as_zero=gap(0.0, 0.0),
        as_one=gap(1.0, 1.0),
        lowest=gap(1.0, 0.0),
        highest=gap(0.0, 1.0),
    )


def _task_means(side: Side, abandoned_as: float) -> dict[str, float]:
    rewards: dict[str, list[float]] = {}
    for trace in side.traces:
        reward = abandoned_as if is_abandoned(trace) else trace.reward
        if reward is not None:
            rewards.setdefault(trace.task_id, []).append(reward)
    return {task: math.fsum(found) / len(found) for task, found in rewards.items()}
