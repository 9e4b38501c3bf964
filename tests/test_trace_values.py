"""Whatever stands in a line of a trace file: it is refused at once, with its place, or nothing trips over it later."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import re
import warnings
from collections.abc import Iterator
from dataclasses import MISSING
from pathlib import Path
from typing import Any

import pytest

from usersim_env.baselines import Clerk
from usersim_env.errors import TraceError, UsageError
from usersim_env.feedback.values import Effort, Failure, Replayed
from usersim_env.gap import ComparisonWarning, GapSettings, compare
from usersim_env.importers import ImportSettings, import_files, to_openai, to_tau_usi
from usersim_env.importers.rescore import rescore
from usersim_env.rollouts import RolloutSettings, rollout
from usersim_env.traces.file import EVENT_FIELDS, read_traces
from usersim_env.traces.trace import Provenance, Seat, Terms, Trace
from usersim_env.users.replay import ReplayUser

PLAYED = RolloutSettings(tasks=["mock/test/0", "mock/test/1"], keywords={"persona": "humanlike"}, progress=False)
DEEP: Any = []
for _ in range(300):
    DEEP = [DEEP]
RAW = {"1e999": "1e999", "NaN": "NaN", "-Infinity": "-Infinity", "brackets": "[" * 100_000}
"""What JSON's own types cannot hold, by name."""
JUNK: tuple[Any, ...] = (
    None, "", "words", -1, 7, 1.5, 10**30, 10**400, True, [], {}, [[]], {"a": {"b": None}}, "\ud800", DEEP, *RAW,
)  # fmt: skip


@pytest.fixture(scope="module")
def played() -> tuple[Trace, ...]:
    return tuple(rollout(Clerk(), "TauMock-agenda-v0", PLAYED).traces)


@pytest.fixture(scope="module")
def good(played: tuple[Trace, ...]) -> Trace:
    assert played[0].survey and played[0].behaviour and played[0].signals
    return played[0]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a value, of lists the first and last two."""
    if at:
        yield at
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    for key in keys if isinstance(value, dict) else sorted({*keys[:2], *keys[-2:]}):
        yield from places(value[key], (*at, key))


def changed(line: dict[str, Any], at: tuple[Any, ...], junk: Any) -> bytes:
    found = copy.deepcopy(line)
    inner = found
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = f"<{junk}>" if isinstance(junk, str) and junk in RAW else junk
    text = json.dumps(found)
    for name, raw in RAW.items():
        text = text.replace(json.dumps(f"<{name}>"), raw)
    return text.encode() + b"\n"


def read(file: Path) -> tuple[list[Trace], str | None]:
    try:
        return read_traces(file), None
    except TraceError as error:
        return [], str(error)


def use(file: Path, traces: list[Trace], played: tuple[Trace, ...]) -> None:
    """Everything that reads traces; a `UsageError` says what is wrong and is no surprise."""
    for trace in traces:
        trace.to_line()
        assert trace.feedback.signals is not None and trace.messages is not None and trace.rules is not None
    for reader in (
        lambda: compare([*traces, played[1]], played, GapSettings(replicates=100)).as_dict(),
        lambda: compare(played, [*traces, played[1]], GapSettings(replicates=100)).as_dict(),
        lambda: rescore([file]),
        lambda: ReplayUser(tuple(traces), purpose="evaluation"),
        lambda: to_openai(traces, purpose="evaluation"),
        lambda: to_tau_usi(traces),
    ):
        with contextlib.suppress(UsageError):
            reader()


def test_junk_in_every_place_is_refused_when_it_is_read_or_never(tmp_path: Path, played: tuple[Trace, ...]) -> None:
    good = played[0]
    with pytest.warns(ComparisonWarning, match="compared with themselves"):
        assert compare(played, played, GapSettings(replicates=100)).as_dict()
    line, file = json.loads(good.to_line()), tmp_path / "traces.jsonl"
    refused = taken = 0
    for at in places(line):
        for junk in JUNK:
            file.write_bytes(good.to_line() + changed(line, at, junk))
            name = f"{'.'.join(map(str, at))} = {junk!r:.60}"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                traces, problem = read(file)
                assert problem is None or f"{file}, line 2: " in problem, f"{name}: {problem}"
                refused, taken = refused + (problem is not None), taken + (problem is None)
                if problem is not None:
                    continue
                try:
                    use(file, traces[1:] or traces, played)
                except Exception as error:
                    raise AssertionError(f"{name} was read, and then: {error!r}") from error
    assert refused > 1000 and taken > 100


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("reward", 1.5, "line 1: reward: expected null or a number from 0 to 1, got 1.5"),
        ("reward", -0.01, "line 1: reward: expected null or a number from 0 to 1, got -0.01"),
        ("ended_by", "me", "line 1: ended_by: expected user, agent, transfer, limit, failure, recording, cut"),
        ("survey", {"reuse": "Perhaps"}, "line 1: survey: Unknown answer to reuse 'Perhaps'"),
        ("survey", {"mood": "Yes"}, "line 1: survey: Unknown survey field 'mood'"),
        ("survey", {}, "line 1: survey: A survey without any answer: use None when nobody was asked"),
        ("behaviour", {"n_turns": 3.0}, "line 1: behaviour: politeness_rate, short_msg_rate, formality_rate missing"),
        ("schema", 2, "line 1: schema 2 is newer than 1"),
        ("schema", 0, "line 1: schema: expected at least 1, got 0"),
        ("seed", 10**30, "line 1: seed: expected a whole number of 64 bits"),
        ("max_steps", -1, "line 1: max_steps: expected a whole number of at least 1, got -1"),
        ("task", {"instruction": 1}, "line 1: task: expected instruction, expected_calls, required_outputs"),
        ("source", {"record": DEEP}, "line 1: source: nested more than 200 levels deep"),
    ],
)  # fmt: skip
def test_the_message_names_file_line_and_field(
    tmp_path: Path, good: Trace, name: str, value: Any, message: str
) -> None:
    file = tmp_path / "traces.jsonl"
    file.write_text(json.dumps(json.loads(good.to_line()) | {name: value}) + "\n")
    with pytest.raises(TraceError) as caught:
        read_traces(file)
    assert f"{file}, {message}" in str(caught.value)


def test_numbers_and_depths_that_json_has_and_we_do_not(tmp_path: Path, good: Trace) -> None:
    file, line = tmp_path / "traces.jsonl", good.to_line()
    for raw, message in (
        (
            line.replace(b'"reward":', b'"reward":1e999,"more":'),
            "reward: expected null or a number from 0 to 1, got inf",
        ),
        (line.replace(b'"source":{', b'"source":{"a":[1e999]'), "source: holds a number that is too large"),
        (line.replace(b'"reward":', b'"reward":NaN,"more":'), "NaN is no JSON number"),
        (b"[" * 100_000 + b"\n", "nested too deeply"),
        (line.replace(b'"source":{', b'"source":{"a":' + b"[" * 9000 + b"]" * 9000), "nested too deeply"),
    ):
        file.write_bytes(raw)
        with pytest.raises(TraceError, match=message):
            read_traces(file)


PARTS = {
    "Seat": Seat,
    "Failure": Failure,
    "Effort": Effort,
    "Provenance": Provenance,
    "Terms": Terms,
    "Recording": Replayed,
}


def test_the_docs_list_every_field_and_whether_it_is_needed() -> None:
    text = (Path(__file__).parents[1] / "docs" / "traces.md").read_text(encoding="utf-8")
    begins = re.split(r"^\*\*(\w+)\*\*.*$", text, flags=re.M)
    sections = {"": begins[0], **dict(zip(begins[1::2], begins[2::2], strict=True))}
    assert set(sections) == {"", "Events", *PARTS}
    for name, made in {"": Trace, **PARTS}.items():
        rows = re.findall(r"^\| (`.*?`) \| .* \| (.*?) \|$", sections[name], flags=re.M)
        listed = {field: missing for fields, missing in rows for field in re.findall(r"`(\w+)`", fields)}
        fields = dataclasses.fields(made)
        assert listed.keys() == {field.name for field in fields}, name or "Trace"
        optional = {
            field.name for field in fields if field.default is not MISSING or field.default_factory is not MISSING
        }
        assert {field for field, missing in listed.items() if missing != "needed"} == optional, name or "Trace"
    events = re.findall(r"^\| `(\w+)` \| (.*) \|$", sections["Events"], flags=re.M)
    assert {kind for kind, _ in events[1:]} == EVENT_FIELDS.keys()
    for kind, words in events[1:]:
        assert EVENT_FIELDS[kind].keys() <= set(re.findall(r"`(\w+)`", words)), kind


def test_fields_of_the_future_are_passed_over_everywhere(tmp_path: Path, good: Trace) -> None:
    line = json.loads(good.to_line())
    parts: list[Any] = [line, line["agent"], line["user"], line["effort"], line["provenance"], line["terms"]]
    for part in [*parts, *line["events"]]:
        part["of_the_future"] = {"a": [1]}
    file = tmp_path / "traces.jsonl"
    file.write_text(json.dumps(line) + "\n")
    (read,) = read_traces(file)
    assert dataclasses.replace(read, events=good.events) == good


def test_a_rollout_does_not_resume_over_another_scoring_version(tmp_path: Path, good: Trace) -> None:
    file = tmp_path / "traces.jsonl"
    file.write_bytes(dataclasses.replace(good, scoring="0").to_line())
    with pytest.raises(
        UsageError, match=r"traces\.jsonl: trace .* was scored by version 0 of the rules, this is version 1"
    ):
        rollout(Clerk(), "TauMock-agenda-v0", dataclasses.replace(PLAYED, out=file))
    assert len(read_traces(file)) == 1
    file.write_bytes(good.to_line())
    assert len(rollout(Clerk(), "TauMock-agenda-v0", dataclasses.replace(PLAYED, out=file)).traces) == 2


@pytest.mark.parametrize("bad", ["NaN", "-Infinity", "1e999", '{"a": 1, "a": 2}'])
def test_a_record_that_is_no_json_leaves_the_others(tmp_path: Path, bad: str) -> None:
    talk = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "How can I help?"}]
    records = [{"messages": talk, "extra": "HERE"}, {"messages": talk}]
    file = tmp_path / "chats.json"
    file.write_text(json.dumps(records).replace('"HERE"', bad))
    with pytest.raises(TraceError, match=r"chats\.json, record 0"):
        import_files([file])
    result = import_files([file], settings=ImportSettings(skip_broken=True))
    assert len(result.traces) == 1 and len(result.broken) == 1 and "record 0" in result.broken[0]
