"""The rule reward beside the user side's own judgement: who is right is not said, only where they part.

*Judged successful* is an answer of 4 or more to the question whether the task succeeded; with 3 or more beside it. The
answer that an agent's policy stood in the way is a row of its own: it may be the right outcome or a wrong one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usersim_env.feedback.survey import FIELDS
from usersim_env.gap.episodes import AnyEpisode, answer_of
from usersim_env.gap.pass_k import succeeded
from usersim_env.gap.sides import Side

QUESTION = "task_success"
POLICY_LEVEL = 2
THRESHOLDS = (4, 3)

ROWS = ("successful (4, 5)", "partly (3)", "refused by policy (2)", "failed (1)", "no answer")


@dataclass(frozen=True)
class Missed:
    """Where reward and judgement part, with "successful" as ``threshold`` or more.

    Attributes:
        unrewarded: reward 0, but judged successful.
        reward_0: episodes with reward 0 and an answer.
        rewarded: reward 1, but not judged successful; without the answer about policy.
        rewarded_policy: reward 1, and the answer about policy.
        reward_1: episodes with reward 1 and an answer.
        agree: share of the answered episodes, without those about policy, in which both say the same; ``None``: none.
    """

    threshold: int
    unrewarded: int
    reward_0: int
    rewarded: int
    rewarded_policy: int
    reward_1: int
    agree: float | None


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of the rule reward with the level of an answer over ``n`` episodes.

    ``rho`` is ``None`` where it is not defined; ``word`` says why.
    """

    field: str
    rho: float | None
    n: int
    word: str = ""


@dataclass(frozen=True)
class Judgement:
    """Reward against judgement on one side.

    Attributes:
        table: row of `ROWS` → episodes with reward 0 and with reward 1.
        missed: per threshold, 4 first.
        correlations: per question, in the form's order.
    """

    table: dict[str, tuple[int, int]]
    missed: tuple[Missed, ...]
    correlations: tuple[Correlation, ...]

    @property
    def answered(self) -> int:
        """Episodes in which somebody judged the success."""
        return sum(sum(self.table[row]) for row in ROWS[:-1])


def judgement(side: Side, tasks: Sequence[str]) -> Judgement:
    """Of the scored episodes of the tasks."""
    traces = [trace for task in tasks for trace in side.scored[task]]
    levels = [_level(trace, QUESTION) for trace in traces]
    rewards = [succeeded(trace.reward or 0.0) for trace in traces]
    counts = {row: [0, 0] for row in ROWS}
    for level, reward in zip(levels, rewards, strict=True):
        counts[_row(level)][reward] += 1
    return Judgement(
        table={row: (count[0], count[1]) for row, count in counts.items()},
        missed=tuple(_missed(levels, rewards, threshold) for threshold in THRESHOLDS),
        correlations=tuple(_correlation(traces, field) for field in FIELDS),
    )


def spearman(x: ArrayLike, y: ArrayLike) -> float | None:
    """Pearson's correlation of the midranks; ``None`` where one of the two is constant.

    Source: Spearman, American Journal of Psychology 15 (1904); equal values share the mean of their ranks.
    """
    a, b = (_midranks(np.asarray(values, dtype=np.float64)) for values in (x, y))
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(np.clip(a @ b / size, -1, 1)) if size > 0 else None


def _midranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    middle: NDArray[np.float64] = last - (counts - 1) / 2
    return middle[inverse]


def _level(trace: AnyEpisode, field: str) -> int | None:
    label = answer_of(trace, field)
    return None if label is None else FIELDS[field].level(label)


def _row(level: int | None) -> str:
    if level is None:
        return ROWS[4]
    return ROWS[0] if level >= THRESHOLDS[0] else ROWS[4 - level]


def _missed(levels: Sequence[int | None], rewards: Sequence[bool], threshold: int) -> Missed:
    pairs = [(level, reward) for level, reward in zip(levels, rewards, strict=True) if level is not None]
    plain = [(level >= threshold, reward) for level, reward in pairs if level != POLICY_LEVEL]
    return Missed(
        threshold=threshold,
        unrewarded=sum(judged and not reward for judged, reward in plain),
        reward_0=sum(not reward for _, reward in pairs),
        rewarded=sum(reward and not judged for judged, reward in plain),
        rewarded_policy=sum(reward and level == POLICY_LEVEL for level, reward in pairs),
        reward_1=sum(reward for _, reward in pairs),
        agree=sum(judged == reward for judged, reward in plain) / len(plain) if plain else None,
    )


def _correlation(traces: Sequence[AnyEpisode], field: str) -> Correlation:
    pairs = [(trace.reward, level) for trace in traces if (level := _level(trace, field)) is not None]
    n = len(pairs)
    if n < 3:
        return Correlation(field, None, n, "nobody was asked" if n == 0 else f"{n} answer{'s' * (n > 1)} only")
    rewards, levels = zip(*pairs, strict=True)
    rho = spearman(rewards, levels)
    if rho is not None:
        return Correlation(field, rho, n)
    same = "every reward is the same" if len(set(rewards)) == 1 else "every answer has the same level"
    return Correlation(field, None, n, same)
