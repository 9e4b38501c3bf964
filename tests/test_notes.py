"""What a seat notes of its episode is from outside: a wrong cost costs no episode, no rollout and no resume."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from usersim_env.conversation.notes import DEAREST, kept_notes, known_cost
from usersim_env.env.tau_env import TauEnv
from usersim_env.rollouts import RolloutSettings, rollout, rollout_async
from usersim_env.rollouts.progress import Tally
from usersim_env.traces.file import read_traces
from usersim_env.traces.trace import Seat

WRONG = ("twelve dollars", "0.5", float("nan"), float("inf"), 10**400, 1e308, -0.01, True, [1.0], {"usd": 1}, b"1")


@pytest.mark.parametrize("value", [*WRONG, None, -(10**400), float("-inf"), np.float32("nan"), object()])
def test_what_is_no_cost_is_unknown(value: object) -> None:
    assert known_cost(value) is None


@pytest.mark.parametrize("value", [0, 0.0, 1, 0.25, DEAREST, np.float32(0.5), np.float64(2.0), np.int64(3)])
def test_what_is_a_cost(value: Any) -> None:
    found = known_cost(value)
    assert type(found) is float and found == float(value)


class Session:
    def __init__(self, notes: Any) -> None:
        self._notes = notes

    def act(self, observation: Mapping[str, str]) -> dict[str, Any]:
        return {"name": "respond", "arguments": {"content": "Goodbye!"}}

    def notes(self) -> Any:
        if isinstance(self._notes, Exception):
            raise self._notes
        return self._notes


class Noting:
    """An agent with notes of any kind."""

    name, privileged = "noting", False

    def __init__(self, notes: Any) -> None:
        self._notes = notes

    def describe(self) -> dict[str, Any]:
        return {}

    def begin(self, info: Mapping[str, Any], seed: int) -> Session:
        return Session(self._notes)


def test_notes_are_kept_as_json_and_a_wrong_cost_is_said() -> None:
    notes = {"calls": 3, "model": object(), "text": float("nan"), "cost": "12"}
    with pytest.warns(UserWarning, match=r"^The agent 'x' reports a cost in notes\(\) that is no number of US dollars"):
        kept = kept_notes(Session(notes), "The agent 'x'")
    assert (kept["calls"], kept["cost"]) == (3, None)
    json.dumps(kept, allow_nan=False)


@pytest.mark.parametrize(
    "notes", [{"cost": None}, {"cost": 0.5}, {"cost": np.float64(0.5), 1: 2}, {}, {"tokens": 10**400}]
)
def test_a_right_cost_and_none_are_no_warning(notes: Any) -> None:
    json.dumps(kept_notes(Session(notes), "The agent 'x'"), allow_nan=False)


@pytest.mark.parametrize("notes", ["words", 5, RuntimeError("no notes"), None])
def test_notes_that_fail_are_noted(notes: Any) -> None:
    assert list(kept_notes(Session(notes), "The agent 'x'")) == ["notes_failed"]
    assert kept_notes(None, "The agent 'x'") == kept_notes(object(), "The agent 'x'") == {}


@pytest.mark.parametrize("cost", WRONG)
@pytest.mark.parametrize("awaited", [False, True])
def test_a_rollout_with_a_wrong_cost_is_whole_and_can_be_resumed(tmp_path: Path, cost: object, awaited: bool) -> None:
    agent, env = Noting({"cost": cost, "calls": 2}), "TauMock-agenda-v0"
    settings = RolloutSettings(tasks=["mock/test/0", "mock/test/1"], out=tmp_path / "t.jsonl", progress=False)

    def play() -> None:
        if awaited:
            asyncio.run(rollout_async(agent, env, settings))
        else:
            rollout(agent, env, settings)

    with pytest.warns(UserWarning, match="The agent 'noting' reports a cost"):
        play()
    traces = read_traces(tmp_path / "t.jsonl")
    assert [t.provenance.cost for t in traces] == [None, None]
    assert [(t.agent.notes["cost"], t.agent.notes["calls"]) for t in traces] == [(None, 2)] * 2
    again = rollout(agent, env, settings)
    assert (again.resumed, again.cost) == (2, None)
    tally = Tally()
    tally.add(traces[0])
    assert "cost of 1 unknown" in str(tally)


@pytest.mark.parametrize("notes", [RuntimeError("no notes"), "words"])
def test_notes_that_raise_end_no_rollout(notes: Any) -> None:
    settings = RolloutSettings(tasks=["mock/test/0"], progress=False)
    (trace,) = rollout(Noting(notes), "TauMock-agenda-v0", settings).traces
    assert list(trace.agent.notes) == ["notes_failed"] and trace.valid


@pytest.mark.parametrize("cost", WRONG)
def test_a_seat_that_somebody_made_with_a_wrong_cost_is_unknown_too(cost: Any) -> None:
    env = gym.make("TauMock-agenda-v0").unwrapped
    assert isinstance(env, TauEnv)
    env.agent_seat = Seat("agent", "mine", notes={"cost": cost})
    env.reset(seed=0)
    trace = env.trace()
    assert trace.provenance.cost is None
    tally = Tally()
    tally.add(trace)
    assert "cost of 1 unknown" in str(tally)
    env.close()


def test_an_episode_takes_no_time_below_0(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's clock is set back by an hour while it runs."""
    env = gym.make("TauMock-agenda-v0").unwrapped
    assert isinstance(env, TauEnv)
    env.reset(seed=0)
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert 0 <= env.trace().provenance.seconds < 60
    env.close()
