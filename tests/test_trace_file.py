"""Files of traces: round trip, cut lines, malformed lines, newer schemas, two processes at once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from usersim_env import Failure, ScriptedUser, TauEnv, Trace, TraceWriter, read_traces
from usersim_env.errors import TraceError
from usersim_env.traces.file import parse
from usersim_env.traces.trace import SCHEMA

WORDS = 'Grüße 🙂 \u2028 \x00 "quoted"\nnext line'
Change = Callable[[dict[str, Any]], object]


def episode(seed: int = 0, words: str = WORDS, error: Exception | None = None) -> Trace:
    """A short episode of the mock domain: a tool call, a refused one, words; failed if there is an ``error``."""
    user = ScriptedUser((words, *([error] if error else [])), answers={"reuse": "Maybe"})
    env = gym.make("TauMock-v0", user=user, max_chars=None).unwrapped
    assert isinstance(env, TauEnv)
    env.reset(seed=seed)
    env.step({"name": "find_ticket", "arguments": {"email": "bo@mock.example"}})
    env.step({"name": "find_ticket", "arguments": {"email": [1, float("nan"), {2: 3}]}})
    env.step({"name": "respond", "arguments": {"content": words}})
    return env.trace()


def write(path: Path, *traces: Trace) -> bytes:
    with TraceWriter(path) as writer:
        for trace in traces:
            writer.write(trace)
    return path.read_bytes()


@pytest.mark.parametrize("words", [WORDS, "", "\ud800 alone", "x" * 1_000_000])
def test_round_trip(tmp_path: Path, words: str) -> None:
    traces = [episode(0, words), episode(1, words, ValueError("boom"))]
    content = write(tmp_path / "t.jsonl", *traces)
    assert content.count(b"\n") == 2
    assert read_traces(tmp_path / "t.jsonl") == traces
    assert [t.feedback.reward for t in traces] == [t.reward for t in traces]
    assert traces[1].failure == Failure("user", "error", "ValueError: boom")


def test_what_every_line_carries(tmp_path: Path) -> None:
    line = json.loads(write(tmp_path / "t.jsonl", episode()))
    assert line["schema"] == SCHEMA and line["reward"] in (0.0, 1.0)
    assert set(line["provenance"]) == {"package", "upstream", "started", "seconds", "cost"}
    assert line["terms"] == {"licence": "MIT (tasks: tau-bench, MIT)", "training": True, "sharing": None}
    assert (line["user"]["kind"], line["agent"]["kind"]) == ("scripted", "agent")
    assert line["max_steps"] == 200 and line["lazy_open"] is False and line["asks_survey"] is True
    assert len(line["task_hash"]) == 64


def test_cut_at_every_byte_of_the_last_line(tmp_path: Path) -> None:
    first, last = episode(0, "hi"), episode(1, "Grüße 🙂")
    path = tmp_path / "t.jsonl"
    keep, content = len(first.to_line()), write(path, first, last)
    for cut in range(keep, len(content) + 1):
        path.write_bytes(content[:cut])
        rest = path.with_name("t.jsonl.cut")
        rest.unlink(missing_ok=True)
        if keep < cut < len(content) - 1:
            with pytest.warns(UserWarning, match="line 2 was cut in the middle and is left out"):
                assert read_traces(path) == [first]
            with pytest.warns(UserWarning, match=r"the last line was cut in the middle; it was moved to .*\.cut"):
                writer = TraceWriter(path)
            assert rest.read_bytes() == content[keep:cut] + b"\n"
            whole = [first]
        else:  # nothing of the line, all but its newline, or all of it
            whole = [first] if cut == keep else [first, last]
            assert read_traces(path) == whole
            writer = TraceWriter(path)
            assert not rest.exists()
        with writer:
            writer.write(last)
        assert read_traces(path) == [*whole, last]


def test_a_line_cut_at_the_very_first(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(episode().to_line()[:40])
    with pytest.warns(UserWarning, match="line 1 was cut"):
        assert read_traces(path) == []
    with pytest.warns(UserWarning, match="moved to"):
        write(path, episode(1))
    assert [t.seed for t in read_traces(path)] == [1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda line: line.pop("seed"), "seed: Field required"),
        (lambda line: line.update(seed="many"), "seed: .*valid integer.*got 'many'"),
        (lambda line: line["agent"].pop("name"), r"agent\.name: Field required"),
        (lambda line: line.update(reward="high"), "reward: .*got 'high'"),
        (lambda line: line.update(events=3), r"events: .*got '3'"),
        (lambda line: line["events"].append({}), r"events\.\d+\.event: expected act, say, stop, survey, fail"),
        (lambda line: line["events"].append({"event": ["say"]}), r"events\.\d+\.event: expected act"),
        (lambda line: line["events"].append({"event": "say"}), r"events\.\d+\.content: missing"),
        (lambda line: line["events"].append({"event": "stop", "content": 3}), r"events\.\d+\.content: .*got '3'"),
        (lambda line: line["events"].append({"event": "survey"}), r"events\.\d+\.answers: missing"),
        (lambda line: line["events"][1].pop("result"), r"events\.1\.result: missing"),
        (lambda line: line["events"][1].update(result=None), r"events\.1\.result: missing or no str"),
    ],
)
def test_malformed_line_names_file_line_and_field(tmp_path: Path, change: Change, message: str) -> None:
    path = tmp_path / "t.jsonl"
    content = write(path, episode())
    line = json.loads(content)
    change(line)
    path.write_bytes(content + json.dumps(line).encode() + b"\n" + content)
    with pytest.raises(TraceError, match=rf"t\.jsonl, line 2: {message}"):
        read_traces(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{nonsense\n", "not JSON: .*got b'{nonsense"),
        (b"\xff\n", "not JSON"),
        (b"[1, 2]\n", "the line: .*got '\\[1, 2\\]'"),
        (b"null\n", "the line: "),
        (b'{"reward": NaN}\n', "not JSON: NaN is no JSON number"),
        (b'{"schema": 2, "everything": "else is new"}\n', "schema 2 is newer than 1. Type: pip install -U"),
    ],
)
def test_a_line_that_is_no_trace(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(line + episode().to_line())
    with pytest.raises(TraceError, match=rf"t\.jsonl, line 1: {message}"):
        read_traces(path)


def test_fields_of_the_future_and_blank_lines_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    content = write(path, episode())
    path.write_bytes(b"\n" + json.dumps(json.loads(content) | {"mood": "good"}).encode() + b"\n\n")
    assert read_traces(path) == [parse(content, "here")]


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"No file of traces at .*Make one with: usersim-env rollout"):
        read_traces(tmp_path / "none.jsonl")
    with pytest.raises(TraceError, match=r"is a folder; expected a file of traces, such as .*traces\.jsonl"):
        read_traces(tmp_path)


def test_closed_writer_refuses(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path / "t.jsonl")
    writer.close()
    writer.close()
    with pytest.raises(ValueError, match="closed file"):
        writer.write(episode())


APPENDING = """
import dataclasses, sys
from usersim_env import TraceWriter, read_traces
trace = read_traces(sys.argv[1])[0]
for seed in range(40):
    with TraceWriter(sys.argv[2]) as writer:  # opened each time: opening repairs the last line
        writer.write(dataclasses.replace(trace, seed=seed, id=sys.argv[3]))
"""


def test_two_processes_append_at_once(tmp_path: Path) -> None:
    path = tmp_path / "both.jsonl"
    write(tmp_path / "one.jsonl", episode(words="w" * 200_000))
    command = [sys.executable, "-W", "error", "-c", APPENDING, str(tmp_path / "one.jsonl"), str(path)]
    running = [subprocess.Popen([*command, name]) for name in ("a", "b")]
    assert [process.wait() for process in running] == [0, 0]
    found = [(t.id, t.seed) for t in read_traces(path)]
    for name in ("a", "b"):
        assert [seed for who, seed in found if who == name] == list(range(40))
    assert not path.with_name("both.jsonl.cut").exists()


@pytest.mark.parametrize("content", [b"notes", b"notes\n", b"[1, 2]\n", b"\x89PNG\r\n", b"id,reward\n1,0\n"])
def test_a_file_of_something_else_is_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(TraceError, match="no file of traces: it begins with"):
        TraceWriter(path)
    with pytest.raises(TraceError, match=r"no file of traces|line 1"):
        read_traces(path)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]
