"""Whether anything can be saved: what `/health`, the first page and the admin page say, and that it passes again."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.study.alone import Clock, guest, opened, passing, settled
from tests.study.people import TOKEN, Server, served
from usersim_env.errors import UsageError
from usersim_env.person.settings import StudySettings
from usersim_env.person.wire import Refused
from usersim_env.study import closing, database
from usersim_env.study import sitting as sitting_module
from usersim_env.study.agents import agent_side
from usersim_env.study.records import Person
from usersim_env.study.saving import SLOW, Saving
from usersim_env.study.study import CannotJoin, Study


async def answers(messages: Any, info: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": "respond", "arguments": {"content": f"Answer {len(messages)}."}}


def settings(tmp_path: Path, **changes: Any) -> StudySettings:
    return StudySettings("mock", tmp_path / "study", **{"per_task": 9} | changes)


async def health(server: Server) -> tuple[int, Any]:
    status, content, _ = await server.ask("/health")
    return status, content["status"]


def removed(folder: Path) -> None:
    (folder / database.FILE).rename(folder / "aside")


def replaced(folder: Path) -> None:
    removed(folder)
    shutil.copy(folder / "aside", folder / database.FILE)


def log_removed(folder: Path) -> None:
    (folder / f"{database.FILE}-wal").rename(folder / "aside-wal")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (removed, "study.sqlite was removed while it is served"),
        (replaced, "study.sqlite was replaced by another file"),
        (log_removed, "study.sqlite-wal was removed while it is served"),
    ],
)
def test_a_file_that_is_gone_is_said_and_nothing_is_acknowledged(
    tmp_path: Path, harm: Callable[[Path], None], message: str
) -> None:
    chosen = settings(tmp_path)

    async def scenario() -> None:
        async with served(chosen, answers) as server:
            assert await health(server) == (200, "ok")
            person = await server.person()
            await person.open()
            assert (await person.say("Hello there"))["type"] == "ack"
            await person.until("you")
            harm(chosen.folder)
            assert await health(server) == (503, "not saving")
            assert (await person.say("Are these words lost?"))["code"] == "not_saved"
            _, welcome, _ = await server.ask("/welcome")
            assert "Nothing can be saved at the moment" in welcome["problem"]
            status, refused, _ = await server.ask("/join", server.agreed({}), origin=server.origin)
            assert status == 409 and "could not be saved" in refused["error"]
            _, seen, _ = await server.ask("/admin/api/overview", authorization=f"Bearer {TOKEN}")
            assert message in seen["trouble"]
            if harm is removed:
                (chosen.folder / "aside").rename(chosen.folder / database.FILE)
                assert (await person.say("And now?"))["type"] == "ack"
                await person.until("you")
                assert await health(server) == (200, "ok")
                assert (await server.ask("/welcome"))[1]["problem"] is None

    asyncio.run(scenario())


def test_a_full_disk_is_noticed_while_nobody_speaks_and_so_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(connection: sqlite3.Connection, at: float) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    clock = Clock()

    async def scenario() -> None:
        async with opened(settings(tmp_path), answers, clock) as study:
            await passing(study, clock, 20)
            assert study.store.saving.trouble is None
            with monkeypatch.context() as patch:
                patch.setattr(database, "note_served", full)
                await passing(study, clock, 20)
                assert study.store.saving.trouble == "the last write failed: database or disk is full"
            await passing(study, clock, 5)
            assert study.store.saving.trouble is None

    asyncio.run(scenario())
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "nothing can be saved: the last write failed: database or disk is full",
        "everything can be saved again",
    ]


def test_what_a_single_move_cannot_do_is_not_the_files_fault(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(settings(tmp_path), answers, Clock()) as study:
            person = await guest(study)
            with pytest.raises(sqlite3.IntegrityError):
                await study.store.begin(Person("p", {}, 0.0, ""), person.record, study.present)
            assert study.store.saving.trouble is None

    asyncio.run(scenario())


def test_a_write_that_does_not_come_back_is_trouble(tmp_path: Path) -> None:
    clock = Clock()
    saving = Saving(tmp_path, clock)
    saving.begin()
    clock.at += SLOW - 1
    assert saving.trouble is None
    clock.at += 8.0
    assert saving.trouble == "a write has been waiting for 12 s: does another program hold study.sqlite?"
    saving.end([])
    assert saving.trouble is None


def test_everybody_is_told_when_sqlite_takes_a_whole_transaction_back(tmp_path: Path) -> None:
    """As it does when a disk is full: the savepoint of a job is gone then too, and the thread that writes lives on."""

    async def scenario() -> None:
        async with opened(settings(tmp_path), answers, Clock()) as study:

            def job(connection: sqlite3.Connection) -> None:
                connection.execute("ROLLBACK")
                raise sqlite3.OperationalError("database or disk is full")

            with pytest.raises(sqlite3.OperationalError, match="disk is full"):
                await study.store._run(job)
            assert await study.join({}, study.present.version)

    asyncio.run(scenario())


def test_a_study_that_cannot_be_read_at_all_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def malformed(*arguments: Any) -> Any:
        raise sqlite3.OperationalError("disk I/O error")

    async def scenario() -> None:
        async with opened(settings(tmp_path), answers, Clock()) as study:
            await study.join({}, study.present.version)
        study = Study(settings(tmp_path), agent_side(answers))
        with monkeypatch.context() as patch:
            patch.setattr(database, "read_events", malformed)
            with pytest.raises(UsageError, match="the study cannot be taken up now: disk I/O error"):
                study.resume()
        study.close()
        with monkeypatch.context() as patch:
            patch.setattr(database, "read_sittings", malformed)
            with pytest.raises(UsageError, match=r"study\.sqlite cannot be read: disk I/O error"):
                Study(settings(tmp_path), agent_side(answers))
        async with opened(settings(tmp_path), answers, Clock()) as study:
            assert [s.state for s in study.sittings()] == ["open"], "it may be readable tomorrow"

    asyncio.run(scenario())


# -- one sitting ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["the agent's turn", "the person's", "the deadline"])
def test_a_fault_of_ours_ends_its_own_sitting_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, when: str
) -> None:
    chosen, clock = settings(tmp_path), Clock()
    closed = closing.closed

    async def scenario() -> None:
        async def agent(messages: Any, info: Any) -> dict[str, Any]:
            said = messages[-1]["content"]
            return {} if "fail" in said else await answers(messages, info)

        async with opened(chosen, agent, clock) as study:
            victim, other = await guest(study), await guest(study)
            for person in (victim, other):
                await person.say("Hello there")

            def broken(record: Any, *rest: Any) -> Any:
                if record.id == victim.token.partition(".")[0]:
                    raise TypeError("Hello there")
                return closed(record, *rest)

            monkeypatch.setattr(sitting_module, "closed", broken)
            if when == "the agent's turn":
                await victim.say("please fail")
            elif when == "the person's":
                with pytest.raises(Refused, match="A technical problem on our side"):
                    await victim.finish()
            else:
                await passing(study, clock, 901)
            await settled(study)
            record = victim.record
            assert (record.state, record.failure) == ("failed", "study:error") and victim.code == record.code
            assert "It could not go on: TypeError in test_saving.py" in str(record.problem)
            if when == "the deadline":
                assert other.record.state == "abandoned", "it was looked at all the same"
            else:
                await other.finish()
                assert other.record.state == "done" and other.code
        async with opened(chosen, agent, clock) as study:
            assert victim.token.partition(".")[0] not in study.live

    asyncio.run(scenario())
    assert "Hello there" not in caplog.text, "no words of anybody in the log"


def test_a_look_that_raises_keeps_no_other_from_being_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()

    async def scenario() -> None:
        async with opened(settings(tmp_path), answers, clock) as study:
            people = [await guest(study) for _ in range(3)]
            first = study.live[people[0].token.partition(".")[0]]
            monkeypatch.setattr(first.clock, "advance", lambda *given: 1 / 0)
            await passing(study, clock, 901)
            assert [p.record.state for p in people] == ["open", "abandoned", "abandoned"]

    asyncio.run(scenario())


def test_who_cannot_be_stored_when_they_join_holds_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*given: Any) -> None:
        raise OverflowError("Python int too large to convert to SQLite INTEGER")

    async def scenario() -> None:
        async with opened(settings(tmp_path), answers, Clock()) as study:
            with monkeypatch.context() as patch:
                patch.setattr(database, "put_sitting", wrong)
                with pytest.raises(CannotJoin, match="could not be saved"):
                    await study.join({}, study.present.version)
            assert not study.records

    asyncio.run(scenario())


_LOOKS_AND_CLOSES = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(connection.execute("SELECT count(*) FROM sittings").fetchone()[0])
connection.close()
"""


def test_another_program_that_closes_the_file_takes_no_transaction_with_it(tmp_path: Path) -> None:
    """The last to close the file of a study removes its log; while it is served, that is nobody but the server."""

    async def scenario() -> None:
        async with served(settings(tmp_path), answers) as server:
            person = await server.person()
            await person.open()
            file = server.study.settings.folder / database.FILE
            look = [sys.executable, "-c", _LOOKS_AND_CLOSES, str(file)]
            seen = await asyncio.to_thread(subprocess.run, look, capture_output=True, text=True, check=True)
            assert int(seen.stdout) > 0
            assert file.with_name(f"{file.name}-wal").exists()
            assert (await person.say("Hello"))["type"] == "ack"
            await person.close()

    asyncio.run(scenario())
