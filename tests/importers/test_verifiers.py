"""What verifiers saves, of two generations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from usersim_env.errors import TraceError
from usersim_env.importers import ImportResult, ImportSettings, import_files
from usersim_env.traces.trace import Trace

CALL = {"id": "c1", "type": "function", "name": "find_order", "arguments": '{"number": 7}'}
TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Where is my lamp?"},
    {"role": "assistant", "reasoning_content": "Secret plan.", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "lost"},
    {"role": "assistant", "content": "It is lost."},
]
SHOWN = [("user", "Where is my lamp?"), ("agent", "It is lost.")]


def agent(**changes: Any) -> dict[str, Any]:
    nodes = [{"parent": number - 1 if number else None, "message": message} for number, message in enumerate(TALK)]
    found = {
        "id": "t1",
        "agent": {"name": "agent", "trainable": True},
        "nodes": nodes,
        "calls": [{"node": 2, "model": "org/m"}],
        "rewards": {"done": {"score": 1.0, "weight": 0.5}, "judge": None},
        "is_completed": True,
        "ok": True,
        "errors": [],
        "stop_condition": "agent_completed",
        "timing": {"start": 1793527200.0},
    }
    return found | changes


def episode(*traces: dict[str, Any], **changes: Any) -> dict[str, Any]:
    task = {"type": "T", "data": {"question": "lamp"}, "key": "lamp", "hash": "ab" * 32}
    return {"id": "e1", "env": {"id": "shop"}, "task": task, "ok": True, "errors": [], "traces": list(traces)} | changes


def row(**changes: Any) -> dict[str, Any]:
    found = {
        "example_id": 3,
        "prompt": TALK[:2],
        "completion": [{**TALK[2], "tool_calls": [json.dumps(CALL)]}, *TALK[3:]],
        "answer": "lost",
        "reward": 0.75,
        "is_completed": True,
        "is_truncated": False,
        "stop_condition": None,
    }
    return found | changes


def load(tmp_path: Path, *lines: dict[str, Any], **settings: Any) -> ImportResult:
    path = tmp_path / "results.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return import_files([path], settings=ImportSettings(**settings))


def one(tmp_path: Path, line: dict[str, Any], **settings: Any) -> Trace:
    (trace,) = load(tmp_path, line, **settings).traces
    return trace


def test_an_episode_is_a_trace(tmp_path: Path) -> None:
    trace = one(tmp_path, episode(agent()))
    assert [(m.role, m.content) for m in trace.messages] == SHOWN
    call = next(event for event in trace.events if event.get("name") == "find_order")
    assert (call["arguments"], call["result"]) == ({"number": 7}, "lost")
    assert (trace.task_id, trace.task_hash, trace.domain) == ("shop/verifiers/lamp", "ab" * 32, "shop")
    assert (trace.reward, trace.ended_by, trace.agent.name) == (0.5, "agent", "org/m")
    assert trace.provenance.started == "2026-11-01T10:00:00+00:00"


def test_of_several_branches_the_last_is_read(tmp_path: Path) -> None:
    nodes = agent()["nodes"]
    wrong = {"parent": 1, "message": {"role": "assistant", "content": "Wrong."}}
    nodes = [*nodes[:2], wrong, *({**node, "parent": at} for node, at in zip(nodes[2:], (1, 3, 4), strict=True))]
    result = load(tmp_path, episode(agent(nodes=nodes)))
    assert [(m.role, m.content) for m in result.traces[0].messages] == SHOWN
    assert "2 branches of messages: the last one is read" in result.notes[0]


def test_agents_that_are_not_evaluated_are_no_records(tmp_path: Path) -> None:
    judge = agent(id="t2", agent={"name": "judge", "trainable": False})
    assert [trace.source["key"] for trace in load(tmp_path, episode(judge, agent())).traces] == ["t1"]
    second = agent(id="t3", agent={"name": "second"})
    assert len(load(tmp_path, episode(agent(), second)).traces) == 2


def test_episodes_of_our_own_env_are_refused_since_calls_are_talk_in_them(tmp_path: Path) -> None:
    data = {"task_id": "retail/test/3", "seed": 1, "settings": {"env_id": "TauRetail-agenda-v0"}}
    with pytest.raises(
        TraceError, match=r"calls and results are written as talk\. Give the taskset keywords=\{'record'"
    ):
        load(tmp_path, episode(agent(), task={"data": data, "key": "retail/test/3#1"}))
    theirs = one(tmp_path, episode(agent(), task={"data": {"task_id": "retail/test/3"}, "key": "k"}))
    assert theirs.task_id == "shop/verifiers/k", "an id like ours makes nobody's task ours"


def test_without_an_agent_that_is_trained_all_are_read(tmp_path: Path) -> None:
    trace = one(tmp_path, episode(agent(agent={"name": "a", "trainable": False})))
    assert (trace.reward, trace.failure) == (0.5, None)


def test_a_reward_without_a_weight_has_weight_1(tmp_path: Path) -> None:
    assert one(tmp_path, episode(agent(rewards={"done": {"score": 1.0}}))).reward == 1.0


def test_a_parent_that_is_no_number_is_named(tmp_path: Path) -> None:
    nodes = [*agent()["nodes"], {"parent": [0], "message": TALK[0]}]
    with pytest.raises(TraceError, match="parent: expected int"):
        load(tmp_path, episode(agent(nodes=nodes)))


def test_arguments_that_are_no_json_lose_no_episode(tmp_path: Path) -> None:
    broken = {**TALK[2], "tool_calls": [{**CALL, "arguments": '{"number": 7'}]}
    result = load(tmp_path, row(reward=0.0, completion=[broken, *TALK[3:]]))
    call = next(event for event in result.traces[0].events if event.get("name") == "find_order")
    assert call["arguments"] == {"unparsed": '{"number": 7'} and result.traces[0].reward == 0.0
    assert "arguments that are no JSON" in result.notes[0]


def test_equal_rows_are_two_episodes(tmp_path: Path) -> None:
    assert len({trace.id for trace in load(tmp_path, row(), row()).traces}) == 2


def test_a_crash_after_a_stop_is_a_failure(tmp_path: Path) -> None:
    talk = [*TALK, {"role": "user", "content": "Bye. ###STOP###"}]
    trace = one(tmp_path, row(completion=talk[2:], error="boom"))
    assert (trace.ended_by, trace.reward) == ("failure", None)
    assert one(tmp_path, row(completion=talk[2:])).ended_by == "user"


def test_a_row_is_a_trace(tmp_path: Path) -> None:
    trace = one(tmp_path, row(), domain="shop", agent="org/m")
    assert [(m.role, m.content) for m in trace.messages] == SHOWN
    assert (trace.effort.tool_calls, trace.reward, trace.ended_by) == (1, 0.75, "agent")
    assert (trace.task_id, trace.domain, trace.agent.name) == ("shop/verifiers/3", "shop", "org/m")
    text = one(tmp_path, row(prompt="Where is my lamp?", completion="It is lost."), domain="shop")
    assert [(m.role, m.content) for m in text.messages] == SHOWN and text.task_hash != trace.task_hash
    nowhere = load(tmp_path, row())
    assert nowhere.traces[0].domain == nowhere.traces[0].task_hash == "" and "--domain" in nowhere.notes[0]


FAILED = {"ok": False, "errors": [{"type": "ProviderError", "message": "no quota"}]}


@pytest.mark.parametrize(
    ("line", "ended_by", "reward"),
    [
        (episode(agent(**FAILED)), "failure", None),
        (episode(agent(ok=True), **FAILED), "failure", None),
        (episode(agent(ok=False)), "failure", None),
        (episode(agent(stop_condition="max_turns")), "limit", 0.5),
        (episode(agent(rewards={"done": None})), "agent", None),
        (episode(agent(is_completed=False)), "cut", None),
        (row(error="no quota"), "failure", None),
        (row(error={"error": "ModelError", "message": "no quota"}), "failure", None),
        (row(is_truncated=True), "limit", 0.75),
        (row(stop_condition="max_turns_reached"), "limit", 0.75),
        (row(is_completed=False), "cut", None),
        (row(completion=None, error="no quota"), "failure", None),
    ],
)
def test_how_a_rollout_ended(line: dict[str, Any], ended_by: str, reward: float | None, tmp_path: Path) -> None:
    trace = one(tmp_path, line)
    assert (trace.ended_by, trace.reward) == (ended_by, reward)
    assert trace.failure is None or "no quota" in trace.failure.message or "without a reason" in trace.failure.message


@pytest.mark.parametrize("line", [row(reward=1.5), episode(agent(rewards={"r": {"score": -1.0, "weight": 1.0}}))])
def test_a_reward_beyond_the_unit_is_none_and_noted(line: dict[str, Any], tmp_path: Path) -> None:
    result = load(tmp_path, line)
    assert result.traces[0].reward is None and "is not between 0 and 1: not scored" in result.notes[0]


def test_traces_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="trace 0: traces: expected an object, got int"):
        load(tmp_path, episode(*([1, 2])))  # type: ignore[arg-type]


def test_a_row_is_the_same_episode_wherever_its_file_is(tmp_path: Path) -> None:
    ids = []
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "results.json").write_text(json.dumps([row(), row()]), encoding="utf-8")
        ids.append([trace.id for trace in import_files([tmp_path / folder / "results.json"]).traces])
    assert ids[0] == ids[1] and len(set(ids[0])) == 2
