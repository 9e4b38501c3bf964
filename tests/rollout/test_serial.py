"""Rollouts: resuming, being killed, failures apart from scores, the selection of tasks, repeatability."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from usersim_env import Failure, ScriptedUser, TauEnv, Trace, TraceWriter, User, read_traces
from usersim_env.agent import Action, Observation
from usersim_env.baselines.oracle import Oracle
from usersim_env.baselines.silent import Silent
from usersim_env.errors import UnknownName, UsageError, UserSideError
from usersim_env.rollouts import RolloutResult, RolloutSettings, agent_seed, rollout, select_tasks
from usersim_env.traces.file import iter_traces

TASKS = [f"mock/test/{i}" for i in range(4)]
USER = ScriptedUser(("hi", "yes"), answers={"reuse": "Maybe"})


@dataclasses.dataclass(frozen=True)
class Faulty:
    """Moves nothing, and raises, or acts wrongly, on the tasks it is told to; keeps what it began."""

    faults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    begun: list[tuple[str, int]] = dataclasses.field(default_factory=list)
    name: str = "faulty"
    privileged: bool = False

    def begin(self, info: Mapping[str, Any], seed: int) -> FaultySession:
        self.begun.append((info["task_id"], seed))
        return FaultySession(self.faults.get(info["task_id"]))

    def describe(self) -> dict[str, Any]:
        return {}


class FaultySession:
    def __init__(self, fault: Any) -> None:
        self._fault = fault

    def act(self, observation: Observation) -> Action:
        if isinstance(self._fault, Exception):
            raise self._fault
        return {"name": "respond", "arguments": {"content": "no"}} if self._fault is None else self._fault


def run(
    agent: Any, out: Path | None = None, tasks: Any = TASKS, seeds: Any = (0, 1), user: User = USER, **more: Any
) -> RolloutResult:
    settings = RolloutSettings(tasks, seeds, out, {"user": user, **more}, progress=False)
    return rollout(agent, "TauMock-v0", settings)


def untimed(traces: Any) -> list[Trace]:
    return [dataclasses.replace(t, provenance=dataclasses.replace(t.provenance, started="", seconds=0)) for t in traces]


# -- results -----------------------------------------------------------------------------------------------------------


def test_oracle_on_the_whole_split() -> None:
    result = run(Oracle(), tasks=None, seeds=[0])
    assert [t.task_id for t in result.traces] == TASKS
    assert result.success == 1.0 and result.failed == {}
    assert all(t.agent.privileged and t.agent.name == "oracle" for t in result.traces)


def test_order_is_tasks_then_seeds() -> None:
    result = run(Silent(), tasks=TASKS[2:0:-1])
    assert [(t.task_id, t.seed) for t in result.traces] == [(t, s) for t in (TASKS[2], TASKS[1]) for s in (0, 1)]


def test_same_seeds_same_traces(tmp_path: Path) -> None:
    first, second = run(Silent(), tmp_path / "a.jsonl"), run(Silent(), tmp_path / "b.jsonl")
    assert untimed(first.traces) == untimed(second.traces)
    assert list(first.traces) == read_traces(tmp_path / "a.jsonl")
    alone = run(Silent(), tasks=[TASKS[3]], seeds=[1])
    assert untimed(alone.traces) == untimed(first.traces[-1:]), "an episode does not depend on those before it"


def test_no_tasks_is_not_all_tasks() -> None:
    result = run(Silent(), tasks=[])
    nothing = {"success": None, "success_bounds": None, "cost": None}
    assert result.summary() == {"episodes": 0, "resumed": 0, "scored": 0, "failed": {}, **nothing}


def test_unknown_task_is_found_before_the_first_episode(tmp_path: Path) -> None:
    agent = Faulty()
    with pytest.raises(UnknownName, match="Unknown task 'mock/test/99'"):
        run(agent, tmp_path / "t.jsonl", tasks=[TASKS[0], "mock/test/99"])
    assert agent.begun == [] and not (tmp_path / "t.jsonl").exists()


def test_agents_seed_depends_on_task_and_seed_only() -> None:
    agents = [Faulty(), Faulty()]
    run(agents[0])
    run(agents[1], user=ScriptedUser(("another",)))
    assert agents[0].begun == agents[1].begun
    assert len({seed for _, seed in agents[0].begun}) == 8
    assert agents[0].begun[0] == (TASKS[0], agent_seed(TASKS[0], 0))


def test_progress_goes_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    rollout(Silent(), "TauMock-v0", RolloutSettings(TASKS[:1], keywords={"user": USER}))
    out, err = capfd.readouterr()
    assert out == "" and "silent" in err


# -- failures ----------------------------------------------------------------------------------------------------------


class Outage(Exception):
    kind = "outage"


class Odd(Exception):
    kind = 3

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        (ValueError("boom"), "error", "ValueError: boom"),
        (Outage("down"), "outage", "Outage: down"),
        (Odd(), "error", "Odd"),
        ({"name": "respond"}, "invalid_action", "An action has a dict 'arguments', got NoneType"),
        ("hello", "invalid_action", "An action is a dict, got str"),
    ],
)
def test_failing_agent_is_not_scored_and_the_next_goes_on(tmp_path: Path, fault: Any, kind: str, message: str) -> None:
    result = run(Faulty({TASKS[1]: fault}), tmp_path / "t.jsonl", seeds=[0])
    assert [t.valid for t in result.traces] == [True, False, True, True]
    assert result.failed == {f"agent:{kind}": 1}
    failed = result.traces[1]
    assert failed.reward is None and failed.failure is not None and message in failed.failure.message
    assert read_traces(tmp_path / "t.jsonl") == list(result.traces)


def test_scored_and_failed_are_counted_apart() -> None:
    result = run(Oracle(), user=ScriptedUser(("hi", UserSideError("slow", kind="timeout"))), seeds=[0])
    # mock/test/3 ends by a transfer, before the user side is asked again
    assert result.summary() == {
        "episodes": 4,
        "resumed": 0,
        "scored": 1,
        "failed": {"user:timeout": 3},
        "success": 1.0,
        "success_bounds": (0.25, 1.0),
        "cost": None,
    }


def test_the_cost_is_that_of_the_episodes_whose_cost_is_known() -> None:
    traces = run(Oracle(), seeds=[0]).traces
    costs = (0.5, None, 0.25, None)
    priced = [
        dataclasses.replace(trace, provenance=dataclasses.replace(trace.provenance, cost=cost))
        for trace, cost in zip(traces, costs, strict=True)
    ]
    assert RolloutResult(tuple(priced)).cost == RolloutResult(tuple(priced)).summary()["cost"] == 0.75


def test_failure_at_the_opening_does_not_reach_the_agent() -> None:
    agent = Faulty()
    result = run(agent, user=ScriptedUser((RuntimeError("boom"),)), seeds=[0])
    assert agent.begun == [] and result.failed == {"user:error": 4} and result.success is None
    assert result.traces[0].failure == Failure("user", "error", "RuntimeError: boom")


def test_fault_of_the_env_is_not_blamed_on_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    def step(self: TauEnv, action: Any) -> Any:
        raise OSError("disk full")

    monkeypatch.setattr(TauEnv, "step", step)
    with pytest.raises(OSError, match="disk full"):
        run(Silent())


# -- resuming ----------------------------------------------------------------------------------------------------------


def test_finished_episodes_are_not_repeated(tmp_path: Path) -> None:
    out, agent = tmp_path / "t.jsonl", Faulty()
    run(agent, out, tasks=TASKS[:2], seeds=[0])
    first = out.read_bytes()
    result = run(agent, out)
    assert result.resumed == 2 and len(result.traces) == 8
    assert len(agent.begun) == len(set(agent.begun)) == 8
    assert out.read_bytes().startswith(first)
    again = run(agent, out)
    assert again.resumed == 8 and len(agent.begun) == 8
    assert again.traces == result.traces


@pytest.mark.parametrize(
    "changed",
    [
        {"agent": Silent()},
        {"user": ScriptedUser(("hi", "no"))},
        {"user": dataclasses.replace(USER, answers=None)},
        {"seeds": [7]},
        {"max_steps": 5},
        {"survey": False},
    ],
)
def test_another_setting_is_another_episode(tmp_path: Path, changed: dict[str, Any]) -> None:
    run(Faulty(), tmp_path / "t.jsonl", seeds=[0])
    settings: dict[str, Any] = {"agent": Faulty(), "seeds": [0]} | changed
    assert run(settings.pop("agent"), tmp_path / "t.jsonl", **settings).resumed == 0


def test_same_task_under_two_ids_is_two_episodes() -> None:
    settings = RolloutSettings(["retail/test/93", "retail/test/95"], keywords={"user": USER}, progress=False)
    result = rollout(Silent(), "TauRetail-v0", settings)
    assert [t.task_id for t in result.traces] == ["retail/test/93", "retail/test/95"]
    assert result.traces[0].task_hash == result.traces[1].task_hash


def test_half_written_line_is_run_again(tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"
    whole = run(Silent(), out)
    out.write_bytes(out.read_bytes()[:-30])
    with pytest.warns(UserWarning, match="was cut in the middle"):
        result = run(Silent(), out)
    assert result.resumed == 7
    assert untimed(result.traces) == untimed(whole.traces)


def test_broken_off_episode_is_run_again(tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"
    whole = run(Silent(), seeds=[0])
    with TraceWriter(out) as writer:
        writer.write(dataclasses.replace(whole.traces[0], ended_by="cut", reward=None))
    result = run(Silent(), out, seeds=[0])
    assert result.resumed == 0
    assert untimed(result.traces) == untimed(whole.traces)
    assert len(list(iter_traces(out))) == 5, "what was there is kept"
    assert all(trace.valid for trace in read_traces(out))


SLOW = """
import os, sys, time
from usersim_env.baselines.silent import Silent
from usersim_env.rollouts import RolloutSettings, rollout
from usersim_env import ScriptedUser

class Slow(Silent):
    def begin(self, info, seed):
        os.write(1, b"begun\\n")
        time.sleep(0.01)
        return super().begin(info, seed)

user = ScriptedUser(("hi", "yes"), answers={"reuse": "Maybe"})
rollout(Slow(), "TauMock-v0", RolloutSettings(None, range(500), sys.argv[1], {"user": user}, progress=False))
"""


def test_kill_loses_at_most_the_episode_in_flight(tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"
    with subprocess.Popen([sys.executable, "-c", SLOW, str(out)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        begun = b"".join(process.stdout.readline() for _ in range(20))
        time.sleep(0.004)
        os.kill(process.pid, signal.SIGKILL)
        begun += process.stdout.read()
        assert process.wait() == -signal.SIGKILL
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*was cut in the middle.*")
        kept = read_traces(out)
        assert 19 <= len(kept) <= begun.count(b"\n") <= len(kept) + 1
        seeds = range(len(kept) // 2)
        result = run(Silent(), out, tasks=None, seeds=seeds)
    wanted = {(t.task_id, t.seed) for t in result.traces}
    assert result.resumed == len({(t.task_id, t.seed) for t in kept} & wanted) > 0
    assert len(result.traces) == 4 * len(seeds)
    assert untimed(result.traces) == untimed(run(Silent(), tasks=None, seeds=seeds).traces)


# -- selecting tasks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [("all", [0, 1, 2, 3]), ("0-1", [0, 1]), ("1,3", [1, 3]), ("3, 0-1,1", [3, 0, 1]), ("2", [2])],
)
def test_select_tasks(selection: str, wanted: list[int]) -> None:
    assert select_tasks("mock", "test", selection) == [TASKS[i] for i in wanted]


@pytest.mark.parametrize("selection", ["", "x", "1-", "-1", "1,,2", "0..3", "1.5", "ALL", "0-1-2"])
def test_senseless_selection(selection: str) -> None:
    with pytest.raises(UsageError, match="--tasks takes all, 0-9, 1,4 or ids; got "):
        select_tasks("mock", "test", selection)


def test_a_selection_the_wrong_way_round() -> None:
    with pytest.raises(UsageError, match="--tasks 2-1: the smaller number comes first: 1-2"):
        select_tasks("mock", "test", "2-1")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tasks": "mock/test/0"}, r"tasks is a list of task ids such as \['retail/test/0'\], got 'mock/test/0'"),
        ({"seeds": 3}, r"seeds is a list of seeds such as range\(3\), got 3"),
        ({"keywords": "humanlike"}, "keywords is a dict of further keywords of gym.make, got 'humanlike'"),
    ],
)
def test_settings_of_another_kind(settings: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RolloutSettings(**settings)
    with pytest.raises(UsageError, match=r"settings is a RolloutSettings.*got dict"):
        rollout(Silent(), "TauMock-agenda-v0", settings)


def test_a_result_shows_its_figures() -> None:
    assert repr(run(Silent(), seeds=[0])).startswith(
        "RolloutResult(episodes=4, resumed=0, scored=4, failed={}, success="
    )


@pytest.mark.parametrize("selection", ["4", "0-9"])
def test_selection_out_of_range(selection: str) -> None:
    with pytest.raises(UsageError, match=f"--tasks {selection}: mock test has the tasks 0 to 3"):
        select_tasks("mock", "test", selection)


def test_selection_of_an_unknown_split() -> None:
    with pytest.raises(UnknownName, match="Unknown split of airline 'train'"):
        select_tasks("airline", "train", "all")
