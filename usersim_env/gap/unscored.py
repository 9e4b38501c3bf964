"""How far episodes that are not scored could move the rule reward's gap.

They are not missing at random: a person may leave because the agent is bad, and an agent may bring about that an
episode fails which it would lose. So the gap is computed as if all of them had failed, as if all had succeeded, and in
the two worst cases (Manski's bounds). Episodes that were broken off, or whose recording was used up, stay out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from usersim_env.gap.bootstrap import BootstrapSettings, Interval, interval
from usersim_env.gap.episodes import AnyEpisode
from usersim_env.gap.pairing import Pairing, natural
from usersim_env.gap.sides import Side, is_abandoned


@dataclass(frozen=True)
class UnscoredBounds:
    """The rule reward's gap with episodes counted that are not scored, over tasks that both sides have then.

    Attributes:
        sim, reference: how many they are per side.
        sim_rate, reference_rate: their share of them and the scored ones.
        sim_success, reference_success: mean success per side if all of them count as 0, and as 1.
        as_zero: gap if all of them count as 0.
        as_one: gap if all of them count as 1.
        lowest: gap if the reference's count as 0 and the simulated as 1.
        highest: the other way round.
    """

    sim: int
    reference: int
    sim_rate: float
    reference_rate: float
    sim_success: tuple[float, float]
    reference_success: tuple[float, float]
    as_zero: Interval
    as_one: Interval
    lowest: Interval
    highest: Interval

    @property
    def any(self) -> bool:
        """Whether there are any; if not, all four gaps are the gap itself."""
        return self.sim + self.reference > 0


def abandoned_bounds(pairing: Pairing, settings: BootstrapSettings) -> UnscoredBounds:
    """The bounds with those episodes counted that a person left."""
    return _bounds(pairing, settings, is_abandoned)


def failure_bounds(pairing: Pairing, settings: BootstrapSettings) -> UnscoredBounds:
    """The bounds with every failed episode counted, whoever failed."""
    return _bounds(pairing, settings, lambda trace: trace.ended_by == "failure")


def _bounds(pairing: Pairing, settings: BootstrapSettings, counts: Callable[[AnyEpisode], bool]) -> UnscoredBounds:
    means = {(side.role, value): _task_means(side, counts, value) for side in pairing.sides for value in (0.0, 1.0)}

    def gap(sim_as: float, reference_as: float) -> Interval:
        sim, reference = means[pairing.sim.role, sim_as], means[pairing.reference.role, reference_as]
        found = interval(np.array([reference[t] - sim[t] for t in natural(sim.keys() & reference.keys())]), settings)
        assert found is not None  # a pairing has at least two tasks
        return found

    def success(side: Side) -> tuple[float, float]:
        low, high = (list(means[side.role, value].values()) for value in (0.0, 1.0))
        return math.fsum(low) / len(low), math.fsum(high) / len(high)

    numbers = [sum(not trace.valid and counts(trace) for trace in side.traces) for side in pairing.sides]
    rates = [n / max(n + side.n_scored, 1) for n, side in zip(numbers, pairing.sides, strict=True)]
    return UnscoredBounds(
        sim=numbers[0],
        reference=numbers[1],
        sim_rate=rates[0],
        reference_rate=rates[1],
        sim_success=success(pairing.sim),
        reference_success=success(pairing.reference),
        as_zero=gap(0.0, 0.0),
        as_one=gap(1.0, 1.0),
        lowest=gap(1.0, 0.0),
        highest=gap(0.0, 1.0),
    )


def _task_means(side: Side, counts: Callable[[AnyEpisode], bool], value: float) -> dict[str, float]:
    rewards: dict[str, list[float]] = {}
    for trace in side.traces:
        reward = value if not trace.valid and counts(trace) else trace.reward
        if reward is not None:
            rewards.setdefault(trace.task_id, []).append(reward)
    return {task: math.fsum(found) / len(found) for task, found in rewards.items()}
