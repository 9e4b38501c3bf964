"""Some hundred broken files: each is a trace, or an error that names file and record; nothing else is ever raised."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from usersim_env.errors import TraceError
from usersim_env.importers import FORMATS, ImportSettings, import_files, import_to_file
from usersim_env.traces.file import read_traces

CALL = {"id": "c", "type": "function", "function": {"name": "think", "arguments": '{"thought": "x"}'}}
CHAT: list[Any] = [
    {"role": "user", "content": "Hi."},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c", "content": ""},
    {"role": "assistant", "content": "Bye."},
    {"role": "user", "content": "###STOP###"},
]
TASK = {"user_id": "mia_li_3668", "instruction": "x", "actions": [{"name": "think", "kwargs": {}}], "outputs": ["1"]}
MARKED = "<|think|>a<|/think|><function=think><parameter=thought>b</parameter></function><|tool|>c<|/tool|>d"
SESSION = {
    "agent_id": "a",
    "conversation": [CHAT[0], {"role": "assistant", "content": MARKED}, {"role": "user", "content": "/stop"}],
    "survey": {"reuse": {"question": "?", "answer": "Yes"}},
    "reward": 1,
    "keep": True,
}
TAU2_CALL = {"id": "c", "name": "think", "arguments": {"thought": "x"}}
RUN = {
    "task_id": "3",
    "termination_reason": "user_stop",
    "messages": [CHAT[0], {"role": "assistant", "tool_calls": [TAU2_CALL]}, {"role": "tool", "id": "c"}, *CHAT[3:]],
    "reward_info": {"reward": 0.5, "db_check": {"db_match": True}},
    "duration": 1,
    "seed": 1,
}
SAMPLE = {
    "id": "a",
    "epoch": 1,
    "input": "Hi.",
    "target": "Bye",
    "messages": [
        CHAT[0],
        {"role": "assistant", "content": "", "tool_calls": [{"id": "c", "function": "f"}]},
        *CHAT[2:],
    ],
    "scores": {"includes": {"value": "C"}},
    "attachments": {},
    "total_time": 1.5,
}
NODES = [{"message": CHAT[0]}, {"parent": 0, "message": CHAT[3]}]
AGENT = {"agent": {"name": "agent"}, "nodes": NODES, "rewards": {"r": {"score": 1.0, "weight": 1.0}}, "ok": True}
WHOLE: dict[str, Any] = {
    "inspect": {"version": 2, "eval": {"task": "shop", "model": "m"}, "samples": [SAMPLE, {**SAMPLE, "epoch": 2}]},
    "verifiers": [
        {"env": {"id": "shop"}, "task": {"data": {"q": "x"}, "key": "0"}, "ok": True, "traces": [AGENT]},
        {"example_id": 1, "prompt": CHAT[:1], "completion": CHAT[3:], "reward": 1.0, "is_completed": True},
    ],
    "tau-usi": {"airline_3": SESSION, "retail_5_ann2": SESSION},
    "odyssim": {"results": [{"instance_id": "airline_3", **SESSION}, {"instance_id": "retail_5", **SESSION}]},
    "tau-bench": [{"task_id": 3, "trial": 0, "reward": 1.0, "info": {"task": TASK}, "traj": CHAT}] * 2,
    "simulation-run": {
        "info": {"environment_info": {"domain_name": "airline"}},
        "tasks": [],
        "simulations": [RUN, RUN],
    },
    "openai": [{"messages": CHAT}, {"messages": CHAT, "task_id": "airline/test/3"}],
}
ODD: list[Any] = [
    None,
    True,
    -1,
    7,
    0.5,
    1e999,
    10**400,
    "",
    "x",
    "###STOP###",
    [],
    [None],
    {},
    {"role": "user"},
    [[[]]],
]


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    if at:
        yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*at, key))


def changed(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    """A copy with one place replaced, or deleted where the new value is ``...``."""
    found = json.loads(json.dumps(value))
    inner = found
    for key in at[:-1]:
        inner = inner[key]
    if new is ...:
        del inner[at[-1]]
    else:
        inner[at[-1]] = new
    return found


def outcome(tmp_path: Path, content: bytes, name: str) -> str:
    """``whole``, ``part`` or ``none`` of the file; every error is checked."""
    path = tmp_path / "x.json"
    path.write_bytes(content)
    try:
        result = import_files([path], name, ImportSettings(skip_broken=True))
    except TraceError:
        with pytest.raises(TraceError) as none:
            import_files([path], name)
        assert str(none.value).startswith(str(path))
        return "none"
    assert all(line.startswith(f"{path}, ") for line in result.broken)
    for trace in result.traces:
        trace.to_line()
    if result.broken:
        with pytest.raises(TraceError) as first:
            import_files([path], name)
        assert str(first.value) == result.broken[0]
        return "part"
    return "whole"


@pytest.mark.parametrize("name", FORMATS)
def test_the_whole_files_are_whole(name: str, tmp_path: Path) -> None:
    content = json.dumps(WHOLE[name]).encode()
    assert outcome(tmp_path, content, name) == outcome(tmp_path, content, "auto") == "whole"
    assert len(import_files([tmp_path / "x.json"]).traces) == 2


@pytest.mark.parametrize("name", FORMATS)
def test_every_field_missing_or_odd(name: str, tmp_path: Path) -> None:
    seen = []
    for at in paths(WHOLE[name]):
        for new in (..., *random.Random(str(at)).sample(ODD, 3)):
            seen.append(outcome(tmp_path, json.dumps(changed(WHOLE[name], at, new)).encode(), name))
    print(
        f"{name}: {len(seen)} files: " + ", ".join(f"{kind} {seen.count(kind)}" for kind in ("whole", "part", "none"))
    )
    assert len(seen) > 100
    assert seen.count("part") > len(seen) / 5


@pytest.mark.parametrize("name", FORMATS)
def test_cut_and_damaged_bytes(name: str, tmp_path: Path) -> None:
    content = json.dumps(WHOLE[name]).encode()
    draw = random.Random(name)
    for _ in range(60):
        damaged = bytearray(content)
        damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        outcome(tmp_path, bytes(damaged), name)
        outcome(tmp_path, content[: draw.randrange(len(content))], name)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["messages", "role", "content", "traj", "conversation", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(content=json_values, name=st.sampled_from(["auto", *FORMATS]))
def test_any_json(content: Any, name: str, tmp_path: Path) -> None:
    outcome(tmp_path, json.dumps(content).encode(), name)


@settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=60), name=st.sampled_from(["auto", *FORMATS]))
def test_any_bytes(content: bytes, name: str, tmp_path: Path) -> None:
    outcome(tmp_path, content, name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"messages": ' + b"[" * 100_000, "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (
            b"{}",
            "none of the formats inspect, odyssim, tau-usi, tau-bench, simulation-run, verifiers, openai. Name one",
        ),
        (b"[]", "none of the formats"),
        (b'{"events": [], "task_hash": ""}', "these are traces of ours already"),
        (b'{"airline_1": {"conversation": []}, "airline_1": {}}', "the key 'airline_1' occurs twice"),
    ],
)
def test_files_that_are_none_of_these(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(TraceError) as error:
        import_files([path], settings=ImportSettings(skip_broken=True))
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)


def test_nothing_is_written_unless_something_was_read(tmp_path: Path) -> None:
    path, out = tmp_path / "x.json", tmp_path / "out.jsonl"
    path.write_text(json.dumps({"airline_1": {"conversation": []}}), encoding="utf-8")
    with pytest.raises(TraceError, match=r"Nothing could be imported: 1 broken records\. The first is .*it is empty"):
        import_to_file([path], out, settings=ImportSettings(skip_broken=True))
    with pytest.raises(TraceError, match="it is empty"):
        import_to_file([path], out)
    assert not out.exists()
    path.write_text(json.dumps(WHOLE["tau-usi"]), encoding="utf-8")
    assert import_to_file([path], out).traces == tuple(read_traces(out))
