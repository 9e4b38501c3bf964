"""A hostile agent, whose output is as untrusted as a participant's: it harms its own sitting, and nobody else's."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.study.attack import attack, good_action, logged, prolific, reply, sitting_of, study
from tests.study.people import TOKEN, Server
from usersim_env.baselines.silent import Silent
from usersim_env.domains import get_task
from usersim_env.person.limits import MAX_ACTION
from usersim_env.study import acting, agents, database
from usersim_env.study.agents import Transcript
from usersim_env.study.export import export_study
from usersim_env.traces.file import read_traces

MEGABYTES = "x" * 10_000_000
HALF = "half a character \ud83d and controls \x00\x07\x1b[31m\u202e\u2028\r\n"


class Rude(Exception):
    """Raises whatever is asked of it."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __getattr__(self, name: str) -> Any:
        raise LookupError(name)


class Kind(Exception):
    kind = "<script>" * 100_000


def raising(error: Callable[[Mapping[str, Any]], BaseException]) -> Callable[[Mapping[str, Any]], Any]:
    def fail(info: Mapping[str, Any]) -> Any:
        raise error(info)

    return fail


def instruction(info: Mapping[str, Any]) -> str:
    return get_task(info["task_id"]).instruction


# Name → what the agent does, and the failure of the sitting; None where the conversation goes on.
Attack = tuple[Callable[[Mapping[str, Any]], Any], str | None]
ATTACKS: dict[str, Attack] = {
    "half a character": (lambda info: reply(HALF), None),
    "markup": (lambda info: reply("<script>alert(1)</script>"), None),
    "nothing": (lambda info: reply(""), None),
    "ten megabytes": (lambda info: reply(MEGABYTES), "agent:invalid_action"),
    "ten megabytes for a tool": (
        lambda info: {"name": "find_ticket", "arguments": {"email": MEGABYTES}},
        "agent:invalid_action",
    ),
    "a long name": (lambda info: {"name": MEGABYTES, "arguments": {}}, "agent:invalid_action"),
    "long bytes": (
        lambda info: {"name": "respond", "arguments": {"x": b"x" * 1_000_000}},
        "agent:invalid_action",
    ),
    "None": (lambda info: None, "agent:invalid_action"),
    "a text": (lambda info: "Hello", "agent:invalid_action"),
    "a list": (lambda info: [reply("Hello")], "agent:invalid_action"),
    "no arguments": (lambda info: {"name": "respond"}, "agent:invalid_action"),
    "the instruction in an error": (raising(lambda info: RuntimeError(instruction(info))), "agent:error"),
    "megabytes in an error": (raising(lambda info: RuntimeError(MEGABYTES)), "agent:error"),
    "markup in an error": (raising(lambda info: RuntimeError(HALF + "<script>")), "agent:error"),
    "an error of a hostile kind": (raising(lambda info: Kind()), "agent:error"),
    "a rude error": (raising(lambda info: Rude()), "agent:error"),
    "exit": (raising(lambda info: SystemExit(3)), "agent:error"),
    "interrupt": (raising(lambda info: KeyboardInterrupt()), "agent:error"),
    "cancelled": (raising(lambda info: asyncio.CancelledError()), "agent:error"),
    "stop iteration": (raising(lambda info: StopIteration()), "agent:error"),
    "generator exit": (raising(lambda info: GeneratorExit()), "agent:error"),
    "recursion": (raising(lambda info: RecursionError()), "agent:error"),
}


def told(messages: Transcript) -> str:
    """What the person asked this agent to do wrong."""
    return str(next(m["content"] for m in reversed(messages) if m["role"] == "user")).partition("attack: ")[2]


def plain_agent(messages: Transcript, info: Mapping[str, Any]) -> Any:
    name = told(messages)
    return ATTACKS[name][0](info) if name in ATTACKS else good_action(messages, info)


async def async_agent(messages: Transcript, info: Mapping[str, Any]) -> Any:
    return plain_agent(messages, info)


async def suffers(server: Server, name: str, failure: str | None) -> None:
    """One sitting in which the agent does something; the person can always see how it went on, or ended."""
    person = await server.person(**prolific("victim"))
    await person.open()
    await person.say("Hello.")
    while len(person.messages) < 2:
        await person.read()
    await person.say(f"attack: {name}")
    sitting = sitting_of(person.address)
    if failure is None:
        while len(person.messages) < 4:
            await person.read()
        await person.close()
        await person.open()  # and whoever comes back sees it too
        assert len(person.messages) == 4 and person.phase == "you"
    else:
        await person.until("closed")
        record = server.study.records[sitting]
        assert (record.state, record.failure, record.reward) == ("failed", failure, None)
        assert person.state["ending"]["code"] == record.code, "it was not the person's fault"
        assert instruction({"task_id": record.task})[:40] not in json.dumps(person.state)
        stored = [event for _, event in database.read_events(server.study.store.connection, sitting)]
        assert len(json.dumps(stored)) < 10_000, "what was too long is not kept"
    status, content, _ = await server.ask(f"/admin/api/sessions/{sitting}", authorization=f"Bearer {TOKEN}")
    assert status == 200 and content["failure"] == failure
    await person.close()


@pytest.mark.parametrize("agent", [async_agent, plain_agent])
def test_what_an_agent_returns_or_raises(tmp_path: Path, caplog: pytest.LogCaptureFixture, agent: object) -> None:
    async def scenario(server: Server) -> None:
        for name, (_, failure) in ATTACKS.items():
            await suffers(server, name, failure)
        status, content, _ = await server.ask("/admin/api/overview", authorization=f"Bearer {TOKEN}")
        assert status == 200 and set(content["failures"]) == {"agent:invalid_action", "agent:error"}
        status, content, _ = await server.ask("/admin/api/export", authorization=f"Bearer {TOKEN}")
        traces = [json.loads(line) for line in content.rstrip("\n").split("\n")]
        assert len(traces) == sum(failure is not None for _, failure in ATTACKS.values())
        for trace in traces:
            assert trace["failure"]["side"] == "agent" and len(json.dumps(trace["failure"])) < 1_000
            assert get_task(trace["task_id"]).instruction[:40] not in json.dumps(trace["failure"])

    attack(scenario, study(tmp_path), agent)
    lines = logged(caplog)
    assert len(lines) == sum(failure is not None for _, failure in ATTACKS.values()), "one line a failed sitting"
    assert max(map(len, lines)) < 400 and not [line for line in lines if "\n" in line or "\x1b" in line]


WRONG_VALUES: tuple[Any, ...] = (float("nan"), 10**400, object(), {1, 2}, b"x", {1: 2}, [[[[]]]] * 3, None, 7)


def test_arguments_that_are_no_json_are_tool_errors(tmp_path: Path) -> None:
    async def agent(messages: Transcript, info: Mapping[str, Any]) -> Any:
        if not told(messages):
            return good_action(messages, info)
        done = sum(1 for m in messages if m["role"] == "tool" and "Error" in m["content"])
        if done < len(WRONG_VALUES):
            return {"name": "respond", "arguments": {"content": WRONG_VALUES[done]}}
        return reply("Sorry.")

    async def scenario(server: Server) -> None:
        person = await server.person(**prolific("victim"))
        await person.open()
        await person.say("attack: values")
        while len(person.messages) < 2:
            await person.read()
        assert person.messages[-1]["text"] == "Sorry."
        await person.move("stop", text="")
        await person.fill_survey()
        await person.until("done")
        await person.close()

    attack(scenario, study(tmp_path), agent)


def test_an_agent_that_never_returns_keeps_nobody_waiting(tmp_path: Path) -> None:
    """More than there are threads, and some that do not let themselves be cancelled."""
    released = threading.Event()

    async def stubborn() -> None:
        while not released.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue

    def agent(messages: Transcript, info: Mapping[str, Any]) -> Any:
        if told(messages) == "hang":
            released.wait(120)
        return stubborn() if told(messages) == "stubborn" else good_action(messages, info)

    async def scenario(server: Server) -> None:
        victims = [await server.person(**prolific("victim")) for _ in range(2 * agents._THREADS)]
        for number, person in enumerate(victims):
            await person.open()
            await person.say("attack: hang" if number % 4 else "attack: stubborn")
        beside = await server.person(**prolific("beside"))
        await beside.open()
        await beside.say("Is anybody there?")
        while len(beside.messages) < 2:
            await beside.read()
        await beside.close()
        phases = {server.study.live[sitting_of(person.address)].session.phase for person in victims}
        assert phases == {"agent"}, "answered while all others still hang"
        for person in victims:
            await person.until("closed")
            record = server.study.records[sitting_of(person.address)]
            assert (record.state, record.failure) == ("failed", "agent:timeout")
            await person.close()

    async def run(server: Server) -> None:
        try:
            await scenario(server)
        finally:
            released.set()

    with patch.object(agents, "_PATIENCE", 0.2):
        attack(run, study(tmp_path, agent_timeout=5.0), agent)


def test_a_person_can_leave_while_the_agent_hangs(tmp_path: Path) -> None:
    async def agent(messages: Transcript, info: Mapping[str, Any]) -> Any:
        if told(messages):
            await asyncio.sleep(600)
        return good_action(messages, info)

    async def scenario(server: Server) -> None:
        person = await server.person(**prolific("victim"))
        await person.open()
        await person.say("attack: hang")
        assert (await person.move("leave"))["type"] == "ack"
        assert server.study.records[sitting_of(person.address)].state == "withdrawn"
        await person.close()

    attack(scenario, study(tmp_path), agent)


class Noted:
    """An agent whose notes cannot be written."""

    name, privileged = "noted", False

    def __init__(self, notes: Callable[[], Any]) -> None:
        self._notes = notes

    def describe(self) -> dict[str, Any]:
        return {}

    def begin(self, info: Mapping[str, Any], seed: int) -> Noted:
        return self

    def act(self, observation: Mapping[str, Any]) -> dict[str, Any]:
        return reply(f"You said {len(observation['content'])} characters.")

    def notes(self) -> Any:
        return self._notes()


NOTES: tuple[Callable[[], Any], ...] = (
    lambda: {"cost": float("nan")},
    lambda: {"model": object()},
    lambda: {1: 2},
    lambda: "words",
    lambda: {"text": "x" * (MAX_ACTION + 1)},
    lambda: 1 / 0,
    lambda: {"cost": "twelve dollars"},
    lambda: {"cost": 10**400},
    lambda: {"cost": float("inf")},
    lambda: {"cost": -1.0},
    lambda: {"cost": [1.0]},
    lambda: sys.exit(3),
    lambda: threading.Event().wait(60),
)


@pytest.mark.parametrize("notes", NOTES)
def test_notes_that_cannot_be_written_are_left_out(
    tmp_path: Path, notes: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acting, "NOTES_PATIENCE", 2.0)

    async def scenario(server: Server) -> None:
        person = await server.person(**prolific("victim"))
        await person.open()
        await person.say("Hello.")
        await person.until("you")
        await person.close()

    # The witness's episode ends with a survey and a code: that is what the notes would have spoilt.
    chosen = study(tmp_path, tasks=("mock/test/2",))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says which agent it is
        attack(scenario, chosen, Noted(notes))
    assert export_study(chosen.folder, tmp_path / "people.jsonl") == 1
    (trace,) = read_traces(tmp_path / "people.jsonl")
    assert trace.provenance.cost is None and trace.agent.notes.get("cost") is None


def test_an_agent_that_hangs_does_not_keep_the_process() -> None:
    program = """
import asyncio, time
from usersim_env.study.agents import Situation, agent_side
from usersim_env.study.acting import next_call
def agent(messages, info):
    time.sleep(600)
info = {"task_id": "mock/test/0", "policy": "", "tools": []}
print(asyncio.run(next_call(agent_side(agent), Situation("s", info, 0, ()), 0.2)).kind)
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout == "timeout\n"


def test_an_agent_that_is_late_leaves_nothing_behind() -> None:
    """Its sitting is over when it comes back: its session is not kept for ever."""
    go, serving = threading.Event(), threading.Event()

    class Late(Silent):
        def begin(self, info: Mapping[str, Any], seed: int) -> Any:
            serving.set()
            assert go.wait(30)
            return super().begin(info, seed)

    side = agents.agent_side(Late())
    situation = agents.Situation("s", {"task_id": "mock/test/0", "policy": "", "tools": []}, 0, ())

    async def late() -> None:
        acting = asyncio.create_task(side.act(situation))
        await asyncio.to_thread(serving.wait, 30)
        side.release("s")
        go.set()
        await acting

    asyncio.run(late())
    assert vars(side)["_running"] == {}
