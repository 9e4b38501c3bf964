"""Every field of a study's file is damaged in turn: the server starts, says so, and everybody else goes on."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.study.alone import Clock, Guest, guest, opened
from usersim_env.person.settings import StudySettings
from usersim_env.study import database
from usersim_env.study.export import export_study
from usersim_env.study.overview import conversation, overview
from usersim_env.study.study import Study
from usersim_env.traces.file import read_traces

VICTIM = 2  # number of the sitting that is damaged; it is open, with two events


async def answers(messages: Any, info: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": "respond", "arguments": {"content": f"Answer {len(messages)}."}}


def settings(folder: Path) -> StudySettings:
    return StudySettings("mock", folder, participants_from="prolific", per_task=3)


def ids(name: str) -> dict[str, str]:
    return {"PROLIFIC_PID": name, "STUDY_ID": "s", "SESSION_ID": f"v{name}"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A study in which one person is done and two are talking, and the secret parts of their addresses."""
    folder = tmp_path_factory.mktemp("whole") / "study"

    async def scenario() -> list[str]:
        async with opened(settings(folder), answers, Clock()) as study:
            people = [await guest(study, **ids(name)) for name in "abc"]
            for person in people:
                await person.say("Please move my repair to tuesday.")
            await people[0].finish()
            return [person.token for person in people]

    return folder, asyncio.run(scenario())


def damaged(whole: Path, tmp_path: Path, *statements: str) -> StudySettings:
    """A copy of the study in which something was written over."""
    folder = tmp_path / "study"
    shutil.copytree(whole, folder)
    connection = sqlite3.connect(folder / database.FILE)
    with connection:
        for statement in statements:
            assert connection.execute(statement).rowcount == 1, statement
    connection.close()
    return settings(folder)


JUNK = ("'junk'", "''", "x'ff00'", "CAST(x'22ff22' AS TEXT)", "-1", "9223372036854775807", "1e999", "NULL", "'[1]'")
"""SQL literals: no type of SQLite keeps any of them out of a column, but NULL."""

WHERE = {
    "study": "name = 'study'",
    "people": "pseudonym = (SELECT person FROM sittings WHERE number = 2)",
    "sittings": f"number = {VICTIM}",
    "events": f"n = 1 AND sitting = (SELECT id FROM sittings WHERE number = {VICTIM})",
    "traces": "1",
    "consents": "1",
}
COLUMNS = {
    "study": ("name", "value"),
    "people": ("pseudonym", "ids", "consented", "consent"),
    "sittings": tuple(
        "id person task batch number visit code started ended state last_move flags reward overall failure turns used "
        "served present problem consent agreed".split()
    ),
    "consents": ("version", "consent"),
    "events": ("sitting", "n", "at", "event", "seconds"),
    "traces": ("sitting", "trace"),
}
CASES = [(table, column, junk) for table, columns in COLUMNS.items() for column in columns for junk in JUNK]


def test_the_table_of_columns_is_complete(whole: tuple[Path, list[str]]) -> None:
    connection = sqlite3.connect(whole[0] / database.FILE)
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {table: tuple(row[1] for row in connection.execute(f"PRAGMA table_info({table})")) for table in tables}
    connection.close()
    assert {table: set(columns) for table, columns in found.items()} == {t: set(c) for t, c in COLUMNS.items()}


async def everybody_else(study: Study, tokens: list[str], damaged_id: bool) -> None:
    """The one who is done has their code, the other one and a newcomer come to the end, and the owner sees it all."""
    done, other = Guest(study, tokens[0]), Guest(study, tokens[2])
    assert done.code == done.record.code and done.record.state == "done"
    await other.say("And now?")
    newcomer = await guest(study, **ids("new"))
    await newcomer.say("Hello there")
    for person in (other, newcomer):
        await person.finish()
        assert (person.record.state, person.code) == ("done", person.record.code)
    seen = overview(study)
    json.dumps(seen, allow_nan=False)
    assert len(seen["sessions"]) == 4
    for row in seen["sessions"]:
        json.dumps(conversation(study, row["id"]), allow_nan=False)
        if row["failure"] == "study:unreadable":
            assert row["state"] == "failed" and row["problem"], "the owner reads what is wrong"
    if not damaged_id:
        victim = Guest(study, tokens[1])
        if victim.record.state == "open":
            await victim.say("I am still here.")
            await victim.finish()
        assert victim.code, "it was not the person's fault"
        assert victim.record.state == ("failed" if victim.record.failure else "done")


@pytest.mark.parametrize(("table", "column", "junk"), CASES)
def test_any_damaged_field(
    whole: tuple[Path, list[str]], tmp_path: Path, table: str, column: str, junk: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder, tokens = whole
    try:
        chosen = damaged(folder, tmp_path, f"UPDATE {table} SET {column} = {junk} WHERE {WHERE[table]}")
    except sqlite3.IntegrityError:
        return  # SQLite itself keeps it out
    withdrawn = (table, column, junk) == ("sittings", "person", "''")  # what a deletion leaves behind
    gone = withdrawn or (table, column) == ("sittings", "id")

    async def scenario() -> None:
        async with opened(chosen, answers, Clock()) as study:
            await everybody_else(study, tokens, gone)

    asyncio.run(scenario())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export_study(chosen.folder, tmp_path / "out.jsonl")
    traces = read_traces(tmp_path / "out.jsonl")
    assert len(traces) >= 3 - (table == "traces"), "the traces of the others"


NEEDED = ("id", "task", "batch", "number", "started", "state", "flags", "code", "person")


@pytest.mark.parametrize("column", NEEDED)
def test_a_sitting_of_which_a_column_cannot_be_read_has_failed(
    whole: tuple[Path, list[str]], tmp_path: Path, column: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder, tokens = whole
    chosen = damaged(folder, tmp_path, f"UPDATE sittings SET {column} = x'ff00' WHERE number = {VICTIM}")

    async def scenario(code: str | None) -> str | None:
        async with opened(chosen, answers, Clock()) as study:
            (row,) = [row for row in overview(study)["sessions"] if row["failure"]]
            assert (row["state"], row["failure"]) == ("failed", "study:unreadable")
            assert f"column {column} of this session cannot be read" in row["problem"]
            if column != "id":
                victim = Guest(study, tokens[1])
                assert victim.code and code in (None, victim.code), "the same one after each restart"
                assert column != "code" or victim.code in row["problem"]
                return victim.code
            return None

    code = asyncio.run(scenario(None))
    asyncio.run(scenario(code))
    assert f"column {column} of this session cannot be read" in caplog.text
    connection = sqlite3.connect(chosen.folder / database.FILE)
    (kept,) = connection.execute(f"SELECT count(*) FROM sittings WHERE {column} = x'ff00'").fetchone()
    (events,) = connection.execute("SELECT count(*) FROM events").fetchone()
    connection.close()
    assert kept == (column != "state") and events == 8, "what is there is left for somebody to look at"


EVENTS = {
    "no JSON": ("UPDATE events SET event = '{\"event\": ' WHERE {where}", "Event 1 is no JSON object."),
    "nested": (f"UPDATE events SET event = '{'[' * 100_000}' WHERE {{where}}", "Event 1 is no JSON object."),
    "an unknown kind": ('UPDATE events SET event = \'{"event": "sing"}\' WHERE {where}', "Event 1 is none of act"),
    "a missing field": ('UPDATE events SET event = \'{"event": "say"}\' WHERE {where}', "no usable 'content'"),
    "out of order": (
        'UPDATE events SET event = \'{"event": "say", "content": "x"}\' WHERE {where}',
        "The episode waits for the agent's action",
    ),
    "a survey of other words": (
        'UPDATE events SET event = \'{"event": "survey", "answers": {"x": "y"}}\' WHERE {where}',
        "Unknown survey field",
    ),
    "over": (
        'UPDATE events SET event = \'{"event": "fail", "side": "a", "kind": "b", "message": "c"}\' WHERE {where}',
        "a conversation that is over",
    ),
    "a missing one": ("DELETE FROM events WHERE n = 0 AND {where_n}", "Event 0 is missing."),
    "an action without words": (
        'UPDATE events SET event = \'{"event": "act", "name": "respond", "arguments": {"content": {}}}\' WHERE {where}',
        None,
    ),
    "another task": ("UPDATE sittings SET task = 'mock/test/99' WHERE number = 2", "Unknown task 'mock/test/99'"),
}


@pytest.mark.parametrize("name", EVENTS)
def test_what_is_wrong_with_the_events_is_said(whole: tuple[Path, list[str]], tmp_path: Path, name: str) -> None:
    folder, tokens = whole
    statement, message = EVENTS[name]
    sitting = f"sitting = (SELECT id FROM sittings WHERE number = {VICTIM})"
    statement = statement.replace("{where}", WHERE["events"]).replace("{where_n}", sitting)
    chosen = damaged(folder, tmp_path, statement)

    async def scenario() -> None:
        async with opened(chosen, answers, Clock()) as study:
            victim = Guest(study, tokens[1])
            if message is not None:
                assert (victim.record.state, victim.record.failure) == ("failed", "study:unreadable")
                assert message in str(victim.record.problem) and victim.code == victim.record.code
                ending = victim.session.ending
                assert ending is not None and "A technical problem on our side" in ending.text
            await everybody_else(study, tokens, False)

    asyncio.run(scenario())
    if message is not None:
        with pytest.warns(UserWarning, match=f"Session '{tokens[1].partition('.')[0]}' has no trace"):
            assert export_study(chosen.folder, tmp_path / "out.jsonl") == 3


def test_the_place_of_a_sitting_that_cannot_be_read_is_handed_out_again(
    whole: tuple[Path, list[str]], tmp_path: Path
) -> None:
    folder, _ = whole
    chosen = damaged(folder, tmp_path, f"UPDATE sittings SET flags = '{{' WHERE number = {VICTIM}")

    async def scenario() -> None:
        async with opened(chosen, answers, Clock()) as study:
            most = len(study.tasks) * chosen.per_task
            for number in range(most - 2):
                await guest(study, **ids(f"more{number}"))
            assert "all the participants" in str(study.problem(ids("last")))

    asyncio.run(scenario())


def test_a_damaged_trace_does_not_break_the_export_of_the_others(whole: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, tokens = whole
    chosen = damaged(folder, tmp_path, 'UPDATE traces SET trace = \'{"id": "Please move my repair\'')

    async def scenario() -> None:
        async with opened(chosen, answers, Clock()) as study:
            other = Guest(study, tokens[2])
            await other.finish()

    asyncio.run(scenario())
    with pytest.warns(UserWarning, match="The trace of session .* so it is left out") as found:
        assert export_study(chosen.folder, tmp_path / "out.jsonl") == 1
    assert "Please move" not in str(found[0].message), "nobody's words"
    assert len(read_traces(tmp_path / "out.jsonl")) == 1


def test_a_file_of_before_is_taken_up(whole: tuple[Path, list[str]], tmp_path: Path) -> None:
    """Its columns of time are not there; the sittings in it go on."""
    folder, tokens = whole
    chosen = damaged(folder, tmp_path)
    connection = sqlite3.connect(chosen.folder / database.FILE)
    for column in ("used", "served", "present", "problem"):
        connection.execute(f"ALTER TABLE sittings DROP COLUMN {column}")
    connection.execute("ALTER TABLE events DROP COLUMN seconds")
    connection.close()

    async def scenario() -> None:
        async with opened(chosen, answers, Clock()) as study:
            await everybody_else(study, tokens, False)

    asyncio.run(scenario())
    assert export_study(chosen.folder, tmp_path / "out.jsonl") == 4
