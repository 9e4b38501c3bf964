"""Whole recordings played again: τ-bench's published runs and our own, with their own agent and with the oracle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from usersim_env import Trace
from usersim_env.agent import Action, Agent, AgentSession, Observation
from usersim_env.baselines import Clerk, Oracle
from usersim_env.domains import Task, get_task
from usersim_env.errors import TraceError
from usersim_env.feedback.values import Effort
from usersim_env.importers import import_files
from usersim_env.messages import RESPOND, ToolCall
from usersim_env.rollouts import RolloutSettings, rollout
from usersim_env.traces.recorded_task import task_to_json
from usersim_env.traces.trace import Provenance, Seat
from usersim_env.users.agenda import AgendaUser
from usersim_env.users.replay import ReplayUser

POLICIES: dict[str, dict[str, Any]] = {
    "continue": {},
    "truncate": {"on_divergence": "truncate"},
    "handover": {"on_divergence": "handover", "handover": AgendaUser()},
}
STOP = "###STOP###"


class Again:
    """Plays the recorded agent's moves."""

    name = "again"
    privileged = True

    def __init__(self, traces: tuple[Trace, ...]) -> None:
        self._traces = {trace.task_id: trace for trace in traces}

    def begin(self, info: Any, seed: int) -> AgentSession:
        return _AgainSession(self._traces[info["task_id"]])

    def describe(self) -> dict[str, Any]:
        return {}


class _AgainSession:
    def __init__(self, trace: Trace) -> None:
        self._acts: Iterator[Any] = iter([event for event in trace.events if event["event"] == "act"])

    def act(self, observation: Observation) -> Action:
        event = next(self._acts)
        return {"name": event["name"], "arguments": event["arguments"]}


def replay(agent: Agent, traces: tuple[Trace, ...], **keywords: Any) -> tuple[Trace, ...]:
    env_id = f"Tau{traces[0].domain.capitalize()}-replay-v0"
    return rollout(agent, env_id, RolloutSettings(keywords={"traces": list(traces), **keywords}, progress=False)).traces


# -- τ-bench's published runs ------------------------------------------------------------------------------------------


@cache
def published(path: Path) -> tuple[Trace, ...]:
    """The finished runs of a τ-bench result file, each with the task that it embeds."""
    traces = (_trace(run) for run in json.loads(path.read_bytes()))
    return tuple(trace for trace in traces if trace is not None)


def _trace(run: dict[str, Any]) -> Trace | None:
    events, ended_by = _events(run["traj"])
    if ended_by is None:
        return None
    embedded = run["info"]["task"]
    calls = tuple(ToolCall(call["name"], call["kwargs"]) for call in embedded["actions"])
    task_id = f"airline/test/{run['task_id']}"
    task = Task(task_id, "airline", "test", embedded["instruction"], calls, tuple(embedded["outputs"]))
    return Trace(
        id=f"{run['task_id']}/{run['trial']}",
        task_id=task_id,
        task_hash=task.hash,
        domain="airline",
        agent=Seat("agent", "gpt-4o"),
        user=Seat("llm", "gpt-4o"),
        seed=0,
        max_steps=30,
        events=tuple(events),
        ended_by=ended_by,
        reward=float(run["reward"]),
        checks={},
        survey=None,
        failure=None,
        effort=Effort(0, 0, 0, 0, 0, 0),
        provenance=Provenance("0", {}, "", 0.0),
        task=task_to_json(task),
    )


def _events(messages: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str | None]:
    events: list[dict[str, Any]] = []
    for message in messages[1:]:
        content = message["content"] or ""
        if message["role"] == "tool":
            events[-1]["result"] = content
            if events[-1]["name"] == "transfer_to_human_agents":
                return events, "transfer"
        elif message["role"] == "user" and STOP in content:
            return [*events, {"event": "stop", "content": content.replace(STOP, "").strip()}], "user"
        elif message["role"] == "user":
            events.append({"event": "say", "content": content})
        elif calls := message.get("tool_calls"):
            call = calls[0]["function"]
            events.append({"event": "act", "name": call["name"], "arguments": json.loads(call["arguments"])})
        else:
            events.append({"event": "act", "name": RESPOND, "arguments": {"content": content}})
    return events, None


@cache
def imported(path: Path) -> tuple[Trace, ...]:
    """The same through the importer, which makes joint turns of what stands apart in the file."""
    return tuple(trace for trace in import_files([path]).traces if trace.valid)


@pytest.fixture(params=[published, imported])
def runs(request: pytest.FixtureRequest, shared: Path) -> tuple[Trace, ...]:
    traces: tuple[Trace, ...] = request.param(shared / "tau" / "gpt-4o-airline-trial0.json")
    # One ended at the 30 steps of its own time: here an agent has more, and the recorded person no more turns.
    return tuple(trace for trace in traces if trace.ended_by != "limit")


def test_the_published_runs_are_read_whole(runs: tuple[Trace, ...]) -> None:
    changed = [trace for trace in runs if get_task(trace.task_id).hash != trace.task_hash]
    assert (len(runs), len(changed)) == (49, 36)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_published_run_with_its_own_moves(runs: tuple[Trace, ...], policy: str) -> None:
    for recorded, again in zip(runs, replay(Again(runs), runs, **POLICIES[policy]), strict=True):
        assert_same(recorded, again)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_published_run_with_the_oracle_is_left(runs: tuple[Trace, ...], policy: str) -> None:
    assert_left(replay(Oracle(), runs, **POLICIES[policy]), policy)


# -- our own -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["mock", "retail", "airline"])
def own(request: pytest.FixtureRequest) -> dict[str, tuple[Trace, ...]]:
    """Agent → its episodes with the agenda user."""
    name = request.param
    tasks = [f"{name}/test/{index}" for index in range(3 if name == "mock" else 12)]
    settings = RolloutSettings(tasks=tasks, progress=False)
    agents: list[Agent] = [Oracle(), Clerk()]
    return {agent.name: rollout(agent, f"Tau{name.capitalize()}-agenda-v0", settings).traces for agent in agents}


@pytest.mark.parametrize("policy", POLICIES)
def test_an_episode_of_ours_with_its_own_moves(own: dict[str, tuple[Trace, ...]], policy: str) -> None:
    for traces in own.values():
        for recorded, again in zip(traces, replay(Again(traces), traces, **POLICIES[policy]), strict=True):
            assert_same(recorded, again)
            assert again.survey == recorded.survey is not None
            assert again.recording is not None and again.recording.survey == "counted"


@pytest.mark.parametrize("policy", POLICIES)
def test_a_clerks_episode_with_the_oracle_is_left(own: dict[str, tuple[Trace, ...]], policy: str) -> None:
    assert_left(replay(Oracle(), own["clerk"], **POLICIES[policy]), policy)


def assert_same(recorded: Trace, again: Trace) -> None:
    followed = again.recording
    assert followed is not None
    assert set(followed.divergence) == {0.0}, (recorded.id, again.user.notes["divergence"])
    assert (followed.left_at, followed.used, followed.followed) == (None, followed.turns, True)
    assert (again.reward, again.ended_by) == (recorded.reward, recorded.ended_by)
    assert again.messages == recorded.messages
    assert again.task_hash == recorded.task_hash


def assert_left(traces: tuple[Trace, ...], policy: str) -> None:
    for trace in traces:
        left = trace.recording
        assert left is not None
        assert left.left_at is not None and left.divergence[left.left_at] >= 0.5, trace.id
        assert max(left.divergence[: left.left_at], default=0.0) < 0.5
        assert left.survey != "counted"
        failed = policy == "truncate" and trace.ended_by != "transfer"
        assert (trace.reward is None) == (failed or trace.ended_by == "recording")
        assert (left.handed_over_at == left.left_at) == (policy == "handover" and trace.ended_by != "transfer")
        if failed:
            assert trace.failure is not None and trace.failure.kind == "left_recording"


def tau2_runs(tmp_path: Path, **task: Any) -> tuple[Trace, ...]:
    known = get_task("retail/test/3")
    content = {
        "id": "7",
        "user_scenario": {"instructions": known.instruction},
        "evaluation_criteria": {
            "actions": [{"name": call.name, "arguments": dict(call.arguments)} for call in known.expected_calls],
            "communicate_info": list(known.required_outputs),
        },
    } | task
    talk = [
        {"role": "user", "content": "My lamp is broken."},
        {"role": "assistant", "content": "Sorry."},
        {"role": "user", "content": "Bye. ###STOP###"},
    ]
    run = {
        "id": "r",
        "task_id": "7",
        "termination_reason": "user_stop",
        "messages": talk,
        "reward_info": {"reward": 0.0},
    }
    file = tmp_path / "results.json"
    info = {"environment_info": {"domain_name": "retail"}}
    file.write_text(json.dumps({"info": info, "tasks": [content], "simulations": [run]}), encoding="utf-8")
    return import_files([file]).traces


def test_a_run_of_tau2_is_played_where_its_task_is_ours(tmp_path: Path) -> None:
    traces = tau2_runs(tmp_path)
    assert traces[0].task_id == "retail/test/3"
    env = gym.make("TauRetail-replay-v0", traces=traces)
    observation, _ = env.reset(seed=0)
    assert "My lamp is broken." in str(observation)


def test_a_run_of_tau2_whose_task_is_not_here_says_why_it_cannot_be_played(tmp_path: Path) -> None:
    traces = tau2_runs(tmp_path, user_scenario={"instructions": {"reason": "another"}})
    reason = (
        r"retail/tau2/7\): its task is not one of those here \(it came from a file of the format 'simulation-run'\)"
    )
    with pytest.raises(TraceError, match=reason):
        ReplayUser(traces)
