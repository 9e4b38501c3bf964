"""What an agent or a user side raises: shown once with its traceback, or let through; and always a failure, not a 0."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from usersim_env.agent import Action, AgentSession, Observation
from usersim_env.baselines import Oracle
from usersim_env.cli import main
from usersim_env.conversation.scene import Scene
from usersim_env.env import raised
from usersim_env.errors import UsageError, UserSideError
from usersim_env.messages import Say, Stop
from usersim_env.rollouts import RolloutSettings, rollout, rollout_async
from usersim_env.traces.file import read_traces
from usersim_env.users import ScriptedUser, User, UserSession

MESSAGE = "my own mistake"


class Broken(AgentSession):
    def act(self, observation: Observation) -> Action:
        return self.deeper()

    def deeper(self) -> Action:
        raise ZeroDivisionError(MESSAGE)


class Agent:
    name, privileged = "broken", False

    def describe(self) -> dict[str, Any]:
        return {}

    def begin(self, info: Any, seed: int) -> AgentSession:
        return Broken()


class BrokenUser(User):
    kind = "scripted"

    def begin(self, scene: Scene) -> UserSession:
        return BrokenUserSession()


class BrokenUserSession(UserSession):
    def open(self, scene: Scene) -> Say | Stop:
        raise LookupError(MESSAGE)

    def reply(self, scene: Scene) -> Say | Stop:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def nothing_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raised, "_seen", set())


def settings(**changes: Any) -> RolloutSettings:
    user = changes.pop("user", ScriptedUser(("hi", "bye"), repeat=True))
    return RolloutSettings(seeds=(0, 1), keywords={"user": user}, progress=False, **changes)


SEATS: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "agent": (Agent(), {}, ZeroDivisionError, "agent:error"),
    "user side": (Oracle(), {"user": BrokenUser()}, LookupError, "user:error"),
}


def run(how: str, agent: Any, chosen: RolloutSettings) -> Any:
    if how == "serial":
        return rollout(agent, "TauMock-v0", chosen)
    return asyncio.run(rollout_async(agent, "TauMock-v0", chosen, 3))


@pytest.mark.parametrize("how", ["serial", "async"])
@pytest.mark.parametrize("seat", SEATS)
def test_the_first_of_each_kind_is_shown_with_its_traceback(
    seat: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    agent, changes, error, name = SEATS[seat]
    result = run(how, agent, settings(**changes))
    assert result.failed == {name: 8} and result.success is None
    (record,) = [record for record in caplog.records if record.name == "usersim_env.env.raised"]
    assert record.levelno == logging.ERROR and record.exc_info is not None and record.exc_info[0] is error
    assert f"The {seat} raised an exception" in caplog.text and "test_raised.py" in caplog.text
    assert MESSAGE in result.traces[0].failure.message and str(Path.cwd()) not in result.traces[0].failure.message


@pytest.mark.parametrize("how", ["serial", "async"])
@pytest.mark.parametrize("seat", SEATS)
def test_let_through_it_ends_the_rollout_as_it_is(seat: str, how: str, tmp_path: Path) -> None:
    agent, changes, error, _ = SEATS[seat]
    with pytest.raises(error, match=MESSAGE) as caught:
        run(how, agent, settings(on_error="raise", out=tmp_path / "t.jsonl", **changes))
    assert any("test_raised.py" in str(entry.path) for entry in caught.traceback)
    assert not raised.LET_THROUGH.get()
    assert run(how, agent, settings(out=tmp_path / "t.jsonl", **changes)).failed  # and the file is free again


def test_an_outage_is_no_mistake_of_anybodys(caplog: pytest.LogCaptureFixture) -> None:
    user = ScriptedUser((UserSideError("slow", kind="timeout"),))
    assert rollout(Oracle(), "TauMock-v0", settings(user=user, on_error="raise")).failed == {"user:timeout": 8}
    assert caplog.text == ""


def test_from_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(
        "from tests.rollout.test_raised import Agent\nclass Mine(Agent):\n    pass\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    words = ["rollout", "--env", "TauMock-agenda-v0", "--agent", "mine:Mine", "--tasks", "0", "--out"]
    assert main([*words, str(tmp_path / "a.jsonl")]) == 2
    assert len(read_traces(tmp_path / "a.jsonl")) == 1
    with pytest.raises(ZeroDivisionError, match=MESSAGE):
        main([*words, str(tmp_path / "b.jsonl"), "--raise"])


def test_settings_that_are_none() -> None:
    with pytest.raises(UsageError, match="on_error is 'record' or 'raise', got 'ignore'"):
        RolloutSettings(on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="goes with the serial backend"):
        rollout(Oracle(), "TauMock-v0", settings(on_error="raise"), "ray")


@pytest.mark.parametrize("seat", SEATS)
@pytest.mark.parametrize("how", ["serial", "async"])
def test_the_trace_keeps_where_it_came_from_without_folders(seat: str, how: str, tmp_path: Path) -> None:
    agent, changes, *_ = SEATS[seat]
    run(how, agent, settings(out=tmp_path / "traces.jsonl", **changes))
    for trace in read_traces(tmp_path / "traces.jsonl"):
        assert trace.failure is not None and trace.failure.frames
        *_, last = trace.failure.frames
        here = Path(__file__).name
        assert last.startswith(f"{here}:") and last.endswith(" in deeper" if seat == "agent" else " in open")
        assert trace.failure.frames[0].startswith(f"{here}:"), "not this package's own way to the seat"
        assert str(Path.cwd()) not in trace.to_line().decode() and str(Path.home()) not in trace.to_line().decode()


def test_frames_of_files_installed_and_of_errors_of_ours() -> None:
    code = compile("def boom():\n    raise KeyError(1)\n", "/opt/x/lib/python3/site-packages/lib/inner.py", "exec")
    room: dict[str, Any] = {}
    exec(code, room)
    with pytest.raises(KeyError) as found:
        room["boom"]()
    assert raised.frames_of(found.value)[-1] == "lib/inner.py:2 in boom"
    places = {
        "/srv/site-packages/acme/site-packages/p/a.py": "p/a.py",
        "C:\\Users\\ann\\agent.py": "agent.py",
        "/home/ann/agent.py": "agent.py",
    }
    assert {path: raised._place(path) for path in places} == places
    with pytest.raises(UsageError) as ours:
        raise UsageError("x")
    assert raised.frames_of(ours.value) == ()

    def endless() -> None:
        endless()

    with pytest.raises(RecursionError) as deep:
        endless()
    assert len(raised.frames_of(deep.value)) == 20
