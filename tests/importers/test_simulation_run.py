"""τ²'s results: messages, reward and end come in; its tasks are not ours."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from usersim_env.domains import get_task
from usersim_env.errors import TraceError
from usersim_env.importers import ImportSettings, import_files, simulation_run
from usersim_env.importers.layout import unpack
from usersim_env.importers.rescore import rescore
from usersim_env.traces.trace import Trace


def said(role: str, content: str | None, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, "turn_idx": 1, "cost": 0.1, "raw_data": {"id": "r"}, **fields}


def call(name: str, number: str, who: str = "assistant", **arguments: Any) -> dict[str, Any]:
    return {"id": number, "name": name, "arguments": arguments, "requestor": who}


def tool(number: str, content: str, error: bool = False, who: str = "assistant") -> dict[str, Any]:
    return {"id": number, "role": "tool", "content": content, "requestor": who, "error": error, "timestamp": "t"}


MESSAGES = [
    said("assistant", "Hi! How can I help you today?"),
    said("user", "My phone is dead."),
    said("user", None, tool_calls=[call("toggle_airplane_mode", "u1", "user")]),
    tool("u1", "on", who="user"),
    said("assistant", "I look.", tool_calls=[call("get_line", "a1", line="L1"), call("get_bill", "a2", month=2)]),
    {"role": "tool", "tool_messages": [tool("a2", "none", error=True), tool("a1", '{"ok": true}')]},
    said("assistant", "It works now."),
    said("user", "Thanks! ###STOP###"),
]
RUN: dict[str, Any] = {
    "id": "run-1",
    "task_id": "airplane_mode_on",
    "timestamp": "2026-01-01T10:00:00",
    "start_time": "2026-01-01T10:00:00",
    "end_time": "2026-01-01T10:01:00",
    "duration": 61.5,
    "termination_reason": "user_stop",
    "agent_cost": 0.25,
    "user_cost": 0.5,
    "reward_info": {
        "reward": 1.0,
        "db_check": {"db_match": True, "db_reward": 1.0},
        "communicate_checks": [{"info": "12", "met": False, "justification": ""}],
        "reward_basis": ["DB"],
    },
    "messages": MESSAGES,
    "trial": 1,
    "seed": 7,
}
INFO = {
    "max_steps": 100,
    "user_info": {"implementation": "user_simulator", "llm": "gpt-4.1", "llm_args": {"temperature": 0.0}},
    "agent_info": {"implementation": "llm_agent", "llm": "claude"},
    "environment_info": {"domain_name": "telecom", "policy": "Be kind."},
}
TASK = {
    "id": "airplane_mode_on",
    "user_scenario": {"persona": None, "instructions": {"task_instructions": "Call.", "domain": "telecom"}},
    "evaluation_criteria": {"actions": [{"action_id": "1", "name": "x", "arguments": {}}], "communicate_info": None},
}


def load(tmp_path: Path, content: Any, **settings: Any) -> tuple[Trace, ...]:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return import_files([path], settings=ImportSettings(**settings)).traces


def results(*runs: dict[str, Any], **info: Any) -> dict[str, Any]:
    return {"timestamp": None, "info": {**INFO, **info}, "tasks": [TASK], "simulations": list(runs)}


def test_messages_reward_and_end(tmp_path: Path) -> None:
    (trace,) = load(tmp_path, results(RUN))
    assert [(m.role, m.content) for m in trace.messages] == [
        ("agent", "Hi! How can I help you today?"),
        ("user", "My phone is dead."),
        ("agent", "It works now."),
        ("user", "Thanks!"),
    ]
    assert [(e["name"], e["arguments"], e["result"], e.get("error", False)) for e in trace.events if "result" in e] == [
        ("get_line", {"line": "L1"}, '{"ok": true}', False),
        ("get_bill", {"month": 2}, "none", True),
    ]
    assert trace.events[2]["text"] == "I look."
    assert (trace.ended_by, trace.reward, trace.checks) == ("user", 1.0, {"database": True})
    assert (trace.task_id, trace.domain, trace.lazy_open) == ("telecom/tau2/airplane_mode_on", "telecom", True)
    assert (trace.seed, trace.max_steps, trace.provenance.cost, trace.provenance.seconds) == (7, 100, 0.75, 61.5)
    assert (trace.agent.name, trace.user.name, trace.user.kind) == ("claude", "gpt-4.1", "llm")
    assert trace.user.settings == {"llm_args": {"temperature": 0.0}}
    assert trace.source["assumed"] == []


def test_nothing_is_lost(tmp_path: Path) -> None:
    (trace,) = load(tmp_path, results(RUN))
    flat = [*MESSAGES[:5], *MESSAGES[5]["tool_messages"], *MESSAGES[6:]]
    assert unpack(trace.source["messages"], trace.events, simulation_run.as_message) == flat
    kept = trace.source["record"]
    assert kept.pop("file_info") == INFO
    assert {**kept, "messages": MESSAGES} == RUN


@pytest.mark.parametrize(
    ("reason", "ended_by", "side"),
    [
        ("user_stop", "user", None),
        ("agent_stop", "agent", None),
        ("max_steps", "limit", None),
        ("too_many_errors", "limit", None),
        ("agent_error", "agent", None),
        ("user_error", "failure", "user"),
        ("timeout", "failure", "file"),
        ("infrastructure_error", "failure", "file"),
        ("context_window_exceeded", "failure", "file"),
        ("unexpected_error", "failure", "file"),
    ],
)
def test_a_failure_is_never_a_zero(reason: str, ended_by: str, side: str | None, tmp_path: Path) -> None:
    run = {**RUN, "termination_reason": reason, "reward_info": {"reward": 0.0}, "messages": MESSAGES[:2]}
    (trace,) = load(tmp_path, run)
    assert trace.ended_by == ended_by
    assert trace.reward == (None if side else 0.0)
    assert (trace.failure.side if trace.failure else None) == side
    assert trace.failure is None or trace.failure.kind == reason


def test_lists_of_runs_and_bare_runs_without_info(tmp_path: Path) -> None:
    bare = {name: RUN[name] for name in ("task_id", "termination_reason", "messages")}
    for content in ([bare], bare):
        (trace,) = load(tmp_path, content)
        assert (trace.reward, trace.task_id, trace.task_hash) == (None, "/tau2/airplane_mode_on", "")
        assert trace.source["assumed"] == ["started", "seconds", "seed", "max_steps"]


def test_its_tasks_are_not_scorable_here_unless_the_content_is_ours(tmp_path: Path) -> None:
    ours = get_task("airline/test/3")
    actions = [{"name": c.name, "arguments": dict(c.arguments)} for c in ours.expected_calls]
    same = {
        "id": "9",
        "user_scenario": {"instructions": ours.instruction},
        "evaluation_criteria": {"actions": actions, "communicate_info": list(ours.required_outputs)},
    }
    content = results(RUN, {**RUN, "task_id": "9"}, environment_info={"domain_name": "airline"})
    content["tasks"].append(same)
    content["simulations"][1]["messages"] = [said("user", "Hi."), said("assistant", "Bye."), said("user", "###STOP###")]
    content["simulations"][1]["reward_info"] = {"reward": 0.0}
    foreign, known = load(tmp_path, content)
    assert (foreign.task_id, known.task_id) == ("airline/tau2/airplane_mode_on", "airline/test/3")
    counts = {"episodes": 2, "scored": 1, "agree": 1, "disagree": [], "unfinished": 0, "not_scorable_here": 1}
    assert rescore([tmp_path / "results.json"]).as_dict() == counts


BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("termination_reason: expected user_stop, ", {"termination_reason": "bored"}),
    ("the field 'messages' is missing", {"messages": ...}),
    ("messages: a voice run", {"messages": None, "ticks": []}),
    ("messages.0: role: expected system, user", {"messages": [said("robot", "x")]}),
    ("messages.0: tool_calls.0: the field 'name' is missing", {"messages": [said("assistant", "", tool_calls=[{}])]}),
    (
        "messages.0: tool_calls.0: arguments: expected dict, got str",
        {"messages": [said("assistant", "", tool_calls=[{"name": "f", "arguments": "{}"}])]},
    ),
    ("reward_info: reward: expected a number from 0 to 1", {"reward_info": {"reward": 7}}),
    ("duration: expected int or float, got str", {"duration": "long"}),
    ("seed: expected int, got float", {"seed": 0.5}),
]


@pytest.mark.parametrize(("message", "changes"), BROKEN)
def test_a_broken_run_names_record_and_field(message: str, changes: dict[str, Any], tmp_path: Path) -> None:
    run = {name: value for name, value in {**copy.deepcopy(RUN), **changes}.items() if value is not ...}
    with pytest.raises(TraceError) as error:
        load(tmp_path, results(RUN, run))
    assert "results.json, record 1: " in str(error.value)
    assert message in str(error.value)
