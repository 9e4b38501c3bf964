"""Time is counted fairly: only that of whoever had the turn, while the server ran and no clock was set."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.study.alone import SURVEY, Clock, Guest, guest, opened, passing, settled
from usersim_env.gap.sides import is_abandoned
from usersim_env.messages import Stop
from usersim_env.person.settings import StudySettings
from usersim_env.study.export import export_study
from usersim_env.study.overview import overview
from usersim_env.study.study import Study
from usersim_env.traces.file import read_traces
from usersim_env.traces.trace import Trace

MINUTE, HOUR = 60.0, 3600.0


def settings(tmp_path: Path, **changes: Any) -> StudySettings:
    return StudySettings("mock", tmp_path / "study", **{"per_task": 9} | changes)


async def answers(messages: Any, info: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": "respond", "arguments": {"content": f"Answer {len(messages)}."}}


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 60))


def traces(chosen: StudySettings) -> list[Trace]:
    out = chosen.folder / "people.jsonl"
    export_study(chosen.folder, out)
    return read_traces(out)


def step(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Somebody sets the machine's clock."""
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + seconds)


# -- nobody is abandoned, everybody gets a code ------------------------------------------------------------------------


async def crowd(study: Study) -> list[Guest]:
    """Six people: two have not spoken, two wait for nobody, two are at the survey."""
    people = [await guest(study) for _ in range(6)]
    for person in people[2:]:
        await person.say("Please move my repair to tuesday, I am ada@mock.example.")
    for person in people[4:]:
        await person.do(Stop(""))
    return people


async def home(people: list[Guest]) -> None:
    for person in people:
        if person.session.phase == "you" and not person.session.messages:
            await person.say("Please move my repair to tuesday.")
        await (person.do(SURVEY) if person.session.phase == "survey" else person.finish())


@pytest.mark.parametrize("seconds", [HOUR, -HOUR, 24 * HOUR, -24 * HOUR])
def test_a_step_of_the_clock_abandons_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    chosen, clock = settings(tmp_path), Clock()

    async def scenario() -> None:
        async with opened(chosen, answers, clock) as study:
            people = await crowd(study)
            await passing(study, clock, 100)
            step(monkeypatch, seconds)
            await passing(study, clock, 100)
            await home(people)
            assert [p.record.state for p in people] == ["done"] * 6 and all(p.code for p in people)
            step(monkeypatch, -2 * seconds)
            assert all(p.code for p in people), "the codes are still there"
            assert overview(study)["median_minutes"] == pytest.approx(200 / 60, abs=0.1)

    run(scenario())
    for trace in traces(chosen):
        assert trace.provenance.seconds == pytest.approx(200, abs=1)
        assert sum(trace.user.notes["seconds_per_turn"]) == pytest.approx(200, abs=1)
        assert "fast" not in trace.user.notes["flags"]


@pytest.mark.parametrize("wall", [10 * MINUTE, -10 * MINUTE, 3 * HOUR])
def test_downtime_abandons_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wall: float) -> None:
    """Each person had been silent for ten minutes when the server went down, and a turn may take fifteen."""
    chosen, clock = settings(tmp_path), Clock()

    async def scenario() -> None:
        async with opened(chosen, answers, clock) as study:
            people = await crowd(study)
            await passing(study, clock, 10 * MINUTE)
        step(monkeypatch, wall)
        clock.at = 17.0  # the clock of another process begins anywhere
        async with opened(chosen, answers, clock) as study:
            await passing(study, clock, 10 * MINUTE)
            people = [Guest(study, person.token) for person in people]
            await passing(study, clock, 4 * MINUTE)
            await home(people)
            assert [p.record.state for p in people] == ["done"] * 6 and all(p.code for p in people)

    run(scenario())
    for trace in traces(chosen):
        assert trace.provenance.seconds == pytest.approx(24 * MINUTE, abs=15)
        assert sum(trace.user.notes["seconds_per_turn"]) == pytest.approx(24 * MINUTE, abs=15)


def test_a_server_that_was_stopped_or_blocked_abandons_nobody(tmp_path: Path) -> None:
    """SIGSTOP, a suspended machine, an agent that blocks the event loop: nobody could have been heard."""
    chosen, clock = settings(tmp_path), Clock()

    async def scenario() -> None:
        async with opened(chosen, answers, clock) as study:
            people = await crowd(study)
            for _ in range(3):
                clock.at += 5 * HOUR
                await passing(study, clock, 1)
            await home(people)
            assert [p.record.state for p in people] == ["done"] * 6 and all(p.code for p in people)

    run(scenario())


class Held:
    """An agent that answers when it is let."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def answer(self, messages: Any, info: Mapping[str, Any]) -> dict[str, Any]:
        await self.go.wait()
        return await answers(messages, info)


def test_an_agent_slower_than_the_limit_of_the_session_is_the_agents_failure(tmp_path: Path) -> None:
    chosen, clock = settings(tmp_path, agent_timeout=1e9), Clock()

    async def scenario() -> None:
        agent = Held()
        async with opened(chosen, agent.answer, clock) as study:
            people = [await guest(study) for _ in range(3)]
            waiting = [asyncio.create_task(person.say("Hello there")) for person in people]
            await asyncio.sleep(0.05)
            await passing(study, clock, HOUR - 10)
            assert [p.session.phase for p in people] == ["agent"] * 3, "the person's time does not run"
            await passing(study, clock, 20)
            await asyncio.gather(*waiting)
            for person in people:
                assert (person.record.state, person.record.failure) == ("failed", "agent:too_slow")
                assert person.code == person.record.code and person.session.ending is not None
                assert "The AI system took too long to answer" in person.session.ending.text
            agent.go.set()
            await asyncio.sleep(0.05)
            assert study.problem({}) is None, "the places are free again"

    run(scenario())
    found = traces(chosen)
    assert len(found) == 3 and not any(map(is_abandoned, found)) and all(t.reward is None for t in found)


def test_after_a_slow_agent_the_person_has_all_their_time(tmp_path: Path) -> None:
    chosen, clock = settings(tmp_path, agent_timeout=1e9), Clock()

    async def scenario() -> None:
        agent = Held()
        async with opened(chosen, agent.answer, clock) as study:
            person = await guest(study)
            await passing(study, clock, 14 * MINUTE)
            waiting = asyncio.create_task(person.say("Hello there"))
            await asyncio.sleep(0.05)
            await passing(study, clock, 59 * MINUTE)
            agent.go.set()
            await waiting
            await passing(study, clock, 14 * MINUTE)
            assert person.session.phase == "you"
            await person.finish()
            assert person.record.state == "done"
            assert (person.record.used, person.record.served) == pytest.approx((28 * MINUTE, 59 * MINUTE), abs=2)

    run(scenario())


# -- who is really silent has left -------------------------------------------------------------------------------------


@pytest.mark.parametrize("spoken", [False, True])
def test_who_does_not_answer_has_left(tmp_path: Path, spoken: bool) -> None:
    chosen, clock = settings(tmp_path), Clock()

    async def scenario() -> None:
        async with opened(chosen, answers, clock) as study:
            person = await guest(study)
            if spoken:
                await person.say("Hello there")
            await passing(study, clock, 15 * MINUTE - 2)
            assert person.session.phase == "you"
            await passing(study, clock, 4)
            assert (person.record.state, person.record.failure, person.code) == ("abandoned", "user:abandoned", None)
            assert person.session.ending is not None and "no answer for 15 minutes" in person.session.ending.text

    run(scenario())
    assert all(map(is_abandoned, traces(chosen)))


def test_the_limit_of_the_session_is_the_sum_of_the_persons_turns(tmp_path: Path) -> None:
    chosen, clock = settings(tmp_path), Clock()

    async def scenario() -> None:
        async with opened(chosen, answers, clock) as study:
            person = await guest(study)
            for number in range(4):
                await passing(study, clock, 14 * MINUTE)
                await person.say(f"Message {number}")
            await passing(study, clock, 5 * MINUTE)
            assert person.record.state == "abandoned" and person.session.ending is not None
            assert "Your time for this conversation, 60 minutes, was over" in person.session.ending.text

    run(scenario())


def test_restarts_do_not_give_the_time_of_a_session_back(tmp_path: Path) -> None:
    """Only the turn that is going on begins anew, so whoever is silent is found out all the same."""
    chosen, clock = settings(tmp_path), Clock()

    async def scenario() -> None:
        async with opened(chosen, answers, clock) as study:
            token = (await guest(study)).token
        for restart in range(20):
            async with opened(chosen, answers, clock) as study:
                person = Guest(study, token)
                await passing(study, clock, 5 * MINUTE)
                if person.record.state != "open":
                    assert (person.record.state, restart) == ("abandoned", 12)
                    return
        raise AssertionError("twenty restarts kept somebody who was silent")

    run(scenario())


def test_who_does_not_come_back_to_a_server_that_was_away_is_no_abandonment(tmp_path: Path) -> None:
    chosen, clock = settings(tmp_path), Clock()

    async def scenario() -> None:
        async with opened(chosen, answers, clock) as study:
            here, gone, back = [await guest(study) for _ in range(3)]
            gone.close()  # long before
            await passing(study, clock, 60)
        async with opened(chosen, answers, clock) as study:
            returned = Guest(study, back.token)
            await passing(study, clock, 60)
            returned.close()
            await passing(study, clock, 15 * MINUTE)
            states = {p.token: p for p in (Guest(study, p.token) for p in (here, gone, back))}
            assert states[here.token].record.failure == "study:interrupted"
            assert states[here.token].record.state == "failed" and states[here.token].code
            ending = states[here.token].session.ending
            assert ending is not None and "could not be reached for a while" in ending.text
            assert states[gone.token].record.failure == states[back.token].record.failure == "user:abandoned"

    run(scenario())
    assert sum(map(is_abandoned, traces(chosen))) == 2


def test_time_in_which_nothing_can_be_saved_counts_for_nobody(tmp_path: Path) -> None:
    chosen, clock = settings(tmp_path), Clock()

    async def scenario() -> None:
        async with opened(chosen, answers, clock) as study:
            person, other = await guest(study), await guest(study)
            await passing(study, clock, 10 * MINUTE)
            file, aside = chosen.folder / "study.sqlite", chosen.folder / "aside"
            file.rename(aside)
            await passing(study, clock, HOUR)
            other.close()
            assert person.session.phase == "you"
            aside.rename(file)
            await passing(study, clock, 14 * MINUTE)
            assert person.session.phase == other.session.phase == "you", "the turn begins anew"
            await person.say("I am back.")
            await passing(study, clock, 2 * MINUTE)
            assert other.record.failure == "study:interrupted" and other.code
            assert person.record.used == pytest.approx(24 * MINUTE, abs=5)

    run(scenario())


def test_only_a_person_can_abandon(tmp_path: Path) -> None:
    """An agent's exception may say ``kind = "abandoned"`` of itself."""

    class Gone(Exception):
        kind = "abandoned"

    async def agent(messages: Any, info: Any) -> dict[str, Any]:
        raise Gone("I am off.")

    chosen, clock = settings(tmp_path), Clock()

    async def scenario() -> None:
        async with opened(chosen, agent, clock) as study:
            person = await guest(study)
            await person.say("Hello there")
            await settled(study)
            assert person.record.failure == "agent:abandoned" and person.code

    run(scenario())
    (trace,) = traces(chosen)
    assert not is_abandoned(trace)
