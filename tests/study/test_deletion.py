"""Deleted means gone: no byte of what a person said, or of who they were, in any file of the study's folder."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.study.people import served
from usersim_env.cli import main
from usersim_env.errors import UsageError
from usersim_env.person.settings import StudySettings
from usersim_env.study import database
from usersim_env.study.deletion import erase, forget_person

WORDS = "MARKER-of-{}-who-wants-a-repair-on-tuesday "


async def answers(messages: list[dict[str, Any]], info: dict[str, Any]) -> dict[str, Any]:
    return {"name": "respond", "arguments": {"content": f"You said {messages[-1]['content']!r}"}}


async def raises(messages: list[dict[str, Any]], info: dict[str, Any]) -> dict[str, Any]:
    raise ValueError(f"cannot answer {messages[-1]['content']!r}")


def ids(name: str) -> dict[str, str]:
    return {"PROLIFIC_PID": f"pid{name}x", "STUDY_ID": "thestudy", "SESSION_ID": f"visit{name}x"}


@pytest.fixture
def chosen(tmp_path: Path) -> StudySettings:
    return StudySettings("mock", tmp_path / "study", split="train", per_task=9, participants_from="prolific")


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 60))


def held(folder: Path, *names: str) -> list[str]:
    """Files that hold something of these people."""
    marks = [mark.encode() for name in names for mark in (f"MARKER-of-{name}", f"pid{name}x", f"visit{name}x")]
    return [path.name for path in folder.iterdir() if any(mark in path.read_bytes() for mark in marks)]


async def talk(server: Any, name: str, turns: int = 6) -> Any:
    person = await server.person(**ids(name))
    await person.open()
    for turn in range(turns):
        await person.say(WORDS.format(name) * 20 + str(turn))
        await person.until("you", "closed")
        if person.phase == "closed":
            break
    return person


def test_who_leaves_is_gone_while_the_study_is_served(chosen: StudySettings) -> None:
    async def scenario() -> None:
        async with served(chosen, answers) as server:
            stays, leaves = await talk(server, "anna"), await talk(server, "ben")
            assert held(chosen.folder, "ben")
            await leaves.move("leave")
            for _ in range(100):
                if not held(chosen.folder, "ben"):
                    break
                await asyncio.sleep(0.05)
            assert held(chosen.folder, "ben") == []
            assert held(chosen.folder, "anna")
            await stays.say("I go on.")
            await stays.until("you")

    run(scenario())


@pytest.mark.parametrize("phase", ["silent", "talking", "survey", "failed"])
def test_the_command_reaches_every_phase_beside_the_server(chosen: StudySettings, phase: str) -> None:
    async def scenario() -> None:
        async with served(chosen, raises if phase == "failed" else answers) as server:
            await talk(server, "anna")
            person = await talk(server, "ben", 0 if phase == "silent" else 4)
            if phase == "survey":
                await person.move("stop", text="Bye")
                await person.until("survey")
            found = await asyncio.to_thread(forget_person, chosen.folder, "pidbenx")
            assert found.sittings == 1
            for _ in range(100):
                if not held(chosen.folder, "ben"):
                    break
                await asyncio.sleep(0.05)
            assert held(chosen.folder, "ben") == [] and held(chosen.folder, "anna")

    run(scenario())
    assert held(chosen.folder, "ben") == []


def test_an_open_reader_delays_a_deletion_which_says_so(
    chosen: StudySettings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with served(chosen, answers) as server:
            await talk(server, "anna")
            await talk(server, "ben")

    run(scenario())
    monkeypatch.setattr("usersim_env.study.deletion.forget_person.__defaults__", (False, 0.1))
    reader = sqlite3.connect(chosen.folder / database.FILE)
    rows = reader.execute("SELECT event FROM events")
    rows.fetchone()
    command = ["study", "delete", str(chosen.folder), "--participant", "pidbenx"]
    assert main(command) == 2
    assert "their words are still in its files" in capsys.readouterr().err
    assert main(command) == 2, "nobody has closed the reader"
    rows.close()
    reader.close()
    assert main(command) == 0, "the person is not known any more, but what was left is finished"
    assert "0 sessions" in capsys.readouterr().out
    assert held(chosen.folder, "ben") == [] and held(chosen.folder, "anna")


def test_a_server_finishes_what_a_killed_one_left(chosen: StudySettings) -> None:
    """The rows are gone and the log still holds them, as after kill -9 in between."""

    async def first() -> None:
        async with served(chosen, answers) as server:
            await talk(server, "anna")
            await talk(server, "ben")

    async def second() -> None:
        async with served(chosen, answers):
            for _ in range(100):
                if not held(chosen.folder, "ben"):
                    return
                await asyncio.sleep(0.05)

    run(first())
    reader = sqlite3.connect(chosen.folder / database.FILE)
    cursor = reader.execute("SELECT event FROM events")
    cursor.fetchone()
    assert not forget_person(chosen.folder, "pidbenx", patience=0.1).finished
    assert held(chosen.folder, "ben")
    cursor.close()
    reader.close()
    run(second())
    assert held(chosen.folder, "ben") == [] and held(chosen.folder, "anna")


def test_only_a_person_is_named_by_a_name(chosen: StudySettings, capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> None:
        async with served(chosen, answers) as server:
            for name in ("anna", "ben"):
                await talk(server, name, 1)

    run(scenario())
    for nobody in ("thestudy", "visitbenx", "pid"):
        with pytest.raises(UsageError, match="name nobody"):
            forget_person(chosen.folder, nobody)
    connection = database.connect(chosen.folder)
    (first, _), (second, _) = connection.execute("SELECT pseudonym, ids FROM people ORDER BY consented").fetchall()
    renamed = json.dumps(ids("ben") | {"PROLIFIC_PID": first})
    connection.execute("UPDATE people SET ids = ? WHERE pseudonym = ?", (renamed, second))
    connection.execute("INSERT INTO people VALUES ('damaged', '{', 0, '')")
    connection.close()
    command = ["study", "delete", str(chosen.folder), "--participant", first]
    assert main(command) == 2
    assert f"names 2 people: {first}, {second}. Type --yes" in capsys.readouterr().err
    assert main([*command, "--yes"]) == 0
    assert "2 sessions" in capsys.readouterr().out


def test_nothing_that_a_person_said_is_logged(chosen: StudySettings, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with served(chosen, raises) as server:
            await talk(server, "ben", 1)

    run(scenario())
    assert "the agent failed" in caplog.text and "MARKER" not in caplog.text
    connection = database.connect(chosen.folder)
    assert "MARKER" in str(connection.execute("SELECT event FROM events").fetchall()), "the store has it"
    connection.close()


def test_without_the_second_half_the_words_are_found(chosen: StudySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What these tests look for is there where a deletion only deletes rows, as it once did."""
    nothing: Callable[..., bool] = lambda *_: True  # noqa: E731
    monkeypatch.setattr("usersim_env.study.store.erase", nothing)

    async def scenario() -> None:
        async with served(chosen, answers) as server:
            person = await talk(server, "ben")
            await person.move("leave")
            time.sleep(0.1)
            assert held(chosen.folder, "ben") == ["study.sqlite-wal"]

    run(scenario())


def test_nothing_to_erase_writes_nothing(chosen: StudySettings) -> None:
    chosen.folder.mkdir()
    connection = database.connect(chosen.folder)
    before = connection.total_changes
    assert erase(connection) and connection.total_changes == before
    connection.close()
