"""Whatever is no file of the right kind is refused by everything that writes, and stays as it was, byte for byte."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import socket
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from usersim_env import ScriptedUser, TauEnv, Trace, TraceWriter
from usersim_env.baselines.silent import Silent
from usersim_env.conversation.scene import Scene
from usersim_env.errors import UsageError
from usersim_env.feedback.survey import QUESTIONS, Survey
from usersim_env.feedback.values import Failure
from usersim_env.gap.monitor_file import HistoryFile
from usersim_env.gap.monitor_history import History, MonitorSettings, SideScores
from usersim_env.gap.usi.target import Target, TargetRow, write_target
from usersim_env.importers import export_file, import_to_file
from usersim_env.llm import Cassette, Completion
from usersim_env.llm.cassette import Tape
from usersim_env.multi_agent import tau_v0
from usersim_env.rating.file import RatingFile
from usersim_env.rollouts import RolloutSettings, rollout, rollout_async
from usersim_env.rollouts.at_terminal import play_terminal
from usersim_env.traces.trace import Seat, Terms
from usersim_env.users.base import UserSession
from usersim_env.wrappers import RecordTrace

USER = ScriptedUser(("hi", "yes"))
KEYWORDS: dict[str, Any] = {"user": USER, "max_steps": 2}
Write = Callable[[Path], object]


PLAYED: list[str] = []
"""Tasks of the episodes that were begun by a rollout or at the terminal."""


class Counted(ScriptedUser):
    """Keeps what it was asked to play."""

    def begin(self, scene: Scene) -> UserSession:
        PLAYED.append(scene.task_id)
        return super().begin(scene)


def trace() -> Trace:
    env = gym.make("TauMock-v0", **KEYWORDS).unwrapped
    assert isinstance(env, TauEnv)
    env.reset(seed=0)
    env.fail(Failure("agent", "error", "é"))
    return env.trace()


SETTINGS: dict[str, Any] = {"keywords": {**KEYWORDS, "user": Counted(("hi",))}, "progress": False}


# -- the writers -------------------------------------------------------------------------------------------------------


def write_traces(path: Path) -> None:
    with TraceWriter(path) as writer:
        writer.write(trace())


def write_recording(path: Path) -> None:
    env = gym.make("TauMock-v0", record=str(path), **KEYWORDS)
    env.reset(seed=0)
    env.close()


def write_wrapped(path: Path) -> None:
    RecordTrace(gym.make("TauMock-v0", **SETTINGS["keywords"]), path).reset(seed=0)


def write_both_seats(path: Path) -> None:
    tau_v0.env(domain="mock", record=str(path))


def write_rollout(path: Path) -> None:
    rollout(Silent(), "TauMock-v0", RolloutSettings(out=path, **SETTINGS))


def write_async(path: Path) -> None:
    asyncio.run(rollout_async(Silent(), "TauMock-v0", RolloutSettings(out=path, **SETTINGS)))


def write_played(path: Path) -> None:
    play_terminal(Silent(), "mock", "mock/test/0", out=path, user=Counted(("hi",)))


def write_import(path: Path) -> None:
    import_to_file([path.with_name("nothing.json")], path)


def write_export(path: Path) -> None:
    export_file([trace()], "openai", path)


def write_cassette(path: Path) -> None:
    Tape(Cassette(path, "record")).record({"model": "m"}, Completion("é", (), "stop", 1, 1, None))


def write_ratings(path: Path) -> None:
    file = RatingFile(path, "openai/m")
    question = QUESTIONS[0]
    file.add("mock_0", Survey({question.field: next(iter(question.answers))}), {"asked": "x", "model": "openai/m"})
    file.finish(["mock_0"])


def write_progress(path: Path) -> None:
    named = path.with_name(f"{path.name}.part")  # offered where the progress of ratings is kept
    path.rename(named)
    try:
        write_ratings(path)
    finally:
        if named.exists():  # it is gone if it was taken
            named.rename(path)


def write_history(path: Path) -> None:
    file = HistoryFile(path)
    history = file.resume(History(["mock/test/0", "mock/test/1"], MonitorSettings()))
    side = SideScores("simulated", {"mock/test/0": (1.0,), "mock/test/1": (0.0,)})
    file.append(history, history.add(len(history.looks), side, side))


def write_a_target(path: Path) -> None:
    seats = Seat("agenda", "agenda"), Seat("agent", "clerk")
    rows = {name: TargetRow((f"mock/{name}/0",), {"user_words_per_turn": 3.0}) for name in ("tuning", "held_out")}
    write_target(Target(*seats, Terms(), rows), path)


WRITERS: dict[str, Write] = {
    "traces": write_traces,
    "recording": write_recording,
    "wrapped": write_wrapped,
    "both_seats": write_both_seats,
    "rollout": write_rollout,
    "async": write_async,
    "played": write_played,
    "import": write_import,
    "export": write_export,
    "cassette": write_cassette,
    "ratings": write_ratings,
    "progress": write_progress,
    "history": write_history,
    "target": write_a_target,
}
OF_TRACES = {"traces", "recording", "wrapped", "both_seats", "rollout", "async", "played"}


# -- what is offered to them -------------------------------------------------------------------------------------------


def progress_made(path: Path) -> None:
    file = RatingFile(path.with_name("other"), "openai/m")
    file.fail("mock_0", "outage", "é")
    file.part.rename(path)


def database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE notes (text)")
    connection.close()


def read_only(path: Path) -> None:
    path.write_bytes(b"Chapter one, without an end")
    path.chmod(0o444)


def link(path: Path) -> None:
    path.with_name("thesis.txt").write_bytes(b"Chapter one\nIt was a dark and stormy ni")
    path.symlink_to("thesis.txt")


def device(path: Path) -> None:
    path.symlink_to("/dev/null")


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


LINE = json.dumps({"id": "0123456789abcdef", "messages": [{"role": "user", "content": "é"}]}).encode()
FOREIGN: dict[str, bytes | Write] = {
    "text": b"Chapter one",
    "text_line": b"Chapter one\n",
    "text_cut": b"Chapter one\nIt was a dark and stormy ni",
    "markdown": b"# Thesis\n\n- one\n",
    "csv": b"id,task_id,task_hash\n1,mock/test/0,x\n",
    "tsv": b"id\ttask_id\n",
    "one_byte": b"x",
    "brace": b"{",
    "brace_line": b"{\n",
    "quote": b'{"',
    "key": b'{"id',
    "our_key_in_other_layout": b'{"id" : "0123456789abcdef"',
    "somebodys_id": b'{"id":"chatcmpl-1","object":"chat.completion"',
    "somebodys_task": b'{"id":"1","task_id":"HumanEval/0","task_hash":"x"}\n',
    "somebodys_schema": b'{"schema": 1, "name": "x"}\n',
    "somebodys_tasks": b'{"tasks": [], "schema": 1}\n',
    "somebodys_cassette": b'{"cassette": "vcr", "interactions": []}\n',
    "somebodys_key": b'{"key": "value"}\n',
    "list": b"[1, 2]\n",
    "empty_list": b"[]",
    "object": b'{"answer": 42}\n',
    "object_cut": b'{"answer": 4',
    "pretty": json.dumps({"id": 1, "task_id": 2, "events": []}, indent=1).encode() + b"\n",
    "number": b"42\n",
    "null": b"null",
    "string": b'"words"\n',
    "nested": b"[" * 100_000,
    "nested_objects": b'{"id":' * 100_000,
    "json_lines": LINE + b"\n" + LINE + b"\n",
    "json_lines_cut": LINE + b"\n" + LINE[:30],
    "concatenated": LINE + LINE,
    "huge_line": b'{"id": "' + b"x" * 3_000_000 + b'"}',
    "huge_text": b"x" * 3_000_000,
    "nul": b"\x00" * 5_000,
    "one_nul": b"\x00",
    "spaces": b"   ",
    "many_spaces": b" " * 5_000,
    "crlf": b"one\r\ntwo\r\n",
    "carriage_returns": b"one\rtwo",
    "utf16": "Kapitel eins\n".encode("utf-16"),
    "utf16_json": LINE.decode().encode("utf-16"),
    "bom": b"\xef\xbb\xbfKapitel eins\n",
    "bom_json": b"\xef\xbb\xbf" + LINE + b"\n",
    "latin1": "Grüße\n".encode("latin-1"),
    "gzip": gzip.compress(LINE, mtime=0),
    "zip": b"PK\x03\x04\x14\x00\x00\x00",
    "png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    "jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "elf": b"\x7fELF\x02\x01\x01",
    "pickle": b"\x80\x04\x95\x0f\x00\x00\x00",
    "parquet": b"PAR1\x15\x04",
    "sqlite": database,
    "html": b"<!doctype html>\n<title>Gap</title>\n",
    "yaml": b"id: 1\ntask_id: 2\n",
    "python": b"import os\n",
    "notebook": json.dumps({"cells": [], "nbformat": 4}).encode(),
    "read_only": read_only,
    "link": link,
    "folder": lambda path: path.mkdir(),
    "pipe": lambda path: os.mkfifo(path),
    "device": device,
    "socket": listening,
    # ours, offered to the others
    "our_traces": write_traces,
    "our_cassette": write_cassette,
    "our_ratings": write_ratings,
    "our_progress": progress_made,
    "our_history": write_history,
    "our_target": write_a_target,
    "our_chat": write_export,
}
OWN = {
    **dict.fromkeys(OF_TRACES, "our_traces"),
    "cassette": "our_cassette",
    "ratings": "our_ratings",
    "progress": "our_progress",
    "history": "our_history",
    "target": "our_target",
}


def state(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Content and time of everything in a folder."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        content = (
            path.read_bytes() if stat.S_ISREG(path.stat().st_mode) else os.readlink(path) if path.is_symlink() else b""
        )
        found[path.name] = status.st_mode, status.st_ino, status.st_mtime_ns, content
    return found


PAIRS = [(kind, writer) for kind in FOREIGN for writer in WRITERS if OWN.get(writer) != kind]


def offer(kind: str, path: Path) -> None:
    content = FOREIGN[kind]
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content(path)


@pytest.mark.parametrize(("kind", "writer"), PAIRS)
def test_a_foreign_file_stays_as_it_was(kind: str, writer: str, tmp_path: Path) -> None:
    offer(kind, tmp_path / "offered")
    before = state(tmp_path)
    PLAYED.clear()
    with pytest.raises((UsageError, PermissionError)) as caught:
        WRITERS[writer](tmp_path / "offered")
    assert state(tmp_path) == before and PLAYED == []
    assert "offered" in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize("writer", [name for name in WRITERS if name not in ("import", "export")])
def test_its_own_is_taken(writer: str, tmp_path: Path) -> None:
    """Or none of the above would show anything."""
    offer(OWN[writer], tmp_path / "offered")
    PLAYED.clear()
    WRITERS[writer](tmp_path / "offered")
    assert bool(PLAYED) is (writer in ("rollout", "async", "played", "wrapped"))


def test_there_are_fifty_kinds() -> None:
    assert len(FOREIGN) >= 50
    assert set(OWN) == set(WRITERS) - {"import", "export"}
