"""The parts that deadlines are made of: a stopwatch, the time of each side, and whose fault it is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.study.alone import Clock
from usersim_env.conversation.machine import Event
from usersim_env.person.clock import LONGEST, SittingClock, Stopwatch
from usersim_env.person.settings import StudySettings
from usersim_env.study import acting
from usersim_env.study.agents import Situation, agent_side
from usersim_env.study.closing import waits
from usersim_env.study.deadlines import overdue

HOUR = 3600.0


def test_a_stopwatch_never_goes_back_nor_jumps() -> None:
    clock = Clock()
    watch = Stopwatch(clock)
    for passed, counted in [(1.5, 1.5), (0.0, 0.0), (-HOUR, 0.0), (2.0, 2.0), (HOUR, LONGEST)]:
        clock.at += passed
        assert watch.lap() == counted


def test_each_side_has_its_own_time() -> None:
    clock = Clock()
    times = SittingClock(used=100.0, served=7.0, before=90.0, now=clock)
    assert times.turn == 10.0, "what was stored of the turn that is going on"
    for phase, saving in [("you", True), ("agent", True), ("survey", True), ("you", False), ("done", True)]:
        clock.at += 1.0
        times.advance(phase, saving)
    assert (times.used, times.served, times.turn, times.silent) == (102.0, 8.0, 12.0, 0.0)
    times.next_turn()
    assert times.turn == 0.0


@pytest.mark.parametrize(
    ("phase", "times", "missed", "failure"),
    [
        ("you", {"used": 3601.0, "silent": 5.0}, False, ("user", "abandoned")),
        ("you", {"used": 901.0, "silent": 901.0}, False, ("user", "abandoned")),
        ("survey", {"used": 901.0, "silent": 901.0}, True, ("study", "interrupted")),
        ("agent", {"used": 3601.0, "silent": 901.0, "served": 3600.0}, True, None),
        ("agent", {"served": 3601.0}, False, ("agent", "too_slow")),
        ("you", {"used": 900.0, "silent": 900.0, "served": 9999.0}, False, None),
        ("done", {"used": 9999.0, "silent": 9999.0, "served": 9999.0}, True, None),
    ],
)
def test_whose_fault_it_is(tmp_path: Path, phase: Any, times: dict[str, float], missed: bool, failure: Any) -> None:
    clock = SittingClock()
    vars(clock).update(times)
    found = overdue(clock, phase, missed, StudySettings("mock", tmp_path))
    assert (found and (found.side, found.kind)) == failure


def test_the_turns_of_files_of_before_are_told_by_their_times_and_are_never_below_0() -> None:
    say: Event = {"event": "say", "content": "x"}
    act: Event = {"event": "act", "name": "respond", "arguments": {"content": "y"}}
    stored = [(10.0, say), (12.0, act), (5.0, say), (6.0, say)]
    assert waits(0.0, stored, [None, None, None, 0.25]) == [10.0, 0.0, 0.25]


def test_an_agent_is_not_blamed_for_the_time_in_which_the_server_was_stopped() -> None:
    clock, asked = Clock(), asyncio.Event()

    async def scenario() -> None:
        async def agent(messages: Any, info: Any) -> dict[str, Any]:
            clock.at += 1000.0  # stopped while it was asked
            asked.set()
            await asyncio.sleep(1.5)
            return {"name": "respond", "arguments": {"content": "Hello!"}}

        situation = Situation("s", {"task_id": "mock/test/0", "policy": "", "tools": []}, 0, ())
        found = await acting.next_call(agent_side(agent), situation, 120.0, clock)
        assert asked.is_set() and getattr(found, "name", None) == "respond"

    asyncio.run(scenario())
