"""Logs of Inspect: as one JSON file, and as an archive."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from usersim_env.cli import main
from usersim_env.errors import InstallError, TraceError
from usersim_env.gap import GapSettings, compare
from usersim_env.importers import ImportResult, ImportSettings, import_files
from usersim_env.importers.chat import as_message
from usersim_env.importers.layout import unpack
from usersim_env.traces.trace import Trace

LONG = "I ordered a lamp in May. " * 12
MESSAGES: list[dict[str, Any]] = [
    {"id": "m1", "role": "system", "content": "Be brief."},
    {"id": "m2", "role": "user", "content": "attachment://0e87", "source": "input"},
    {
        "id": "m3",
        "role": "assistant",
        "content": [{"type": "reasoning", "reasoning": "Secret plan."}, {"type": "text", "text": "One moment."}],
        "tool_calls": [{"id": "c1", "function": "find_order", "arguments": {"number": 7}, "type": "function"}],
    },
    {"id": "m4", "role": "tool", "tool_call_id": "c1", "function": "find_order", "content": "lost"},
    {"id": "m5", "role": "assistant", "content": "It is lost."},
    {"id": "m6", "role": "user", "content": "Oh. Thanks."},
    {"id": "m7", "role": "assistant", "content": "Sorry, bye."},
]


def sample(name: str = "a", epoch: int = 1, value: Any = "C", **changes: Any) -> dict[str, Any]:
    found = {
        "id": name,
        "epoch": epoch,
        "input": f"task {name}",
        "target": "lost",
        "messages": MESSAGES,
        "scores": {"includes": {"value": value}},
        "attachments": {"0e87": LONG},
        "events": [{"event": "model"}],
        "total_time": 2.5,
        "started_at": "2026-11-01T10:00:00+00:00",
    }
    return found | changes


def log(*samples: dict[str, Any], **head: Any) -> dict[str, Any]:
    return {"version": 2, "eval": {"task": "shop", "model": "openai/m"} | head, "samples": list(samples)}


def load(tmp_path: Path, content: dict[str, Any], name: str = "log.json") -> ImportResult:
    path = tmp_path / name
    path.write_text(json.dumps(content), encoding="utf-8")
    return import_files([path])


def one(tmp_path: Path, **changes: Any) -> tuple[Trace, tuple[str, ...]]:
    result = load(tmp_path, log(sample(**changes)))
    return result.traces[0], result.notes


def test_a_sample_is_a_trace(tmp_path: Path) -> None:
    trace, notes = one(tmp_path)
    assert [(m.role, m.content) for m in trace.messages] == [
        ("user", LONG), ("agent", "It is lost."), ("user", "Oh. Thanks."), ("agent", "Sorry, bye."),
    ]  # fmt: skip
    call = next(event for event in trace.events if event.get("name") == "find_order")
    assert (call["arguments"], call["result"], call["text"]) == ({"number": 7}, "lost", "One moment.")
    assert (trace.ended_by, trace.reward, trace.domain, trace.task_id) == ("agent", 1.0, "shop", "shop/inspect/a")
    assert (trace.agent.name, trace.user.kind) == ("openai/m", "unknown")
    assert (trace.provenance.seconds, trace.provenance.started) == (2.5, "2026-11-01T10:00:00+00:00")
    assert notes == () and "events" not in trace.source["record"]
    kept = unpack(trace.source["messages"], trace.events, as_message)
    assert kept == [MESSAGES[0], {**MESSAGES[1], "content": LONG}, *MESSAGES[2:]]


@pytest.mark.parametrize(
    ("value", "reward"),
    [("C", 1.0), ("I", 0.0), ("P", 0.5), ("N", 0.0), (1, 1.0), (0.25, 0.25), (True, 1.0), (False, 0.0)],
)
def test_what_a_score_is_worth(value: Any, reward: float, tmp_path: Path) -> None:
    assert one(tmp_path, value=value)[0].reward == reward


@pytest.mark.parametrize("value", [7, -0.5, "maybe", {"a": 1}, [1], None])
def test_a_score_that_is_no_reward_is_none_and_noted(value: Any, tmp_path: Path) -> None:
    trace, notes = one(tmp_path, value=value)
    assert trace.reward is None and "the score includes is" in notes[0] and "not scored" in notes[0]


def test_several_scores(tmp_path: Path) -> None:
    trace, notes = one(tmp_path, scores={"exact": {"value": "I"}, "judge": {"value": "C"}})
    assert trace.reward == 0.0 and "several scores (exact, judge): exact is the reward" in notes[0]


@pytest.mark.parametrize(
    ("changes", "ended_by", "reward"),
    [
        ({"limit": {"type": "message", "limit": 7}}, "limit", 1.0),
        ({"limit": {"type": "operator", "limit": 1}}, "cut", None),
        ({"scores": {}}, "cut", None),
        ({"scores": None}, "cut", None),
        ({"error": {"message": "no quota"}}, "failure", None),
    ],
)
def test_how_a_sample_ended(changes: dict[str, Any], ended_by: str, reward: float | None, tmp_path: Path) -> None:
    trace, _ = one(tmp_path, **changes)
    assert (trace.ended_by, trace.reward) == (ended_by, reward)
    assert trace.failure is None or "no quota" in trace.failure.message


def test_the_model_of_the_user_side(tmp_path: Path) -> None:
    trace = load(tmp_path, log(sample(), model_roles={"user": {"model": "openai/u"}})).traces[0]
    assert (trace.user.kind, trace.user.name) == ("llm", "openai/u")


def test_logs_of_other_tasks_are_not_paired(tmp_path: Path) -> None:
    samples = [sample(name, epoch) for name in "ab" for epoch in (1, 2)]
    mine = load(tmp_path, log(*samples)).traces
    theirs = load(tmp_path, log(*samples, task="bank"), "other.json").traces
    with pytest.raises(Exception, match="No task is on both sides"):
        compare(mine, theirs, GapSettings(replicates=100))
    other = load(tmp_path, log(*(s | {"input": "other"} for s in samples)), "changed.json").traces
    assert {trace.task_hash for trace in mine}.isdisjoint(trace.task_hash for trace in other)


def archive(path: Path, content: dict[str, Any], head: str = "header.json") -> None:
    zipfile = pytest.importorskip("zipfile" if sys.version_info >= (3, 14) else "backports.zstd.zipfile")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_ZSTANDARD) as file:
        for found in content["samples"]:
            file.writestr(f"samples/{found['id']}_epoch_{found['epoch']}.json", json.dumps(found))
        file.writestr(head, json.dumps({name: content[name] for name in content if name != "samples"}))


@pytest.mark.parametrize("head", ["header.json", "_journal/start.json"])
def test_an_archive_is_the_same(head: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = log(sample("a"), sample("b", value="I"))
    path = tmp_path / "log.eval"
    archive(path, content, head)
    assert import_files([path]).traces == load(tmp_path, content).traces
    assert main(["import", str(path), "--out", str(tmp_path / "out.jsonl")]) == 0
    assert "2 imported, 2 scored, 0 broken" in capsys.readouterr().out


def test_archives_that_are_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.eval"
    archive(path, log(sample()), "other.json")
    with pytest.raises(TraceError, match="no log of Inspect"):
        import_files([path])
    archive(path, log(sample()))
    whole = path.read_bytes()
    for cut in (5, 60, len(whole) - 30):
        path.write_bytes(whole[:cut])
        with pytest.raises(TraceError, match=r"log\.eval: the archive cannot be read"):
            import_files([path], settings=ImportSettings(skip_broken=True))
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        with suppress(TraceError):  # anything else is an error of ours
            import_files([path])
    if sys.version_info < (3, 14):
        path.write_bytes(whole)
        monkeypatch.setitem(sys.modules, "backports.zstd", None)
        with pytest.raises(InstallError, match=r"usersim_env\[inspect\]"):
            import_files([path])


def test_samples_of_two_logs_are_two_episodes(tmp_path: Path) -> None:
    mine = load(tmp_path, log(sample(), eval_id="one")).traces
    theirs = load(tmp_path, log(sample(), eval_id="two"), "other.json").traces
    assert mine[0].id != theirs[0].id


def test_a_stop_word_counts_at_the_end_of_the_last_message_alone(tmp_path: Path) -> None:
    asked = {"role": "user", "content": "Play a customer who ends with ###STOP###. Say hello."}
    trace, _ = one(tmp_path, messages=[asked, *MESSAGES[4:]])
    assert trace.failure is None and trace.messages[0].content == asked["content"] and trace.ended_by == "agent"
    bye = {"role": "user", "content": "Bye. ###STOP###"}
    assert one(tmp_path, messages=[*MESSAGES, bye])[0].ended_by == "user"
    crashed, _ = one(tmp_path, messages=[*MESSAGES, bye], error={"message": "scorer crashed"})
    assert (crashed.ended_by, crashed.reward) == ("failure", None)


def test_a_sample_that_was_declared_invalid(tmp_path: Path) -> None:
    trace, _ = one(tmp_path, invalidation={"author": "me", "reason": "wrong"})
    assert (trace.ended_by, trace.reward) == ("failure", None)


def test_an_error_of_a_tool_is_its_answer(tmp_path: Path) -> None:
    failed = {**MESSAGES[3], "content": "", "error": {"type": "timeout", "message": "Command timed out."}}
    trace, _ = one(tmp_path, messages=[*MESSAGES[:3], failed, *MESSAGES[4:]])
    call = next(event for event in trace.events if event.get("name") == "find_order")
    assert (call["result"], call["error"], trace.effort.tool_errors) == ("Command timed out.", True, 1)


def test_a_score_that_inspect_has_not_made(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text(json.dumps(log(sample(value=float("nan")))), encoding="utf-8")
    result = import_files([path])
    assert result.traces[0].reward is None and "is 'NaN'" in result.notes[0]


def test_attachments_are_resolved_everywhere_and_missing_ones_noted(tmp_path: Path) -> None:
    trace, notes = one(tmp_path, store={"note": "attachment://0e87"})
    assert trace.source["record"]["store"] == {"note": LONG} and notes == ()
    lost, notes = one(tmp_path, attachments={})
    assert "texts that are attachments which the log does not have: 1." in notes[0]
    assert lost.task_hash == trace.task_hash


def test_one_broken_sample_of_an_archive_takes_no_other_along(tmp_path: Path) -> None:
    zipfile = pytest.importorskip("zipfile" if sys.version_info >= (3, 14) else "backports.zstd.zipfile")
    path = tmp_path / "log.eval"
    archive(path, log(sample("a"), sample("b")))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_ZSTANDARD) as file:
        file.writestr("samples/c_epoch_1.json", '{"id": "c", ')
    result = import_files([path], settings=ImportSettings(skip_broken=True))
    assert len(result.traces) == 2 and "samples/c_epoch_1.json" in result.broken[0]


@pytest.mark.parametrize("depth", [150, 600, 900])
def test_what_is_nested_without_end_is_named(depth: int, tmp_path: Path) -> None:
    store: Any = []
    for _ in range(depth):
        store = [store]
    with pytest.raises(TraceError):
        one(tmp_path, store=store)
