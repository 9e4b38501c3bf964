"""Files of JSON lines: whoever dies and whatever fills up, what was acknowledged is read and nothing is glued."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import gymnasium as gym
import pytest

from usersim_env import ScriptedUser, TauEnv, Trace, TraceWriter, read_traces
from usersim_env.errors import TraceError, UsageError
from usersim_env.gap.monitor_file import LOOKS
from usersim_env.jsonl import lines as json_lines
from usersim_env.jsonl.kind import LineKind
from usersim_env.jsonl.lines import JsonLines
from usersim_env.llm.cassette import ANSWERS
from usersim_env.rating.file import PROGRESS
from usersim_env.traces.file import TRACES, iter_traces

resource = pytest.importorskip("resource", reason="no limits on the size of files here")


def episode(seed: int) -> Trace:
    env = gym.make("TauMock-v0", user=ScriptedUser((f"Grüße 🙂 {seed}",))).unwrapped
    assert isinstance(env, TauEnv)
    env.reset(seed=seed)
    env.step({"name": "respond", "arguments": {"content": "hi"}})
    return env.trace()


def answer(number: int) -> bytes:
    found = {
        "cassette": 1,
        "key": f"{number:016x}",
        "occurrence": 0,
        "request": {"model": "m"},
        "answer": {"text": "é"},
    }
    return json.dumps(found).encode() + b"\n"


def rating(number: int) -> bytes:
    if number % 2:
        return json.dumps({"key": f"mock_{number}", "failure": {"kind": "outage", "message": "é"}}).encode() + b"\n"
    return json.dumps({"key": f"mock_{number}", "entry": {"survey": {}, "rating": {"asked": "x"}}}).encode() + b"\n"


def looked(number: int) -> bytes:
    if number == 0:
        return json.dumps({"schema": 1, "tasks": ["mock/test/0"], "settings": {}}).encode() + b"\n"
    return json.dumps({"step": number, "sim": {}, "reference": {}, "numbers": {}}).encode() + b"\n"


Make = Callable[[int], bytes]
KINDS: list[tuple[LineKind, Make]] = [
    (TRACES, lambda number: episode(number).to_line()),
    (ANSWERS, answer),
    (PROGRESS, rating),
    (LOOKS, looked),
]
every_kind = pytest.mark.parametrize(("kind", "make"), KINDS, ids=[kind.name for kind, _ in KINDS])


@contextlib.contextmanager
def full_at(size: int) -> Iterator[None]:
    """No file grows beyond so many bytes, and a write that would is cut short by the system."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def repairs(expected: bool) -> Iterator[None]:
    """Whether a warning says that a torn line was moved aside."""
    if expected:
        with pytest.warns(UserWarning, match=r"the last line was cut in the middle; it was moved to .*\.cut"):
            yield
    else:
        yield


# -- at every byte of a line -------------------------------------------------------------------------------------------


@every_kind
def test_a_writer_was_killed(kind: LineKind, make: Make, tmp_path: Path) -> None:
    path, aside = tmp_path / "f.jsonl", tmp_path / "f.jsonl.cut"
    first, torn, last = map(make, range(3))
    for cut in range(len(torn) + 1):
        path.write_bytes(first + torn[:cut])
        aside.unlink(missing_ok=True)
        with repairs(0 < cut < len(torn) - 1):
            JsonLines(path, kind).append(last)
        whole = torn if cut >= len(torn) - 1 else b""
        assert path.read_bytes() == first + whole + last, cut
        assert (aside.read_bytes() if aside.exists() else b"") == (torn[:cut] + b"\n" if cut > 0 and not whole else b"")


@every_kind
def test_a_writer_was_killed_in_the_first_line(kind: LineKind, make: Make, tmp_path: Path) -> None:
    """Too short a beginning could be anybody's, and is left to whoever knows; it never becomes part of a line."""
    path = tmp_path / "f.jsonl"
    torn, last = make(0), make(2)
    known = kind.begins.match(torn)
    assert known is not None and known.end() < 60
    for cut in range(len(torn) + 1):
        path.write_bytes(torn[:cut])
        (tmp_path / "f.jsonl.cut").unlink(missing_ok=True)
        if 0 < cut < known.end():
            with pytest.raises(kind.error, match=rf"is no {kind.name}: it begins with .*, or remove this one"):
                JsonLines(path, kind).append(last)
            assert path.read_bytes() == torn[:cut]
            continue
        with repairs(0 < cut < len(torn) - 1):
            JsonLines(path, kind).append(last)
        assert path.read_bytes() == (torn if cut >= len(torn) - 1 else b"") + last


@every_kind
def test_a_disk_fills_and_empties_again(kind: LineKind, make: Make, tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    first, line = make(0), make(1)
    for room in range(len(line)):
        path.write_bytes(first)
        lines = JsonLines(path, kind)
        with full_at(len(first) + room), pytest.raises(OSError, match=r"the line was not written.*f\.jsonl"):
            lines.append(line)
        assert path.read_bytes() == first, room
        lines.append(line)
        assert path.read_bytes() == first + line
    assert list(tmp_path.iterdir()) == [path]


@every_kind
def test_another_process_goes_on(kind: LineKind, make: Make, tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    lines = [make(number) for number in range(3)]
    for cut in range(len(lines[1])):
        path.unlink(missing_ok=True)
        (tmp_path / "f.jsonl.cut").unlink(missing_ok=True)
        going_on = JsonLines(path, kind)
        going_on.append(lines[0])
        with path.open("ab") as file:  # one that is killed, or that knows nothing of all this
            file.write(lines[1][:cut])
        with repairs(0 < cut < len(lines[1]) - 1):
            going_on.append(lines[2])
        going_on.append(lines[2])
        whole = lines[1] if cut == len(lines[1]) - 1 else b""
        assert path.read_bytes() == lines[0] + whole + lines[2] * 2, cut


def test_a_torn_line_on_a_full_disk_waits_for_room(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(torn := answer(0) + answer(1)[:50])
    lines = JsonLines(path, ANSWERS)
    with full_at(0), pytest.raises(OSError, match="File too large"):
        lines.append(answer(2))
    assert path.read_bytes() == torn and list(tmp_path.iterdir()) == [path]
    with repairs(True):
        lines.append(answer(2))
    assert path.read_bytes() == answer(0) + answer(2)


def test_traces_of_an_older_version_are_read_to_the_end(tmp_path: Path) -> None:
    """Which went on in the torn line, or ended it and went on in the next."""
    path = tmp_path / "t.jsonl"
    first, torn, last = map(episode, range(3))
    line = torn.to_line()
    begins = TRACES.begins.match(line)
    assert begins is not None
    for cut in range(1, len(line) - 1):
        for end, words in ((b"", "another is glued to it, which is read"), (b"\n", "is left out")):
            if end and cut < begins.end():
                continue  # could be anybody's
            path.write_bytes(first.to_line() + line[:cut] + end + last.to_line())
            with pytest.warns(UserWarning, match=f"line 2 was cut in the middle; {words}"):
                assert read_traces(path) == [first, last]


@pytest.mark.parametrize(
    "middle", [b"notes\n", b'{"id": "x", "not ended\n', b'{"mine": true}\n', b"\x00\x00\n", b"[\n"]
)
def test_a_line_of_somebody_else_is_no_torn_line(middle: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(episode(0).to_line() + middle + episode(1).to_line())
    with pytest.raises(TraceError, match=r"t\.jsonl, line 2: "):
        read_traces(path)


# -- killed, many at once, and other things that happen ----------------------------------------------------------------

APPENDING = r"""
import sys
from usersim_env.jsonl.lines import JsonLines
from usersim_env.llm.cassette import ANSWERS
lines = JsonLines(sys.argv[1], ANSWERS)
form = '{"cassette": 1, "key": "%s", "occurrence": 0, "request": "%s", "answer": 0}\n'
for number in range(int(sys.argv[3])):
    key = f"{sys.argv[2]}-{number}"
    lines.append((form % (key, "x" * 300_000)).encode())
    print(key, flush=True)
"""


def test_processes_are_killed_while_others_go_on(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    command = [sys.executable, "-W", "ignore", "-c", APPENDING, str(path)]
    going_on = subprocess.Popen([*command, "steady", "150"], stdout=subprocess.PIPE)
    acknowledged: list[bytes] = []
    for number in range(8):
        with subprocess.Popen([*command, f"killed{number}", "100000"], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            acknowledged.append(process.stdout.readline().strip())
            time.sleep(0.005 * number)
            os.kill(process.pid, signal.SIGKILL)
            acknowledged += process.stdout.read().split(b"\n")[:-1]
    out, _ = going_on.communicate()
    assert going_on.returncode == 0
    acknowledged += out.split()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        JsonLines(path, ANSWERS).repair()
    keys = [json.loads(line)["key"].encode() for line in path.read_bytes().splitlines()]
    assert len(out.split()) == 150 and len(keys) == len(set(keys))
    assert not set(acknowledged) - set(keys)
    assert len(keys) <= len(acknowledged) + 8, "whole lines only of those that were killed before they could say so"


def test_threads_share_a_writer(tmp_path: Path) -> None:
    trace = episode(0)
    with TraceWriter(tmp_path / "t.jsonl") as writer:

        def write(number: int) -> None:
            for seed in range(25):
                writer.write(dataclasses.replace(trace, seed=100 * number + seed))

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(t.seed for t in iter_traces(tmp_path / "t.jsonl")) == [
        100 * n + s for n in range(8) for s in range(25)
    ]


def test_another_folder_and_a_missing_file_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    writer = TraceWriter("runs/t.jsonl")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    writer.write(episode(0))
    (tmp_path / "runs" / "t.jsonl").rename(tmp_path / "moved.jsonl")
    writer.write(episode(1))
    assert [t.seed for t in read_traces(tmp_path / "moved.jsonl")] == [0]
    assert [t.seed for t in read_traces(tmp_path / "runs" / "t.jsonl")] == [1]


def test_a_file_that_is_replaced_meanwhile_is_looked_at_again(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    writer = TraceWriter(path)
    writer.write(episode(0))
    path.write_text("Chapter one", encoding="utf-8")
    with pytest.raises(TraceError, match=r"t\.jsonl is no file of traces: it begins with b'Chapter one'"):
        writer.write(episode(1))
    assert path.read_text(encoding="utf-8") == "Chapter one"


def test_what_was_cut_goes_into_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    (tmp_path / "f.jsonl.cut").write_text("somebody else's", encoding="utf-8")
    for number, name in ((1, "f.jsonl.cut2"), (2, "f.jsonl.cut3")):
        path.write_bytes(answer(0) + answer(number)[:-9])
        path.chmod(0o600)
        with pytest.warns(UserWarning, match=rf"moved to .*{name}\."):
            JsonLines(path, ANSWERS).append(answer(3))
        assert (tmp_path / name).read_bytes() == answer(number)[:-9] + b"\n"
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600, "as private as the file itself"
    assert (tmp_path / "f.jsonl.cut").read_text(encoding="utf-8") == "somebody else's"


def test_where_files_cannot_be_locked_a_warning_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.warns(UserWarning, match=r"f\.jsonl cannot be locked: Operation not supported\. Let only one process"):
        JsonLines(tmp_path / "f.jsonl", ANSWERS).append(answer(0))
    monkeypatch.setattr(json_lines, "fcntl", None)
    JsonLines(tmp_path / "f.jsonl", ANSWERS).append(answer(1))
    assert (tmp_path / "f.jsonl").read_bytes() == answer(0) + answer(1)


@every_kind
def test_what_was_paid_for_is_forced_to_the_disk(
    kind: LineKind, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: forced.append(os.fstat(descriptor).st_size))
    lines = JsonLines(tmp_path / "f.jsonl", kind)
    lines.append(make(0))
    lines.append(make(1))
    assert kind.synced is (kind in (PROGRESS, LOOKS))
    assert len(forced) == (3 if kind.synced else 0), "each line, and the folder of a new file"
    if forced:
        assert (forced[0], forced[-1]) == (len(make(0)), len(make(0) + make(1)))


def test_a_line_that_would_follow_another_processs_is_refused(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "f.jsonl", ANSWERS)
    size = lines.append(answer(0), size=0)
    assert lines.append(answer(1), size=size) == len(answer(0) + answer(1))
    with pytest.raises(UsageError, match="has grown since it was last read or written here"):
        lines.append(answer(2), size=size)
    assert (tmp_path / "f.jsonl").read_bytes() == answer(0) + answer(1)
