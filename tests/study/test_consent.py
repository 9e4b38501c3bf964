"""Consent belongs to the person: whatever a study is served with later, each has what they agreed to."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.study.people import Person, served
from tests.study.test_study import PROLIFIC, finish, helpful, talk
from usersim_env import read_traces
from usersim_env.person.settings import StudySettings
from usersim_env.person.words import earlier_consent_html
from usersim_env.study.agents import agent_side
from usersim_env.study.consent import UNKNOWN_LICENCE, consent_of
from usersim_env.study.export import export_study
from usersim_env.study.study import ConsentChanged, Study
from usersim_env.traces.trace import Terms

Settings = Callable[..., StudySettings]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    def make(**changes: Any) -> StudySettings:
        given: dict[str, Any] = {"domain": "mock", "out": tmp_path / "study", "split": "train", "per_task": 9}
        return StudySettings(**given | {"licence": "for research only"} | changes)

    return make


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 60))


def exported(chosen: StudySettings, name: str = "x.jsonl") -> list[Any]:
    export_study(chosen.folder, chosen.folder.parent / name)
    return read_traces(chosen.folder.parent / name)


def test_five_versions_in_one_study(settings: Settings, tmp_path: Path) -> None:
    """Restarts with every setting changed; everybody goes on to the end under the settings of the last."""
    (tmp_path / "own.md").write_text("## Our own words\n\nPlease read.", encoding="utf-8")
    versions = [
        settings(),
        settings(licence="CC0", training=True, sharing=True),
        settings(withdrawal="keep"),
        settings(provider="Example Inc., USA"),
        settings(consent=tmp_path / "own.md", licence="CC BY 4.0"),
    ]
    addresses: list[str] = []

    async def begin(chosen: StudySettings) -> None:
        async with served(chosen, helpful) as server:
            person = await server.person()
            addresses.append(person.address)
            await talk(person)

    async def end() -> None:
        async with served(versions[-1], helpful) as server:
            for address in addresses:
                person = server.at(address)
                await person.open()
                await finish(person)
            lines = server.study.agreements()
            assert len(lines) == 5 and sum("(the present one)" in line for line in lines) == 1
            assert "1 person agreed to consent" in lines[0] and "licence 'for research only', training not" in lines[0]
            assert "licence 'CC0', training allowed, sharing allowed" in lines[1]

    for chosen in versions:
        run(begin(chosen))
    run(end())
    traces = exported(versions[-1])
    wanted = [Terms(s.licence, s.training, s.sharing) for s in versions]
    assert [trace.terms for trace in traces] == wanted
    numbers = [trace.user.notes["consent"]["version"] for trace in traces]
    assert numbers == [consent_of(s).version for s in versions] and len(set(numbers)) == 5
    assert all(trace.user.notes["consent"]["agreed"].startswith("20") for trace in traces)


@pytest.mark.parametrize(("promised", "later"), [("delete", "keep"), ("keep", "delete")])
def test_leaving_does_what_was_promised(settings: Settings, promised: Any, later: Any) -> None:
    addresses: list[str] = []

    async def begin() -> None:
        async with served(settings(withdrawal=promised), helpful) as server:
            person = await server.person()
            addresses.append(person.address)
            await talk(person)

    async def leave() -> None:
        async with served(settings(withdrawal=later), helpful) as server:
            person = server.at(addresses[0])
            await person.open()
            assert person.hello["withdrawal"] == promised
            await person.move("leave")
            assert person.phase == "closed"

    run(begin())
    run(leave())
    assert len(exported(settings())) == (promised == "keep")


def test_who_agreed_to_an_older_text_is_shown_the_new_one(settings: Settings) -> None:
    shown = consent_of(settings()).version

    async def scenario() -> None:
        async with served(settings(licence="CC0", training=True), helpful) as server:
            body = {"query": {}, "consent": True, "version": shown}
            for given in (body, {"query": {}, "consent": True}, body | {"version": None}):
                status, content, _ = await server.ask("/join", given, origin=server.origin)
                assert status == 409 and content["changed"] is True and "Please read it again" in content["error"]
            assert not list(server.study.sittings())
            with pytest.raises(ConsentChanged):
                await server.study.join({}, shown)

    run(scenario())


def test_who_comes_again_agrees_again(settings: Settings) -> None:
    """The same person, another visit, another task: each conversation has the consent that was given for it."""
    first = settings(participants_from="prolific")
    second = dataclasses.replace(first, licence="CC0", training=True)

    async def take_part(chosen: StudySettings, visit: str) -> None:
        async with served(chosen, helpful) as server:
            person = await server.person(**PROLIFIC | {"SESSION_ID": visit})
            await talk(person)
            await finish(person)

    run(take_part(first, "v1"))
    run(take_part(second, "v2"))
    one, two = exported(first)
    assert one.user.notes["participant"] == two.user.notes["participant"]
    assert (one.terms.licence, one.terms.training) == ("for research only", False)
    assert (two.terms.licence, two.terms.training) == ("CC0", True)


# -- folders of before -------------------------------------------------------------------------------------------------

OLD_TABLES = """
CREATE TABLE study (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE people (pseudonym TEXT PRIMARY KEY, ids TEXT NOT NULL, consented REAL NOT NULL, consent TEXT NOT NULL);
CREATE TABLE sittings (
    id TEXT PRIMARY KEY, person TEXT NOT NULL, task TEXT NOT NULL, batch INTEGER NOT NULL,
    number INTEGER NOT NULL UNIQUE, visit TEXT UNIQUE, code TEXT NOT NULL, started REAL NOT NULL, ended REAL,
    state TEXT NOT NULL, last_move TEXT, flags TEXT NOT NULL DEFAULT '[]', reward REAL, overall TEXT, failure TEXT,
    turns INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX places ON sittings (task, batch) WHERE state IN ('open', 'done');
CREATE TABLE events (
    sitting TEXT NOT NULL REFERENCES sittings (id) ON DELETE CASCADE, n INTEGER NOT NULL, at REAL NOT NULL,
    event TEXT NOT NULL, PRIMARY KEY (sitting, n)
) WITHOUT ROWID;
CREATE TABLE traces (sitting TEXT PRIMARY KEY REFERENCES sittings (id) ON DELETE CASCADE, trace TEXT NOT NULL);
"""


def old_folder(chosen: StudySettings) -> None:
    """The folder of a study as version 0.1 left it: one person done, one in the middle."""

    async def take_part() -> None:
        async with served(chosen, helpful) as server:
            for whole in (True, False):
                person: Person = await server.person()
                await talk(person)
                if whole:
                    await finish(person)

    run(take_part())
    file = chosen.folder / "study.sqlite"
    columns = {
        "study": "name, value",
        "sittings": "id, person, task, batch, number, visit, code, started, ended, state, last_move, flags, reward, "
        "overall, failure, turns",
        "events": "sitting, n, at, event",
        "traces": "sitting, trace",
    }
    with sqlite3.connect(file) as new:
        rows = {table: new.execute(f"SELECT {names} FROM {table}").fetchall() for table, names in columns.items()}
        rows["people"] = new.execute("SELECT pseudonym, ids, consented, consent FROM people").fetchall()
    new.close()
    for path in chosen.folder.glob("study.sqlite*"):
        path.unlink()
    with sqlite3.connect(file) as old:
        old.executescript(OLD_TABLES)
        for table, found in rows.items():
            for row in found:
                old.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        digest = hashlib.sha256(earlier_consent_html(chosen).encode()).hexdigest()[:12]
        old.execute("UPDATE people SET consent = ?", (digest,))
    old.close()


def test_an_old_folder_with_the_same_text_keeps_what_was_agreed(settings: Settings) -> None:
    chosen = settings(licence="CC BY 4.0", training=True)
    old_folder(chosen)
    study = Study(chosen, agent_side(helpful))
    (line,) = study.agreements()
    study.close()
    assert "2 people agreed" in line and "licence 'CC BY 4.0', training allowed" in line
    later = settings(licence="other", training=False)
    study = Study(later, agent_side(helpful))
    study.close()
    (trace,) = exported(later)
    assert (trace.terms.licence, trace.terms.training) == ("CC BY 4.0", True)
    assert trace.user.notes["consent"]["agreed"] is not None


def test_an_old_folder_with_another_text_allows_nothing(settings: Settings) -> None:
    old_folder(settings(licence="CC BY 4.0", training=True, withdrawal="keep"))
    (before,) = exported(settings(), "before.jsonl")  # also where it was not served again
    assert (before.terms.licence, before.terms.training, before.terms.sharing) == ("CC BY 4.0", False, False)
    later = settings(licence="CC0", training=True, sharing=True, withdrawal="keep")
    study = Study(later, agent_side(helpful))
    (line,) = study.agreements()
    (open_one,) = [s for s in study.sittings() if s.state == "open"]
    assert "2 people agreed" in line and "not on record: no training, no sharing, and leaving deletes" in line
    assert study.consents.of(open_one).withdrawal == "delete"
    study.close()
    (trace,) = exported(later)
    assert (trace.terms.licence, trace.terms.training, trace.terms.sharing) == ("CC BY 4.0", False, False)
    assert trace.user.notes["consent"]["on_record"] is False
    assert UNKNOWN_LICENCE not in trace.terms.licence


def test_a_consent_that_cannot_be_read_allows_nothing(settings: Settings) -> None:
    chosen = settings(training=True)

    async def take_part() -> None:
        async with served(chosen, helpful) as server:
            person = await server.person()
            await talk(person)
            await finish(person)

    run(take_part())
    with sqlite3.connect(chosen.folder / "study.sqlite") as file:
        file.execute("UPDATE consents SET consent = ?", (json.dumps({"version": 1}),))
    file.close()
    (trace,) = exported(chosen)
    assert trace.terms.training is False and trace.terms.sharing is False
