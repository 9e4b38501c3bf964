"""Failed episodes can be run again; every reader of the file then sees the new trace in the old one's place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usersim_env import ScriptedUser, read_traces
from usersim_env.agent import Action, Observation
from usersim_env.rollouts import RolloutResult, RolloutSettings, rollout

TASKS = tuple(f"mock/test/{i}" for i in range(3))


@dataclass(frozen=True)
class Fragile:
    """Breaks on the tasks in ``down``, which is no setting of it: an outage."""

    down: frozenset[str] = frozenset()
    name: str = "fragile"
    privileged: bool = False

    def begin(self, info: Mapping[str, Any], seed: int) -> FragileSession:
        if info["task_id"] in self.down:
            raise ConnectionError("refused")
        return FragileSession()

    def describe(self) -> dict[str, Any]:
        return {}


class FragileSession:
    def act(self, observation: Observation) -> Action:
        return {"name": "respond", "arguments": {"content": "no"}}


def run(out: Path, down: frozenset[str] = frozenset(), retry: bool = False) -> RolloutResult:
    keywords = {"user": ScriptedUser(("hi",))}
    return rollout(Fragile(down), "TauMock-v0", RolloutSettings(TASKS, (0,), out, keywords, False, retry))


def test_only_failed_episodes_are_run_again(tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"
    first = run(out, frozenset(TASKS[1:2]))
    assert (first.resumed, first.failed, len(first.scored)) == (0, {"agent:error": 1}, 2)
    assert run(out).resumed == 3
    again = run(out, retry=True)
    assert (again.resumed, again.failed, len(again.scored)) == (2, {}, 3)
    assert len(out.read_bytes().splitlines()) == 4
    assert [t.task_id for t in read_traces(out)] == list(TASKS)
    assert all(t.valid for t in read_traces(out))
    assert run(out, retry=True).resumed == 3


def test_a_retry_that_fails_again_is_one_failed_episode(tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"
    for retry in (False, True, True):
        assert run(out, frozenset(TASKS[:1]), retry).failed == {"agent:error": 1}
    assert [t.valid for t in read_traces(out)] == [False, True, True]
    assert len(out.read_bytes().splitlines()) == 5


def test_a_scored_episode_is_never_replaced(tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"
    run(out)
    out.write_bytes(out.read_bytes() * 2)
    assert len(read_traces(out)) == 6
