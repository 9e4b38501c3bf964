"""What became of all episodes of a training process: so that a model that learns to fail is seen, not left out."""

from __future__ import annotations

import threading
import warnings
from collections import Counter

from usersim_env.feedback.values import Failure
from usersim_env.rollouts import LOUD, failure_name

LEAST = 20
"""Episodes from which on a tally warns of failures."""


class FailedEpisodesWarning(UserWarning):
    """Many episodes of a training run have failed and are not scored."""


class Tally:
    """Counts finished episodes. One that failed could have been lost or won: `numbers` has the reward both ways.

    Args:
        low: the lowest reward that an episode can have.
        high: the highest.
    """

    def __init__(self, low: float = 0.0, high: float = 1.0) -> None:
        self._range = low, high
        self._scored, self._sum = 0, 0.0
        self._failed: Counter[str] = Counter()
        self._told = False
        self._lock = threading.Lock()  # some trainers play in threads

    @property
    def failed(self) -> dict[str, int]:
        """Episodes that are not scored, by ``side:kind``."""
        return dict(self._failed)

    def add(self, reward: float | None, failure: Failure | None) -> None:
        """One finished episode; ``None``: not scored.

        Warns:
            FailedEpisodesWarning: once, when more than a tenth of twenty or more have failed.
        """
        with self._lock:
            if reward is None:
                self._failed[failure_name(failure, "not scored")] += 1
            else:
                self._scored, self._sum = self._scored + 1, self._sum + reward
            failed = sum(self._failed.values())
            tell = not self._told and failed + self._scored >= LEAST and failed > LOUD * (failed + self._scored)
            self._told = self._told or tell
        if tell:
            warnings.warn(
                f"{failed} of {failed + self._scored} episodes have failed and are not scored ({self.failed}). A model "
                "can gain by that: see the tally's numbers, or set agent_failures='zero'.",
                FailedEpisodesWarning,
                stacklevel=2,
            )

    def numbers(self) -> dict[str, float]:
        """Flat numbers for a training log: ``episodes``, ``failed``, and the mean reward.

        ``reward`` is of the scored ones; ``reward_low`` and ``reward_high`` are as if all failed episodes had the
        lowest reward that there is, and the highest. Means are absent where there is no episode to take them of.
        """
        failed = sum(self._failed.values())
        whole = self._scored + failed
        found = {"episodes": float(whole), "failed": float(failed)}
        if self._scored:
            found["reward"] = self._sum / self._scored
        if whole:
            for name, value in zip(("reward_low", "reward_high"), self._range, strict=True):
                found[name] = (self._sum + failed * value) / whole
        return found
