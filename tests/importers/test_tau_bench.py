"""τ-bench's published runs: nothing is lost, every finished one is replayed to its recorded reward."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from usersim_env.conversation.machine import Conversation
from usersim_env.domains import World, get_domain, get_task
from usersim_env.errors import TraceError
from usersim_env.feedback.behaviour import behaviour_features
from usersim_env.importers import ImportSettings, import_files, to_openai
from usersim_env.importers.chat import as_message
from usersim_env.importers.layout import unpack
from usersim_env.importers.rescore import rescore
from usersim_env.traces.file import TraceWriter
from usersim_env.traces.recorded_task import task_of
from usersim_env.traces.trace import Terms, Trace

RUNS = "tau/gpt-4o-airline-trial0.json"


@pytest.fixture(scope="module")
def runs(shared: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((shared / RUNS).read_bytes())
    return found


@pytest.fixture(scope="module")
def traces(shared: Path) -> tuple[Trace, ...]:
    return import_files([shared / RUNS]).traces


def load(tmp_path: Path, *runs: Any, **settings: Any) -> tuple[Trace, ...]:
    path = tmp_path / "runs.json"
    path.write_text(json.dumps(runs), encoding="utf-8")
    return import_files([path], "tau-bench", ImportSettings(**settings)).traces


def test_every_message_comes_back(runs: list[dict[str, Any]], traces: tuple[Trace, ...]) -> None:
    assert len(traces) == len(runs) == 50
    for run, trace in zip(runs, traces, strict=True):
        assert unpack(trace.source["messages"], trace.events, as_message) == run["traj"]
        assert {**trace.source["record"], "traj": run["traj"]} == run
        called = [m for m in run["traj"] if m.get("tool_calls")]
        assert trace.effort.tool_calls == len(called)
        expected = behaviour_features(run["traj"], "llm") or {}
        assert trace.behaviour == expected | {"n_turns": len(trace.messages)}
    assert [record["messages"] for record in to_openai(traces)] == [run["traj"] for run in runs]


def test_every_finished_run_is_restored_to_its_reward(runs: list[dict[str, Any]], traces: tuple[Trace, ...]) -> None:
    for run, trace in zip(runs, traces, strict=True):
        task = task_of(trace)
        assert task.instruction == run["info"]["task"]["instruction"]
        world = World(get_domain("airline"))
        conversation = Conversation.restore(task, world, trace.events, trace.rules, trace.seed)
        assert (conversation.ended_by or "cut") == trace.ended_by
        if conversation.over:
            assert conversation.outcome.feedback.reward == trace.reward == run["reward"]
            assert trace.checks.items() <= conversation.outcome.feedback.checks.items()
    assert [trace.task_id for trace in traces if trace.ended_by == "limit"] == ["airline/test/33"]
    assert sum(trace.reward or 0 for trace in traces) / len(traces) == 0.42, "as its authors count it"


def test_older_tasks_travel_with_the_trace(traces: tuple[Trace, ...]) -> None:
    older = [trace for trace in traces if trace.task is not None]
    assert len(older) == 37
    for trace in traces:
        assert (trace.task_hash == get_task(trace.task_id).hash) == (trace.task is None)


def test_rescoring_the_import_agrees_with_rescoring_the_file(
    traces: tuple[Trace, ...], shared: Path, tmp_path: Path
) -> None:
    with TraceWriter(tmp_path / "t.jsonl") as writer:
        for trace in traces:
            writer.write(trace)
    agreed = {"episodes": 50, "scored": 50, "agree": 50, "disagree": [], "unfinished": 0}
    assert rescore([tmp_path / "t.jsonl"]).as_dict() == rescore([shared / RUNS]).as_dict() == agreed


def test_what_the_file_does_not_say_stays_unknown(traces: tuple[Trace, ...], runs: list[Any], tmp_path: Path) -> None:
    trace = traces[0]
    assert (trace.agent.name, trace.user.kind, trace.user.name) == ("unknown", "llm", "unknown")
    assert trace.survey is None and not trace.asks_survey and trace.provenance.cost is None
    assert trace.source["assumed"] == ["started", "seconds", "seed", "max_steps"]
    assert trace.terms == Terms("not stated in the file (tasks: tau-bench, MIT)", training=True)
    (told,) = load(tmp_path, runs[0], user="llm:gpt-4o", terms=Terms("MIT, (c) 2024 Sierra"))
    assert (told.user.name, told.terms.licence) == ("gpt-4o", "MIT, (c) 2024 Sierra")


def test_a_run_that_crashed_is_a_failure(tmp_path: Path) -> None:
    crashed = {"task_id": 3, "reward": 0.0, "info": {"error": "timeout", "traceback": "…"}, "traj": [], "trial": 2}
    (trace,) = load(tmp_path, crashed)
    assert trace.reward is None and trace.failure is not None
    assert (trace.failure.side, trace.failure.kind) == ("file", "crashed")
    assert "timeout" in trace.failure.message
    assert {**trace.source["record"], "traj": []} == crashed


def test_only_the_first_of_several_calls_was_executed(runs: list[dict[str, Any]], tmp_path: Path) -> None:
    run = copy.deepcopy(runs[3])
    message = next(m for m in run["traj"] if m.get("tool_calls"))
    message["tool_calls"].append({"id": "x", "function": {"name": "cancel_reservation", "arguments": "{}"}})
    (trace,) = load(tmp_path, run)
    assert all(event.get("name") != "cancel_reservation" for event in trace.events)
    assert to_openai([trace])[0]["messages"] == run["traj"]


def test_text_agents_are_refused_and_not_misread(runs: list[dict[str, Any]], tmp_path: Path) -> None:
    run = {**runs[0], "traj": [{"role": "user", "content": "API output: []"}]}
    with pytest.raises(TraceError, match=r"record 0: traj\.0: content: a run of a text agent"):
        load(tmp_path, run)
