"""Plain chat messages: in every packaging, with what a record says beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from usersim_env.domains import get_task
from usersim_env.errors import TraceError, UsageError
from usersim_env.importers import ImportResult, ImportSettings, import_files
from usersim_env.traces.trace import Terms, Trace

MOVE = {"name": "move_ticket", "arguments": '{"ticket_id": "T-1001", "day": "friday"}'}
CHAT: list[dict[str, Any]] = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi."},
    {"role": "assistant", "content": "I look.", "tool_calls": [{"id": "c1", "type": "function", "function": MOVE}]},
    {"role": "tool", "tool_call_id": "c1", "content": "ok"},
    {"role": "assistant", "content": "Done."},
    {
        "role": "user",
        "content": [{"type": "text", "text": "Thanks."}, {"type": "image_url", "image_url": {"url": "x"}}],
    },
]


def load(tmp_path: Path, text: str, **settings: Any) -> ImportResult:
    path = tmp_path / "chat.jsonl"
    path.write_text(text, encoding="utf-8")
    return import_files([path], settings=ImportSettings(**settings))


def one(tmp_path: Path, content: Any, **settings: Any) -> Trace:
    (trace,) = load(tmp_path, json.dumps(content), **settings).traces
    return trace


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (json.dumps(CHAT), 1),
        (json.dumps({"messages": CHAT}), 1),
        (json.dumps([{"messages": CHAT}] * 3), 3),
        ("\n".join([json.dumps({"messages": CHAT})] * 2) + "\n", 2),
        ("\n\n".join([json.dumps({"messages": CHAT})] * 2), 2),
        ("\ufeff" + json.dumps(CHAT), 1),
    ],
)
def test_packagings(text: str, count: int, tmp_path: Path) -> None:
    traces = load(tmp_path, text).traces
    assert len(traces) == count
    for trace in traces:
        assert [m.content for m in trace.messages] == ["Hi.", "Done.", "Thanks."]
        assert trace.events[1]["result"] == "ok" and trace.events[1]["text"] == "I look."


def test_nobody_is_called_human_and_nothing_is_scored_unasked(tmp_path: Path) -> None:
    trace = one(tmp_path, {"messages": CHAT, "reward": 1})
    assert (trace.user.kind, trace.ended_by, trace.reward) == ("unknown", "cut", None)
    assert (trace.task_id, trace.task_hash, trace.domain) == ("", "", "")
    assert one(tmp_path, CHAT, user="human").human
    with pytest.raises(UsageError, match=r"The user's seat is one of human, llm, .*; got 'person'"):
        ImportSettings(user="person")


def test_a_record_may_name_its_task_and_reward(tmp_path: Path) -> None:
    chat = [*CHAT[:-1], {"role": "user", "content": "Bye ###STOP###"}]
    trace = one(tmp_path, {"messages": chat, "task_id": "mock/test/0", "reward": 1, "model": "m", "id": "x"})
    assert (trace.task_id, trace.task_hash, trace.reward) == ("mock/test/0", get_task("mock/test/0").hash, 1.0)
    assert (trace.ended_by, trace.agent.name, trace.source["key"]) == ("user", "m", "x")
    assert trace.messages[-1].content == "Bye"


def test_results_find_their_calls_whatever_their_order(tmp_path: Path) -> None:
    calls = [{"id": i, "type": "function", "function": {"name": f"f_{i}", "arguments": ""}} for i in ("a", "b")]
    chat = [
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "b", "content": "of b"},
        {"role": "tool", "tool_call_id": "a", "content": "of a"},
        {"role": "assistant", "function_call": {"name": "old", "arguments": "{}"}},
        {"role": "function", "name": "old", "content": "of old"},
        {"role": "tool", "tool_call_id": "nobody's", "content": "lost"},
    ]
    result = load(tmp_path, json.dumps(chat))
    found = {e["name"]: e["result"] for e in result.traces[0].events if "result" in e}
    assert found == {"f_a": "of a", "f_b": "of b", "old": "of old"}
    assert result.notes[0].rpartition(": ")[2] == "a tool result without a call"


def test_terms_are_the_callers_to_state(tmp_path: Path) -> None:
    assert one(tmp_path, CHAT).terms == Terms("not stated in the file", training=True)
    assert one(tmp_path, CHAT, terms=Terms("CC-BY-NC", training=False)).terms == Terms("CC-BY-NC", training=False)


BROKEN: list[tuple[str, Any]] = [
    ("record 0: messages: it is empty", {"messages": []}),
    ("record 0: messages: expected list, got str", {"messages": "Hi."}),
    ("messages.0: expected an object, got int", {"messages": [3]}),
    ("messages.0: the field 'role' is missing", {"messages": [{"content": ""}]}),
    ("messages.0: role: expected system, developer", {"messages": [{"role": "bot"}]}),
    ("messages.0: content: expected str or list, got int", {"messages": [{"role": "user", "content": 3}]}),
    (
        "messages.0: tool_calls.0: the field 'function' is missing",
        {"messages": [{"role": "assistant", "tool_calls": [{}]}]},
    ),
    (
        "messages.0: tool_calls.0: function: arguments: not JSON",
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}]},
    ),
    (
        "function: arguments: not JSON: NaN is no JSON number",
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": '{"a": NaN}'}}]}]},
    ),
    ("usersim_env: expected dict, got str", {"messages": CHAT, "usersim_env": "x"}),
    ("record 0: usersim_env: id: Field required", {"messages": CHAT, "usersim_env": {"task_id": "mock/test/0"}}),
]


@pytest.mark.parametrize(("message", "record"), BROKEN)
def test_a_broken_record_names_the_field(message: str, record: Any, tmp_path: Path) -> None:
    with pytest.raises(TraceError) as error:
        load(tmp_path, json.dumps([record]))
    assert str(error.value).startswith(f"{tmp_path / 'chat.jsonl'}, record 0: ")
    assert message in str(error.value)


def test_broken_lines_are_listed_and_the_rest_is_read(tmp_path: Path) -> None:
    good = json.dumps({"messages": CHAT})
    text = "\n".join([good, good[:-9], "7", json.dumps({"messages": []}), '{"a": 1, "a": 2}', good])
    result = load(tmp_path, text, skip_broken=True)
    assert len(result.traces) == 2
    places = [line.removeprefix(f"{tmp_path / 'chat.jsonl'}, ").split(": ")[:2] for line in result.broken]
    assert places == [
        ["line 2", "not JSON"],
        ["line 3", "no object"],
        ["line 4, record 0", "messages"],
        ["line 5", "not JSON"],
    ]
    with pytest.raises(TraceError, match="line 2: not JSON"):
        load(tmp_path, text)


@pytest.mark.parametrize("name", ["move_ticket", "", None])
def test_a_name_beside_the_function_takes_no_arguments_away(name: Any, tmp_path: Path) -> None:
    call = {"id": "c", "name": name, "function": {"name": "move_ticket", "arguments": '{"day": "tuesday"}'}}
    record = {"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "tool_calls": [call]}]}
    (trace,) = load(tmp_path, json.dumps([record])).traces
    assert (trace.events[1]["name"], trace.events[1]["arguments"]) == ("move_ticket", {"day": "tuesday"})


def test_arguments_under_another_name_are_not_lost(tmp_path: Path) -> None:
    record = {"messages": [{"role": "assistant", "tool_calls": [{"name": "f", "args": {"x": 1}}]}]}
    with pytest.raises(TraceError, match="args: arguments stand in 'arguments'"):
        load(tmp_path, json.dumps([record]))
