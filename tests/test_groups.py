"""`drop_invalid`: an outage never becomes a 0 in a group's baseline."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from usersim_env.errors import UsageError
from usersim_env.feedback.groups import drop_invalid


@dataclass(frozen=True)
class Episode:
    reward: float | None


def test_whole_rows_go_and_the_order_stays() -> None:
    groups = [[Episode(1.0), Episode(None), Episode(0.0)], [Episode(0.0), Episode(0.0)]]
    assert drop_invalid(groups) == [[Episode(1.0), Episode(0.0)], [Episode(0.0), Episode(0.0)]]


def test_a_group_without_a_baseline_goes_too() -> None:
    groups = [[Episode(1.0), Episode(None)], [Episode(None), Episode(None)]]
    assert drop_invalid(groups) == []
    assert drop_invalid(groups, at_least=1) == [[Episode(1.0)]]


def test_a_reward_of_zero_is_a_reward() -> None:
    assert drop_invalid([[Episode(0.0), Episode(0.0)]]) == [[Episode(0.0), Episode(0.0)]]


def test_at_least_is_checked() -> None:
    with pytest.raises(UsageError, match="1 or more, got 0"):
        drop_invalid([], at_least=0)
