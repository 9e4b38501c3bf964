"""A file that is not what was asked for is told what it is and which command reads it."""

from __future__ import annotations

import gzip
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from usersim_env.cli import main
from usersim_env.traces.looks_like import looks_like

TALK = [{"role": "user", "content": "Hi."}]
READ = "Read it with: usersim-env import {path} --out FILE.jsonl"
FILES: list[tuple[Any, str]] = [
    ([{"task_id": 0, "reward": 1.0, "info": {}, "traj": TALK}], f"results of τ-bench. {READ}"),
    ({"timestamp": "", "info": {}, "tasks": [], "simulations": []}, f"results of τ²-bench. {READ}"),
    ([{"task_id": "0", "termination_reason": "user_stop", "messages": TALK}], f"runs of τ²-bench. {READ}"),
    ({"results": [{"instance_id": "airline_1", "conversation": TALK}]}, f"results of OdysSim. {READ}"),
    ({"airline_1": {"conversation": TALK}}, f"sessions in tau-usi's format. {READ}"),
    ({"version": 2, "eval": {"task": "x"}, "plan": {}, "samples": []}, f"a log of Inspect. {READ}"),
    ({"env": {"id": "x"}, "task": {}, "traces": []}, f"traces of verifiers. {READ}"),
    ({"prompt": TALK, "completion": TALK, "reward": 1.0}, f"results of verifiers. {READ}"),
    ({"conversations": [{"from": "human", "value": "Hi."}]}, f"chat messages (ShareGPT). {READ}"),
    ([{"messages": TALK}], f"chat messages. {READ}"),
    (TALK, f"chat messages. {READ}"),
    (
        {"cassette": 1, "key": "k"},
        "a cassette of a model's answers. Play it with: --user llm:model=NAME,cassette={path}",
    ),
    ({"estimand": "", "gap_is": ""}, "the numbers of a report of gap, which no command reads"),
    ({"schema": 1, "tasks": [], "settings": {}}, "the history of a GapMonitor"),
]


@pytest.mark.parametrize(("content", "what"), FILES)
@pytest.mark.parametrize("indent", [None, 2])
def test_json_of_others(content: Any, what: str, indent: int | None, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "file.json"
    path.write_text(json.dumps(content, indent=indent) + "\n", encoding="utf-8")
    expected = what.format(path=path)
    assert (looks_like(path) or "").startswith(expected)
    for command in (["gap", "--sim", str(path), "--reference", str(path)], ["export", str(path), "--format", "openai"]):
        assert main([*command, "--out", str(tmp_path / "out")]) == 2
        assert f"{path} is no file of traces. It looks like {expected}" in capsys.readouterr().err
    if "usi" not in expected and "OdysSim" not in expected:
        assert main(["usi", "--human", str(path), "--sim", f"a={path}"]) == 2
        told = capsys.readouterr().err
        assert f"It looks like {expected}" in told or "expected a JSON object" in told


def test_files_that_are_no_json(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(b"{}"))
    assert looks_like(path) == "compressed by gzip. Unpack it first."
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    assert "usersim-env study export FOLDER" in (looks_like(path) or "")
    path.write_bytes(b"PK\x03\x04...")
    assert "a log of Inspect (.eval) is read with" in (looks_like(path) or "").lower().replace("inspect", "Inspect")
    for content in (b"", b"# Notes", b"7", b'{"x": 1}', b"\x00\xff"):
        path.write_bytes(content)
        assert looks_like(path) is None


def test_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert looks_like(tmp_path) is None and looks_like(tmp_path / "nothing") is None
    (tmp_path / "study.sqlite").touch()
    assert f"usersim-env study export {tmp_path}" in (looks_like(tmp_path) or "")
    (tmp_path / "results.json").touch()
    assert main(["gap", "--sim", str(tmp_path), "--reference", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "It looks like a folder of results of τ²-bench" in capsys.readouterr().err


def test_a_broken_line_of_ours_is_named_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text(json.dumps({"task_hash": "x", "events": [], "messages": []}) + "\n", encoding="utf-8")
    assert main(["gap", "--sim", str(path), "--reference", str(path), "--out", str(tmp_path / "out")]) == 2
    assert f"{path}, line 1: id: Field required" in capsys.readouterr().err


def test_an_import_that_fails_does_not_advise_an_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tools.json"
    path.write_text(json.dumps({"data": [{"messages": TALK}]}), encoding="utf-8")
    assert main(["import", str(path), "--out", str(tmp_path / "out.jsonl")]) == 2
    told = capsys.readouterr().err
    assert "none of the formats" in told and "usersim-env import" not in told.removeprefix("usersim-env import")
