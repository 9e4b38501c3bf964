"""A study from the first page to the exported trace, over real sockets, in one process."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.study.people import TOKEN, Person, served
from usersim_env import read_traces
from usersim_env.baselines import make_agent
from usersim_env.errors import UsageError
from usersim_env.importers.rescore import rescore
from usersim_env.person.settings import StudySettings
from usersim_env.study.agents import agent_side
from usersim_env.study.deletion import forget_person
from usersim_env.study.export import export_study
from usersim_env.study.store import Store
from usersim_env.study.study import Study

PROLIFIC = {"PROLIFIC_PID": "p1", "STUDY_ID": "s1", "SESSION_ID": "v1"}
Settings = Callable[..., StudySettings]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    def make(**changes: Any) -> StudySettings:
        given: dict[str, Any] = {"domain": "mock", "out": tmp_path / "study", "tasks": ["mock/train/0"]}
        return StudySettings(**given | {"licence": "for the tests"} | changes)

    return make


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 60))


async def helpful(messages: list[dict[str, Any]], info: Mapping[str, Any]) -> dict[str, Any]:
    """Moves the repair at the second message of the person."""
    said = [m["content"] for m in messages if m["role"] == "user"]
    if len(said) == 2 and messages[-1]["role"] == "user":
        return {"name": "move_ticket", "arguments": {"ticket_id": "T-1001", "day": "tuesday"}}
    return {"name": "respond", "arguments": {"content": f"You said {said[-1]!r}. Anything else?"}}


async def talk(person: Person) -> None:
    """Opens the page and says two things."""
    await person.open()
    await person.say("Please move my repair to tuesday, my e-mail address is ada@mock.example, thank you.")
    await person.until("you")
    await person.say("Yes, that is what I should like to have done, please.")
    await person.until("you")


async def come_to_the_questions(person: Person) -> None:
    await person.move("stop", text="")
    await person.until("survey")


async def finish(person: Person) -> None:
    await person.move("stop", text="Bye!")
    await person.fill_survey()


def test_an_episode_from_consent_to_trace(settings: Settings) -> None:
    async def scenario() -> None:
        async with served(settings(), helpful) as server:
            _, welcome, _ = await server.ask("/welcome")
            assert welcome["problem"] is None and "AI system, not a person" in welcome["consent"]
            assert (await server.ask("/join", {"query": {}, "consent": False}, origin=server.origin))[0] == 400
            assert not server.study.records
            person = await server.person()
            await talk(person)
            assert [m["role"] for m in person.messages] == ["user", "agent", "user", "agent"]
            await finish(person)
            assert person.phase == "done" and len(person.state["ending"]["code"]) == 8
            await person.close()
            await person.open()
            assert person.state["ending"]["code"], "the code is there after a reload"

    run(scenario())
    assert export_study(settings().folder, settings().folder / "people.jsonl") == 1
    (trace,) = read_traces(settings().folder / "people.jsonl")
    assert (trace.reward, trace.ended_by, trace.user.kind) == (1.0, "user", "human")
    assert trace.survey is not None and len(trace.survey) == 8
    assert (trace.terms.licence, trace.terms.training) == ("for the tests", False)
    assert len(trace.user.notes["seconds_per_turn"]) == 4, "two answers, the end, the survey"
    assert trace.user.notes["batch"] == 1 and trace.user.notes["flags"] == ["fast"]
    assert trace.agent.settings["function"].endswith("helpful")
    assert rescore([settings().folder / "people.jsonl"]).agree == 1
    with pytest.raises(UsageError, match=r"people\.jsonl exists"):
        export_study(settings().folder, settings().folder / "people.jsonl")


@pytest.mark.parametrize("agent", ["helpful", "clerk"])
def test_a_new_server_goes_on_where_the_old_one_was(settings: Settings, agent: str) -> None:
    """The clerk remembers its dialogue, so it has to be made again from the transcript."""

    def made() -> object:
        return helpful if agent == "helpful" else make_agent("clerk:ask_again=0,wrong_argument=0")

    async def scenario() -> None:
        async with served(settings(), made()) as server:
            person = await server.person()
            await person.open()
            await person.say("Please move my repair to tuesday, I am ada@mock.example")
            await person.until("you")
            before = list(person.messages)
        async with served(settings(), made()) as server:
            again = server.at(person.address)
            await again.open()
            assert again.messages == before and again.phase == "you"
            await again.say("yes")
            await again.until("you")
            await finish(again)
            assert again.phase == "done"
            assert [s.reward for s in server.study.sittings()] == [1.0]

    run(scenario())


def test_an_agent_that_is_asked_twice_has_the_turn_after_a_restart(settings: Settings) -> None:
    """The server stops while the agent thinks; the next one asks it again, and the person waits on the same page."""
    asked = []

    async def slow(messages: Any, info: Any) -> dict[str, Any]:
        asked.append(len(messages))
        if len(asked) == 1:
            await asyncio.sleep(3600)
        return await helpful(messages, info)

    async def scenario() -> None:
        async with served(settings(), slow) as server:
            person = await server.person()
            await person.open()
            await person.say("Hello there")
            assert person.phase == "agent"
        async with served(settings(), slow) as server:
            again = server.at(person.address)
            await again.open()
            await again.until("you")
            assert len(again.messages) == 2

    run(scenario())
    assert asked == [2, 2]


def test_an_agent_that_would_not_do_the_same_again_fails_its_episode(settings: Settings) -> None:
    class Moody:
        name, privileged, started = "moody", False, 0

        def describe(self) -> dict[str, Any]:
            return {}

        def begin(self, info: Any, seed: int) -> Any:
            Moody.started += 1
            return self

        def act(self, observation: Any) -> dict[str, Any]:
            return {"name": "respond", "arguments": {"content": f"Start number {Moody.started}."}}

    async def scenario() -> None:
        async with served(settings(), Moody()) as server:
            person = await server.person()
            await person.open()
            await person.say("Hello there")
            await person.until("you")
        async with served(settings(), Moody()) as server:
            again = server.at(person.address)
            await again.open()
            await again.say("Still there?")
            await again.until("closed")
            assert again.state["ending"]["code"], "it was not the person's fault"
            (record,) = server.study.sittings()
            assert (record.state, record.failure, record.reward) == ("failed", "agent:cannot_go_on", None)

    run(scenario())


@pytest.mark.parametrize(
    ("agent", "kind"),
    [
        (lambda messages, info: {"name": "respond"}, "agent:invalid_action"),
        (lambda messages, info: 1 / 0, "agent:error"),
        (lambda messages, info: "hello", "agent:invalid_action"),
    ],
)
def test_a_failing_agent_is_no_reward_of_zero(settings: Settings, agent: Any, kind: str) -> None:
    async def scenario() -> None:
        async with served(settings(), agent) as server:
            person = await server.person()
            await person.open()
            await person.say("Hello there")
            await person.until("closed")
            (record,) = server.study.sittings()
            assert (record.state, record.failure, record.reward) == ("failed", kind, None)
            assert server.study.problem({}) is None, "the place is free again"

    run(scenario())


def test_an_agent_that_takes_too_long(settings: Settings) -> None:
    async def never(messages: Any, info: Any) -> dict[str, Any]:
        await asyncio.sleep(3600)
        return {}

    async def scenario() -> None:
        async with served(settings(agent_timeout=0.05), never) as server:
            person = await server.person()
            await person.open()
            await person.say("Hello there")
            await person.until("closed")
            assert [s.failure for s in server.study.sittings()] == ["agent:timeout"]

    run(scenario())


def test_who_does_not_answer_has_left_and_the_task_is_free(settings: Settings) -> None:
    async def scenario() -> None:
        async with served(settings(per_task=1, turn_timeout=0.2), helpful) as server:
            person = await server.person()
            await person.open()
            await person.say("Hello there")
            await person.until("you")
            assert "all the participants" in str(server.study.problem({}))
            await asyncio.sleep(0.3)
            await server.study.look()
            await person.until("closed")
            assert (await person.say("I am back"))["code"] == "over"
            (record,) = server.study.sittings()
            assert (record.state, record.failure, record.reward) == ("abandoned", "user:abandoned", None)
            assert server.study.problem({}) is None

    run(scenario())


@pytest.mark.parametrize("how", ["times out", "leaves"])
def test_who_leaves_at_the_survey_has_had_a_whole_conversation(settings: Settings, how: str) -> None:
    chosen = settings(turn_timeout=0.5 if how == "times out" else 900, withdrawal="keep")

    async def scenario() -> None:
        async with served(chosen, helpful) as server:
            person = await server.person()
            await talk(person)
            await come_to_the_questions(person)
            if how == "leaves":
                await person.move("leave")
            await person.until("closed")
            (record,) = server.study.sittings()
            assert (record.state, record.reward, record.overall) == ("no_survey", 1.0, None)
            ending = person.state["ending"]
            assert "were not answered" in ending["text"] and ending["code"] == record.code
            other = await server.person()  # the study wants the answers too, so the place is handed out again
            await other.open()

    run(scenario())
    export_study(chosen.folder, chosen.folder / "x.jsonl")
    (trace,) = read_traces(chosen.folder / "x.jsonl")
    assert (trace.reward, trace.survey, trace.failure) == (1.0, None, None)
    assert trace.user.notes["survey"] == "left" and "batch" not in trace.user.notes


def test_who_leaves_at_the_survey_and_was_promised_deletion_is_deleted(settings: Settings) -> None:
    chosen = settings(withdrawal="delete")

    async def scenario() -> None:
        async with served(chosen, helpful) as server:
            person = await server.person()
            await talk(person)
            await come_to_the_questions(person)
            await person.move("leave")
            assert person.phase == "closed" and "has been deleted" in person.state["ending"]["text"]
            assert person.state["ending"]["code"] is None
            assert [s.state for s in server.study.sittings()] == ["withdrawn"]

    run(scenario())
    assert export_study(chosen.folder, chosen.folder / "x.jsonl") == 0


@pytest.mark.parametrize("withdrawal", ["delete", "keep"])
def test_withdrawal_as_consented(settings: Settings, withdrawal: Any) -> None:
    chosen = settings(withdrawal=withdrawal)

    async def scenario() -> None:
        async with served(chosen, helpful) as server:
            _, welcome, _ = await server.ask("/welcome")
            assert {"delete": "is deleted", "keep": "is kept"}[withdrawal] in welcome["consent"]
            person = await server.person()
            await talk(person)
            await person.move("leave")
            assert person.phase == "closed"
            assert [s.state for s in server.study.sittings()] == ["withdrawn"]

    run(scenario())
    assert export_study(chosen.folder, chosen.folder / "x.jsonl") == (withdrawal == "keep")
    held = any(b"ada@mock" in path.read_bytes() for path in chosen.folder.glob("study.sqlite*"))
    assert held == (withdrawal == "keep")


def test_a_participant_is_deleted_beside_a_running_server(settings: Settings) -> None:
    chosen = settings(participants_from="prolific", tasks=["mock/train/0", "mock/train/1"])

    async def scenario() -> None:
        async with served(chosen, helpful) as server:
            done, going = await server.person(**PROLIFIC), await server.person(**PROLIFIC | {"PROLIFIC_PID": "p2"})
            for person in (done, going):
                await talk(person)
            await finish(done)
            with pytest.raises(UsageError, match="No participant 'p3'"):
                forget_person(chosen.folder, "p3")
            assert forget_person(chosen.folder, "p1") == (1, True)
            assert forget_person(chosen.folder, "p2") == (1, True)
            await server.study.look()
            await going.until("closed")
            assert (await server.ask(done.address + "/status"))[0] == 200
            _, seen, _ = await server.ask("/admin/api/overview", authorization=f"Bearer {TOKEN}")
            assert seen["counts"]["withdrawn"] == 2 and not any(row["participant"] for row in seen["sessions"])

    run(scenario())
    assert not any(b"ada@mock" in path.read_bytes() for path in chosen.folder.glob("study.sqlite*"))


def test_prolific_ids_lead_back_and_each_person_gets_another_task(settings: Settings) -> None:
    tasks = ["mock/train/0", "mock/train/1"]

    async def scenario() -> None:
        async with served(settings(participants_from="prolific", tasks=tasks), helpful) as server:
            _, welcome, _ = await server.ask("/welcome?PROLIFIC_PID=p1")
            assert "not complete" in welcome["problem"]
            both = await asyncio.gather(server.join(**PROLIFIC), server.join(**PROLIFIC))
            assert both[0] == both[1], "two clicks are one visit"
            later = PROLIFIC | {"SESSION_ID": "v2"}
            assert "begun this study already" in str(server.study.problem(later))
            person = server.at(both[0])
            await talk(person)
            await finish(person)
            assert await server.join(**PROLIFIC) == both[0]
            await server.join(**later)
            assert len({s.task for s in server.study.sittings()}) == 2
            assert len({s.person for s in server.study.sittings()}) == 1
            assert not any("p1" in str(vars(s)) for s in server.study.sittings()), "only the pseudonym is used"

    run(scenario())


def test_addresses_expire(settings: Settings) -> None:
    async def scenario() -> None:
        async with served(settings(address_hours=1e-9), helpful) as server:
            person = await server.person()
            await talk(person)
            await finish(person)
            await asyncio.sleep(0.01)
            assert (await server.ask(person.address + "/status"))[0] == 410
            assert (await server.ask("/s/nobody.00/status"))[0] == 404

    run(scenario())


def test_what_could_not_be_written_was_not_said(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with served(settings(), helpful) as server:
            person = await server.person()
            await person.open()
            append, full = Store.append, True

            async def failing(self: Store, *given: Any) -> None:
                if full:
                    raise OSError("disk full")
                await append(self, *given)

            monkeypatch.setattr(Store, "append", failing)
            assert (await person.say("Hello there"))["code"] == "not_saved"
            assert person.messages == []
            full = False
            assert (await person.say("Hello there"))["type"] == "ack"
            await person.until("you")
            assert len(person.messages) == 2

    run(scenario())


def test_the_admin_page_sees_everything_and_only_with_its_token(settings: Settings) -> None:
    async def scenario() -> None:
        async with served(settings(), helpful) as server:
            person = await server.person()
            await talk(person)
            for path in ("/admin/api/overview", "/admin/api/export", "/admin/api/sessions/x"):
                assert (await server.ask(path))[0] == 401
                assert (await server.ask(path, authorization="Bearer no"))[0] == 401
            key = {"authorization": f"Bearer {TOKEN}"}
            _, seen, _ = await server.ask("/admin/api/overview", **key)
            assert seen["counts"]["open"] == 1 and seen["sessions"][0]["connected"]
            assert (seen["sessions"][0]["phase"], seen["sessions"][0]["turns"]) == ("you", 2)
            _, one, _ = await server.ask(f"/admin/api/sessions/{seen['sessions'][0]['id']}", **key)
            assert [e["who"] for e in one["events"]] == ["user", "agent", "user", "tool", "agent"]
            assert (await server.ask("/admin/api/sessions/x", **key))[0] == 404
            await finish(person)
            _, line, _ = await server.ask("/admin/api/export", **key)
            assert line["reward"] == 1.0
            assert (await server.ask("/health"))[1] == {"status": "ok", "open": 0}

    run(scenario())


# -- settings and folders ----------------------------------------------------------------------------------------------


def test_a_folder_keeps_its_study(settings: Settings) -> None:
    Study(settings(), agent_side(helpful)).close()
    with pytest.raises(UsageError, match="holds a study with tasks"):
        Study(settings(tasks=["mock/train/1"]), agent_side(helpful))
    with pytest.raises(UsageError, match="holds a study with agent"):
        Study(settings(), agent_side(make_agent("clerk")))
    study = Study(settings(per_task=5), agent_side(helpful))
    try:
        with pytest.raises(UsageError, match="is being served already"):
            Study(settings(), agent_side(helpful))
    finally:
        study.close()
    assert (settings().folder / "secret").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"participants_from": "mturk"}, "Unknown source of participants 'mturk'"),
        ({"per_task": 0}, "per_task is a whole number of at least 1, got 0"),
        ({"turn_timeout": 0}, "turn_timeout is above 0, got 0"),
        ({"redirect": "javascript:alert(1)"}, "redirect is an address that begins with https://"),
        ({"tasks": ["mock/train/99"]}, "Unknown task"),
    ],
)
def test_settings_that_will_not_do(settings: Settings, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        settings(**changes)


def test_no_text_of_the_owner_makes_html_or_hides_the_facts(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "own.md").write_text("Hello <script>alert(1)</script> [x](javascript:alert(1)) ![y](http://z)")
    chosen = settings(consent=tmp_path / "own.md", provider="<b>Evil</b> [x](http://z)", training=True)
    study = Study(chosen, agent_side(helpful))
    study.close()
    assert "<script" not in study.present.text and "<b>" not in study.present.text and "<img" not in study.present.text
    assert 'href="javascript' not in study.present.text and "[x](http://z)" in study.present.text
    assert "AI models may be trained" in study.present.text and "AI system, not a person" in study.present.text
    with pytest.raises(UsageError, match="cannot be read as Markdown"):
        Study(dataclasses.replace(chosen, consent=tmp_path / "none.md", out=tmp_path / "2"), agent_side(helpful))


def test_the_number_of_the_batch_is_what_the_index_reads(settings: Settings) -> None:
    async def scenario() -> None:
        async with served(settings(per_task=2), helpful) as server:
            for _ in range(2):
                person = await server.person()
                await talk(person)
                await finish(person)

    run(scenario())
    export_study(settings().folder, settings().folder / "x.jsonl")
    traces = read_traces(settings().folder / "x.jsonl")
    assert [t.user.notes["batch"] for t in traces] == [1, 2]
    assert len({t.id for t in traces}) == 2
    assert len({t.user.notes["participant"] for t in traces}) == 2
