"""What the bar says: success, cost of this run, failures by kind, whatever runs the episodes."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from usersim_env import Failure, ScriptedUser, Trace
from usersim_env.baselines.silent import Silent
from usersim_env.rollouts import ProgressBar, RolloutSettings, rollout, rollout_async
from usersim_env.rollouts.progress import Tally

PLAIN = RolloutSettings(["mock/test/0"], keywords={"user": ScriptedUser()}, progress=False)


@pytest.fixture
def trace() -> Trace:
    return rollout(Silent(), "TauMock-v0", PLAIN).traces[0]


def with_cost(trace: Trace, cost: float | None, reward: float | None = 1.0) -> Trace:
    return dataclasses.replace(
        trace, user=dataclasses.replace(trace.user, notes={"cost": cost}), reward=reward, failure=None
    )


def failed(trace: Trace, kind: str) -> Trace:
    return dataclasses.replace(trace, reward=None, failure=Failure("user", kind, "x"))


def test_success_cost_and_failures_so_far(trace: Trace) -> None:
    tally = Tally()
    assert str(tally) == "none scored"
    said = []
    for step in (
        with_cost(trace, 0.5),
        with_cost(trace, 0.25, 0.0),
        failed(trace, "timeout"),
        with_cost(trace, None),
        failed(trace, "outage"),
        failed(trace, "timeout"),
    ):
        tally.add(step)
        said.append(str(tally))
    assert said == [
        "success 1.000, $0.5000",
        "success 0.500, $0.7500",
        "success 0.500, $0.7500, failed: user:timeout 1",
        "success 0.667, $0.7500, cost of 1 unknown, failed: user:timeout 1",
        "success 0.667, $0.7500, cost of 1 unknown, failed: user:outage 1, user:timeout 1",
        "success 0.667, $0.7500, cost of 1 unknown, failed: user:outage 1, user:timeout 2",
    ]


def test_what_was_on_disk_is_done_but_cost_nothing_now(trace: Trace) -> None:
    tally = Tally([with_cost(trace, 3.0), failed(trace, "outage")])
    assert str(tally) == "success 1.000, failed: user:outage 1"


@pytest.mark.parametrize("many", [False, True])
def test_one_bar_for_every_rollout(many: bool, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    settings = dataclasses.replace(PLAIN, progress=True, seeds=range(3), out=tmp_path / "t.jsonl")
    run: Any = asyncio.run(rollout_async(Silent(), "TauMock-v0", settings)) if many else None
    result = run or rollout(Silent(), "TauMock-v0", settings)
    out, err = capfd.readouterr()
    assert len(result.traces) == 3 and out == ""
    assert "silent" in err and "3/3" in err and "success 0.000" in err


def test_a_bar_that_is_not_shown_says_nothing(trace: Trace, capfd: pytest.CaptureFixture[str]) -> None:
    with ProgressBar(2, "x", [trace], shown=False) as bar:
        bar.add(trace)
    assert capfd.readouterr() == ("", "")
