"""What the two proofs look for is found when it is planted."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.study.crowd import Measured, Participant, differences, stored_twice
from tests.study.people import served
from tests.study.proof_agents import at_once
from tests.study.test_kills import killed_study
from usersim_env.person.settings import StudySettings
from usersim_env.study.database import FILE
from usersim_env.study.export import export_study
from usersim_env.traces.file import read_traces
from usersim_env.traces.trace import JsonDict, Trace

Events = list[JsonDict]


@pytest.fixture(scope="module")
def episode(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Participant, Trace]:
    """One participant of three turns: say, act, say, act, say, act, stop, survey."""
    folder = tmp_path_factory.mktemp("study")

    async def main() -> Participant:
        async with served(StudySettings("mock", folder, participants_from="prolific"), at_once) as server:
            participant = Participant(server.origin, "p1", Measured())
            await participant.take_part(3)
            return participant

    participant = asyncio.run(main())
    export_study(folder, folder / "people.jsonl")
    (trace,) = read_traces(folder / "people.jsonl")
    assert differences([participant], [trace]) == stored_twice(folder, [trace]) == []
    return folder, participant, trace


@pytest.mark.parametrize(
    "plant",
    [
        pytest.param(lambda e: e[:2] + e[4:], id="a turn is lost"),
        pytest.param(lambda e: e[:3] + e[4:], id="an answer is lost"),
        pytest.param(lambda e: e[:4] + e[2:], id="a turn is doubled"),
        pytest.param(lambda e: e[:4] + e[3:], id="an answer is doubled"),
        pytest.param(lambda e: [*e[:2], *e[4:6], *e[2:4], *e[6:]], id="turns are out of order"),
    ],
)
def test_a_difference_is_found(plant: Callable[[Events], Events], episode: tuple[Path, Participant, Trace]) -> None:
    _, participant, trace = episode
    assert differences([participant], [replace(trace, events=tuple(plant(list(trace.events))))])


def test_a_missing_second_or_foreign_trace_is_found(episode: tuple[Path, Participant, Trace]) -> None:
    folder, participant, trace = episode
    assert differences([participant], []) == ["p1: 0 traces"]
    assert differences([participant], [trace, trace]) == ["p1: 2 traces"]
    assert "a trace of nobody" in differences([], [trace])[0]
    assert stored_twice(folder, [trace, trace]) == ["1 sittings, 2 traces"]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE events SET event = '{}' WHERE n = 3", "the events are not those of its trace"),
        ("DELETE FROM events WHERE n = 7", "the events are not those of its trace"),
        ("DELETE FROM traces", "scored 0 times"),
        ("UPDATE sittings SET state = 'open'", ": open"),
    ],
)
def test_a_difference_in_the_file_is_found(
    statement: str, message: str, episode: tuple[Path, Participant, Trace], tmp_path: Path
) -> None:
    folder, _, trace = episode
    copy: Any
    with sqlite3.connect(folder / FILE) as source, sqlite3.connect(tmp_path / FILE) as copy:
        source.backup(copy)
        copy.execute(statement)
    source.close()
    copy.close()
    assert message in stored_twice(tmp_path, [trace])[0]


@pytest.mark.slow
def test_a_store_that_says_too_early_that_it_has_written_is_found_by_kills(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="the page showed"):
        killed_study(tmp_path, 10, 20, 10, "tests.study.planted_agent:at_once")
