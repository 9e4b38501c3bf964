"""Recorded episodes, replayed and scored again."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from usersim_env.conversation.machine import Conversation
from usersim_env.conversation.rules import Rules
from usersim_env.domains import World, get_domain, get_task
from usersim_env.errors import InstallError, TraceError, UnknownName
from usersim_env.feedback.values import Failure
from usersim_env.importers.rescore import rescore
from usersim_env.messages import ToolCall
from usersim_env.traces.file import TraceWriter
from usersim_env.traces.provenance import make_trace
from usersim_env.traces.trace import Seat, Trace

RUNS = "tau/gpt-4o-airline-trial0.json"


# Our own traces


def begin(task_id: str, seed: int = 0, **rules: Any) -> Conversation:
    conversation = Conversation(get_task(task_id), World(get_domain("mock")), Rules(**rules), seed)
    if not conversation.rules.lazy_open:
        conversation.say("Hello, it is about my bike.")
    return conversation


def traced(conversation: Conversation) -> Trace:
    return make_trace(conversation, Seat("agent", "a"), Seat("scripted", "b"), 0.0)


def right() -> Trace:
    """A rewarded episode with a required output, and with a refused and a malformed action on the way."""
    conversation = begin("mock/test/1", survey=False)
    conversation.act(ToolCall("move_ticket", {"day": float("nan")}))
    conversation.act(ToolCall("respond", {"content": 3}))
    for call in conversation.task.expected_calls:
        conversation.act(call)
    conversation.act(ToolCall("respond", {"content": "Together that is 108.25."}))
    conversation.stop("Thank you.")
    return traced(conversation)


def wrong() -> Trace:
    conversation = begin("mock/test/0")
    conversation.act(ToolCall("respond", {"content": "No."}))
    conversation.stop()
    conversation.survey(None)
    return traced(conversation)


def limit() -> Trace:
    """The database is right, the step limit came first."""
    conversation = begin("mock/test/2", survey=False, max_steps=2)
    for call in conversation.task.expected_calls:
        conversation.act(call)
    return traced(conversation)


def lazy() -> Trace:
    conversation = begin("mock/test/3", survey=False, lazy_open=True)
    conversation.act(ToolCall("respond", {"content": "Good morning."}))
    conversation.say("I sell my bike.")
    conversation.act(conversation.task.expected_calls[-1])
    return traced(conversation)


def failed() -> Trace:
    conversation = begin("mock/test/2")
    conversation.fail(Failure("user", "outage", "No answer."))
    return traced(conversation)


def cut() -> Trace:
    return traced(begin("mock/test/2", seed=9))


def write(path: Path, *traces: Trace) -> Path:
    with TraceWriter(path) as writer:
        for trace in traces:
            writer.write(trace)
    return path


def test_every_ending_gets_its_recorded_reward(tmp_path: Path) -> None:
    traces = [right(), wrong(), limit(), lazy(), failed(), cut()]
    assert [trace.reward for trace in traces] == [1.0, 0.0, 0.0, 1.0, None, None]
    result = rescore([write(tmp_path / "a.jsonl", *traces), write(tmp_path / "b.jsonl", right())])
    assert result.as_dict() == {"episodes": 7, "scored": 5, "agree": 5, "disagree": [], "unfinished": 2}


def test_a_trace_that_carries_its_own_task_is_scored_by_it(tmp_path: Path) -> None:
    task = dataclasses.replace(get_task("mock/test/1"), required_outputs=("109",))
    conversation = Conversation(task, World(get_domain("mock")), Rules(survey=False), 0)
    conversation.say("Hello.")
    for call in task.expected_calls:
        conversation.act(call)
    conversation.act(ToolCall("respond", {"content": "That is 109."}))
    conversation.stop()
    trace = traced(conversation)
    assert trace.task is not None and trace.reward == 1.0
    assert rescore([write(tmp_path / "a.jsonl", trace)]).agree == 1


@pytest.mark.parametrize(
    ("trace", "changes"),
    [
        (right(), {"reward": 0.0}),
        (wrong(), {"reward": 1.0}),
        (right(), {"events": right().events[:-2]}),
        (right(), {"events": tuple(e for e in right().events if e.get("name") != "move_ticket")}),
        (limit(), {"max_steps": 3}),
    ],
)
def test_a_verdict_that_does_not_follow_is_named(trace: Trace, changes: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", right(), dataclasses.replace(trace, id="the-one", **changes))
    result = rescore([path])
    assert result.disagree == ("the-one",)
    assert (result.episodes, result.scored, result.agree) == (2, 2, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task_id": "mock/test/77"}, "a.jsonl, episode x: Unknown task 'mock/test/77'"),
        (
            {"task_hash": "0" * 64},
            "a.jsonl, episode x: Trace x: task_hash: mock/test/1 is not the task that was recorded",
        ),
        ({"events": ({"event": "say"},)}, "a.jsonl, line 1: events.0.content: "),
        ({"events": ({"event": "sing"},)}, "a.jsonl, line 1: events.0.event: "),
        (
            {"events": ({"event": "survey", "answers": None},)},
            "events.0: The episode waits for the user side's opening",
        ),
        (
            {"events": (*right().events, {"event": "say", "content": ""})},
            "episode x: events.7: The episode waits for the survey",
        ),
    ],
)
def test_a_trace_that_cannot_be_played_says_where(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", dataclasses.replace(right(), id="x", **changes))
    with pytest.raises(TraceError) as error:
        rescore([path])
    assert message in str(error.value)


# τ-bench's result files


@pytest.fixture(scope="module")
def runs(shared: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((shared / RUNS).read_bytes())
    return found


@pytest.fixture(autouse=True)
def _retail_and_airline(request: pytest.FixtureRequest) -> None:
    if "runs" in request.fixturenames:
        try:
            get_domain("airline")
        except InstallError as error:
            pytest.skip(str(error))


def dump(tmp_path: Path, records: object) -> Path:
    path = tmp_path / "runs.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def test_published_runs_get_their_recorded_reward(runs: list[dict[str, Any]], shared: Path) -> None:
    result = rescore([shared / RUNS])
    assert result.as_dict() == {"episodes": 50, "scored": 50, "agree": 50, "disagree": [], "unfinished": 0}
    assert sum(run["reward"] for run in runs) == 21, "the file is another one"
    assert rescore([shared / RUNS], format="tau-bench") == result


def test_a_wrong_reward_is_found_in_every_finished_run(runs: list[dict[str, Any]], tmp_path: Path) -> None:
    flipped = [{**run, "reward": 1.0 - run["reward"]} for run in runs]
    result = rescore([dump(tmp_path, flipped)])
    assert (result.agree, len(result.disagree)) == (0, 50)
    assert result.disagree[0] == "0/0"


def test_runs_that_never_ended_have_no_verdict(runs: list[dict[str, Any]], tmp_path: Path) -> None:
    stopped, transferred = copy.deepcopy(runs[0]), copy.deepcopy(runs[18])
    stopped["traj"][-1]["content"] = "Thank you."
    del transferred["traj"][-2:]
    crashed = {"task_id": 3, "reward": 0.0, "info": {"error": "timeout"}, "traj": [], "trial": 0}
    result = rescore([dump(tmp_path, [stopped, transferred, crashed])])
    assert result.as_dict() == {"episodes": 3, "scored": 0, "agree": 0, "disagree": [], "unfinished": 3}


def test_retail_runs_are_told_from_airline_runs(runs: list[dict[str, Any]], tmp_path: Path) -> None:
    """By a tool that only one domain has; by the task's user where all tools are common to both."""
    by_tool, by_user = retail_run([ToolCall("cancel_pending_order", {})]), retail_run([])
    assert rescore([dump(tmp_path, [by_tool, by_user])]).agree == 2
    by_user["info"]["task"]["user_id"] = "nobody"
    with pytest.raises(TraceError, match=r"record 0: info: task: neither retail's nor airline's"):
        rescore([dump(tmp_path, [by_user])])


def retail_run(expected: list[ToolCall]) -> dict[str, Any]:
    task = {
        "user_id": "yusuf_rossi_9620",
        "instruction": "",
        "actions": [{"name": call.name, "kwargs": dict(call.arguments)} for call in expected],
        "outputs": ["1200"],
    }
    traj = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "It is $1,200."},
        {"role": "user", "content": "Thanks ###STOP###"},
    ]
    return {"task_id": 1, "reward": 1.0, "info": {"task": task}, "traj": traj, "trial": 2}


MALFORMED: list[tuple[Any, str]] = [
    ("x", "expected a list of τ-bench results, got str"),
    ([3], "record 0: expected an object, got int (3)"),
    ([{}], "record 0: the field 'task_id' is missing (there are: )"),
    ([{"task_id": "7"}], "record 0: task_id: expected int, got str ('7')"),
    ([{"task_id": 7, "trial": 0, "reward": None}], "record 0: reward: expected int or float, got NoneType"),
    ([{"task_id": 7, "trial": 0, "reward": 1, "info": []}], "record 0: info: expected dict, got list"),
    ([{"task_id": 7, "trial": 0, "reward": 1, "info": {}}], "record 0: the field 'traj' is missing"),
    (
        [{"task_id": 7, "trial": 0, "reward": 1, "info": {}, "traj": [{}]}],
        "record 0: traj.0: the field 'role' is missing",
    ),
]


@pytest.mark.parametrize(("records", "message"), MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_file_says_record_and_field(records: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(TraceError) as error:
        rescore([dump(tmp_path, records)], format="tau-bench")
    assert str(error.value).startswith(f"{tmp_path / 'runs.json'}")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [("{", "traj.1: tool_calls.0: function: arguments: not JSON"), ("[]", "arguments: expected an object, got '[]'")],
)
def test_malformed_calls_say_where(arguments: str, message: str, tmp_path: Path) -> None:
    run = retail_run([])
    run["traj"][1]["tool_calls"] = [{"function": {"name": "think", "arguments": arguments}}]
    with pytest.raises(TraceError) as error:
        rescore([dump(tmp_path, [run])])
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"), [("[1,", "not JSON"), ("nonsense", "line 1: not JSON"), ("{}\n", "line 1: ")]
)
def test_files_of_neither_kind(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text(content + "\n", encoding="utf-8")
    with pytest.raises(TraceError, match=message):
        rescore([path])


def test_no_file_and_no_such_format(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"No file at .*nowhere\.json: expected traces"):
        rescore([tmp_path / "nowhere.json"])
    with pytest.raises(UnknownName, match=r"Unknown format 'tau_bench'\. Did you mean 'tau-bench'"):
        rescore([], format="tau_bench")
