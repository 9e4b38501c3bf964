"""One output file, several rollouts: never two copies of an episode, and the second says what to do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from usersim_env import ScriptedUser, TraceWriter, read_traces
from usersim_env.baselines.silent import Silent
from usersim_env.cli import main
from usersim_env.errors import UsageError
from usersim_env.jsonl import claim
from usersim_env.jsonl.claim import claimed
from usersim_env.rollouts import RolloutSettings, rollout, rollout_async, rollout_stream
from usersim_env.traces.file import iter_traces

TASKS = [f"mock/test/{i}" for i in range(4)]
USER = ScriptedUser(("hi", "yes"))


def settings(out: Path, seeds: Any = (0,)) -> RolloutSettings:
    return RolloutSettings(TASKS, seeds, out, {"user": USER}, progress=False)


@dataclass(frozen=True)
class Twice(Silent):
    """Starts the same rollout again in each of its episodes, and keeps what comes of it."""

    out: Path = Path()
    said: list[str] = field(default_factory=list)

    def begin(self, info: Mapping[str, Any], seed: int) -> Any:
        try:
            rollout(Silent(), "TauMock-v0", settings(self.out))
        except UsageError as error:
            self.said.append(str(error))
        return super().begin(info, seed)


@pytest.mark.parametrize("concurrency", [None, 4])
def test_the_second_stops_before_it_plays(concurrency: int | None, tmp_path: Path) -> None:
    out = tmp_path / "runs" / "t.jsonl"
    agent = Twice(out=out)
    if concurrency is None:
        rollout(agent, "TauMock-v0", settings(out))
    else:
        asyncio.run(rollout_async(agent, "TauMock-v0", settings(out), concurrency))
    text = (
        f"Another rollout is writing to {out} in this process (a stream ends when it is closed). Wait until it has "
        "ended and start this one again: what is finished by then is not done twice. Or name another file."
    )
    assert agent.said == [text] * len(TASKS)
    assert sorted(trace.task_id for trace in iter_traces(out)) == TASKS
    assert list(out.parent.iterdir()) == [out], "the claim leaves nothing behind"
    assert rollout(Silent(), "TauMock-v0", settings(out)).resumed == len(TASKS)


def test_two_at_once_on_one_loop(tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"

    async def both() -> list[Any]:
        pair = [rollout_async(Silent(), "TauMock-v0", settings(out)) for _ in range(2)]
        return await asyncio.gather(*pair, return_exceptions=True)

    first, second = asyncio.run(both())
    assert len(first.traces) == 4 and "Another rollout is writing to" in str(second)
    assert len(list(iter_traces(out))) == 4


def test_a_stream_holds_its_file_until_it_is_closed(tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"

    async def leave() -> None:
        async with contextlib.aclosing(rollout_stream(Silent(), "TauMock-v0", settings(out), 1)) as traces:
            await anext(traces)
            with pytest.raises(UsageError, match="in this process"):
                rollout(Silent(), "TauMock-v0", settings(out))

    asyncio.run(leave())
    assert rollout(Silent(), "TauMock-v0", settings(out)).resumed >= 1
    assert [trace.task_id for trace in read_traces(out)] == TASKS


def test_the_same_file_under_another_name(tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"
    (tmp_path / "link.jsonl").symlink_to(out)
    with (
        claimed(out, "rollout"),
        pytest.raises(UsageError, match=r"Another rollout is writing to .*link\.jsonl in this process"),
    ):
        rollout(Silent(), "TauMock-v0", settings(tmp_path / "link.jsonl"))


def test_recordings_share_a_file_with_a_rollout(tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"
    trace = rollout(Silent(), "TauMock-v0", RolloutSettings(TASKS[:1], (7,), None, {"user": USER}, False)).traces[0]
    with claimed(out, "rollout"), TraceWriter(out) as writer:
        writer.write(trace)
    assert rollout(Silent(), "TauMock-v0", settings(out)).others == 1


WAITING = """
import sys, time
from usersim_env import ScriptedUser
from usersim_env.baselines.silent import Silent
from usersim_env.rollouts import RolloutSettings, rollout

class Waiting(Silent):
    def begin(self, info, seed):
        print("begun", flush=True)
        time.sleep(0.02)
        return super().begin(info, seed)

keywords = {"split": "test", "max_steps": 200}
rollout(Waiting(), "TauMock-agenda-v0", RolloutSettings(None, range(300), sys.argv[1], keywords, progress=False))
"""
AGAIN = ["rollout", "--env", "TauMock-agenda-v0", "--agent", "silent", "--episodes", "20", "--out"]


def test_a_second_process_is_told_and_a_killed_one_holds_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "t.jsonl"
    with subprocess.Popen([sys.executable, "-c", WAITING, str(out)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(10):
            process.stdout.readline()
        assert main([*AGAIN, str(out)]) == 2
        os.kill(process.pid, signal.SIGKILL)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"writing to {out} (process {process.pid}). Wait until it has ended" in said
    assert (tmp_path / "t.jsonl.in-use").exists(), "a killed process cannot tidy up"
    assert main([*AGAIN, str(out)]) == 0
    assert set(Counter(trace.id for trace in iter_traces(out)).values()) == {1}
    assert len(read_traces(out)) >= 80 and list(tmp_path.iterdir()) == [out]


def test_somebody_elses_file_of_that_name_is_left_alone(tmp_path: Path) -> None:
    out, beside = tmp_path / "t.jsonl", tmp_path / "t.jsonl.in-use"
    for content in ("", "mine", "mine " * 100):
        beside.write_text(content, encoding="utf-8")
        with claimed(out, "rollout"), pytest.raises(UsageError, match=r"is writing to .*t\.jsonl\. Wait"):
            rollout(Silent(), "TauMock-v0", settings(out))
        assert beside.read_text(encoding="utf-8") == content


def test_where_nothing_can_be_locked_a_warning_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    out = tmp_path / "t.jsonl"
    with monkeypatch.context() as patched:
        patched.setattr("fcntl.flock", refuse)
        text = r"cannot be locked: Operation not supported\. See that no other rollout writes"
        with pytest.warns(UserWarning, match=text), claimed(out, "rollout"):
            pass
    monkeypatch.setattr(claim, "fcntl", None)
    with pytest.warns(UserWarning, match="cannot be locked: this system has no flock"):
        assert len(rollout(Silent(), "TauMock-v0", settings(out)).traces) == 4
    assert list(tmp_path.iterdir()) == [out]
    (tmp_path / "t.jsonl.in-use").mkdir()
    monkeypatch.undo()
    with pytest.warns(UserWarning, match="cannot be locked: Is a directory"), claimed(out, "rollout"):
        pass


@pytest.mark.parametrize("name", ["notes.txt", "folder", "pipe"])
def test_what_holds_something_else_is_refused_before_a_claim(name: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Chapter one", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    names = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError, match=r"no file of traces|expected a file of traces, or a name that is free"):
        rollout(Silent(), "TauMock-v0", settings(tmp_path / name))
    assert sorted(tmp_path.iterdir()) == names
