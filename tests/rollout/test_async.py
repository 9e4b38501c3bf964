"""Many episodes at once: the same traces as one by one, at once indeed, and what is left when it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from usersim_env import Failure, Say, ScriptedUser, Stop, Survey, Trace, User, UserSession, read_traces
from usersim_env.agent import Action, Observation
from usersim_env.baselines.clerk import Clerk
from usersim_env.baselines.silent import Silent
from usersim_env.env.threads import Threads
from usersim_env.errors import Abandoned, UnknownName, UsageError, UserSideError, UsersimError
from usersim_env.rollouts import RolloutResult, RolloutSettings, rollout, rollout_async, rollout_stream
from usersim_env.users.agenda import AgendaUser

TASKS = [f"mock/test/{i}" for i in range(4)]
USER = ScriptedUser(("hi", "yes"), answers={"reuse": "Maybe"})
NO = {"name": "respond", "arguments": {"content": "no"}}
Strip = Callable[[Iterable[Trace]], list[Trace]]


def settings(
    out: Path | None = None, tasks: Any = TASKS, seeds: Any = (0, 1), user: User = USER, **more: Any
) -> RolloutSettings:
    return RolloutSettings(tasks, seeds, out, {"user": user, **more}, progress=False)


def at_once(agent: Any, wanted: RolloutSettings, concurrency: int = 256, env: Any = "TauMock-v0") -> RolloutResult:
    return asyncio.run(rollout_async(agent, env, wanted, concurrency))


@dataclasses.dataclass(frozen=True)
class Moves:
    """Gives what it was told to, each time; an exception is raised."""

    move: Any = dataclasses.field(default_factory=lambda: NO)
    name: str = "moves"
    privileged: bool = False

    def begin(self, info: Mapping[str, Any], seed: int) -> Any:
        return self

    def describe(self) -> dict[str, Any]:
        return {}

    def act(self, observation: Observation) -> Action:
        if isinstance(self.move, Exception):
            raise self.move
        moved: Action = self.move
        return moved


# -- the same as one by one --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("persona", ["cooperative", "humanlike"])
@pytest.mark.parametrize("domain", ["Mock", "Retail", "Airline"])
def test_the_same_traces_as_one_by_one(domain: str, persona: str, timeless: Strip) -> None:
    tasks = [f"{domain.lower()}/test/{i}" for i in (0, 1, 2, 3)]
    wanted = RolloutSettings(tasks, (0, 5), None, {"persona": persona}, progress=False)
    expected = rollout(Clerk(), f"Tau{domain}-agenda-v0", wanted)
    for concurrency in (1, 3, 256):
        found = at_once(Clerk(), wanted, concurrency, f"Tau{domain}-agenda-v0")
        assert timeless(found.traces) == timeless(expected.traces)
    assert sum(len(t.events) for t in expected.traces) > 50


USERS = [Abandoned("left"), RuntimeError("broken"), StopIteration(), None, "Hello", Say(3), Stop(b"x"), Stop()]  # type: ignore[arg-type]


class Odd(User):
    """Gives or raises something odd at one point."""

    kind = "scripted"

    def __init__(self, at: str, came: Any) -> None:
        self.at, self.came = at, came

    def begin(self, scene: Any) -> UserSession:
        if self.at == "begin":
            return self.give()  # type: ignore[no-any-return]
        return OddSession(self)

    def give(self) -> Any:
        if isinstance(self.came, Exception):
            raise self.came
        return self.came


class OddSession(UserSession):
    def __init__(self, user: Odd) -> None:
        self._user = user

    def open(self, scene: Any) -> Say | Stop:
        turn: Say | Stop = self._user.give() if self._user.at == "open" else Say("Hi")
        return turn

    def reply(self, scene: Any) -> Say | Stop:
        turn: Say | Stop = self._user.give() if self._user.at == "reply" else Stop("Bye.")
        return turn

    def fill_survey(self, scene: Any) -> Survey | None:
        survey: Survey | None = self._user.give() if self._user.at == "survey" else None
        return survey


@pytest.mark.parametrize("came", USERS, ids=repr)
@pytest.mark.parametrize("at", ["begin", "open", "reply", "survey"])
def test_a_user_side_that_fails_fails_in_the_same_way(at: str, came: Any, timeless: Strip) -> None:
    wanted = settings(user=Odd(at, came))
    expected = rollout(Moves(), "TauMock-v0", wanted)
    assert bool(expected.failed) is (at != "survey" and not (at == "reply" and came == Stop()))
    assert timeless(at_once(Moves(), wanted).traces) == timeless(expected.traces)


MOVES = [ValueError("boom"), StopIteration(), UserSideError("x", "outage"), "hello", {"name": "respond"}, None, 3]


@pytest.mark.parametrize("move", MOVES, ids=repr)
def test_an_agent_that_fails_fails_in_the_same_way(move: Any, timeless: Strip) -> None:
    expected = rollout(Moves(move), "TauMock-v0", settings())
    assert expected.failed and not expected.scored
    assert timeless(at_once(Moves(move), settings()).traces) == timeless(expected.traces)


def test_the_limit_and_the_survey_are_those_of_the_env(timeless: Strip) -> None:
    for more in ({"max_steps": 2}, {"survey": False}):
        wanted = settings(user=ScriptedUser(("hi",), repeat=True), max_steps=5, **{} if "max_steps" in more else more)
        assert timeless(at_once(Silent(), wanted).traces) == timeless(rollout(Silent(), "TauMock-v0", wanted).traces)


# -- at once -----------------------------------------------------------------------------------------------------------


class Together:
    """An agent whose first move waits until so many of them wait."""

    name, privileged = "together", False

    def __init__(self, many: int) -> None:
        self.many, self.waiting, self.most, self.all = many, 0, 0, asyncio.Event()

    def begin(self, info: Mapping[str, Any], seed: int) -> Any:
        return self

    def describe(self) -> dict[str, Any]:
        return {}

    async def aact(self, observation: Observation) -> Action:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        if self.waiting == self.many:
            self.all.set()
        await self.all.wait()
        self.waiting -= 1
        return dict(NO)


def test_two_hundred_episodes_wait_at_once_on_one_thread() -> None:
    async def run() -> tuple[Together, RolloutResult, int]:
        agent, before = Together(200), threading.active_count()
        result = await asyncio.wait_for(rollout_async(agent, "TauMock-v0", settings(seeds=range(60)), 200), 60)
        return agent, result, threading.active_count() - before

    agent, result, threads = asyncio.run(run())
    assert len(result.scored) == 240 and threads == 0
    assert agent.most == 200, "as many as allowed, and no more"


def test_results_in_order_or_as_they_come() -> None:
    class Late(Moves):
        """The earlier the task, the longer it takes."""

        def begin(self, info: Mapping[str, Any], seed: int) -> Any:
            return LateSession(3 - int(info["task_id"][-1]))

    class LateSession:
        def __init__(self, rounds: int) -> None:
            self.rounds = rounds

        async def aact(self, observation: Observation) -> Action:
            for _ in range(20 * self.rounds):
                await asyncio.sleep(0)
            return dict(NO)

    async def run(ordered: bool) -> list[str]:
        traces = rollout_stream(Late(), "TauMock-v0", settings(seeds=[0]), ordered=ordered)
        return [trace.task_id async for trace in traces]

    assert asyncio.run(run(True)) == TASKS
    assert asyncio.run(run(False)) == TASKS[::-1]
    assert [t.task_id for t in at_once(Late(), settings(seeds=[0])).traces] == TASKS


def test_finished_episodes_are_not_repeated_and_come_first(tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"
    rollout(Moves(), "TauMock-v0", settings(out, TASKS[2:], [0]))
    result = at_once(Moves(), settings(out, seeds=[0]))
    assert result.resumed == 2 and [t.task_id for t in result.traces] == TASKS
    assert at_once(Moves(), settings(out, seeds=[0])).resumed == 4
    assert len(out.read_bytes().splitlines()) == 4

    async def stream(ordered: bool) -> list[tuple[str, int]]:
        traces = rollout_stream(Moves(), "TauMock-v0", settings(out), ordered=ordered)
        return [(trace.task_id, trace.seed) async for trace in traces]

    assert asyncio.run(stream(False))[:4] == [(task, 0) for task in TASKS]
    assert asyncio.run(stream(True)) == [(task, seed) for task in TASKS for seed in (0, 1)]


def test_several_envs_share_tasks_out() -> None:
    envs = ["TauMock-agenda-v0", "TauRetail-agenda-v0"]
    wanted = RolloutSettings(["retail/test/0", "mock/test/1", "retail/test/3"], progress=False)
    found = asyncio.run(rollout_async(Clerk(), envs, wanted)).traces
    assert [t.task_id for t in found] == ["mock/test/1", "retail/test/0", "retail/test/3"]
    with pytest.raises(UnknownName, match="Unknown task 'airline/test/0'"):
        asyncio.run(rollout_async(Clerk(), envs, dataclasses.replace(wanted, tasks=["airline/test/0"])))


# -- seats that block --------------------------------------------------------------------------------------------------


class Blocking(ScriptedUser):
    """Waits in its plain methods; counts how many of them wait at once, and where."""

    blocking: ClassVar[bool] = True
    seen: ClassVar[Counter[str]] = Counter()
    lock: ClassVar[threading.Lock] = threading.Lock()

    def begin(self, scene: Any) -> UserSession:
        session: Any = super().begin(scene)
        plain = session.reply

        def reply(scene: Any) -> Say | Stop:
            with self.lock:
                self.seen["now"] += 1
                self.seen["most"] = max(self.seen["most"], self.seen["now"])
                self.seen["loop"] += threading.current_thread() is threading.main_thread()
            threading.Event().wait(0.005)
            with self.lock:
                self.seen["now"] -= 1
            turn: Say | Stop = plain(scene)
            return turn

        session.reply = reply
        found: UserSession = session
        return found


def test_a_user_side_that_blocks_waits_in_at_most_32_threads(timeless: Strip) -> None:
    wanted = settings(user=Blocking(("hi", "yes")), seeds=range(25))
    Blocking.seen.clear()
    found = at_once(Silent(), wanted)
    assert 1 < Blocking.seen["most"] <= 32 and Blocking.seen["loop"] == 0
    assert timeless(found.traces) == timeless(rollout(Silent(), "TauMock-v0", wanted).traces)


def test_an_agent_that_blocks_is_called_in_a_thread(timeless: Strip) -> None:
    threads: set[str] = set()

    class Waits(Moves):
        blocking = True

        def act(self, observation: Observation) -> Action:
            threads.add(threading.current_thread().name)
            return super().act(observation)

    assert timeless(at_once(Waits(), settings()).traces) == timeless(rollout(Moves(), "TauMock-v0", settings()).traces)
    assert "blocking-seat" in threads and "MainThread" not in threads
    assert at_once(Waits(ValueError("boom")), settings()).traces[0].failure == Failure(
        "agent", "error", "ValueError: boom"
    )


def test_a_call_that_is_not_waited_for_keeps_its_place() -> None:
    async def run() -> None:
        threads, go = Threads(1), threading.Event()
        first = asyncio.create_task(threads.run(go.wait))
        await asyncio.sleep(0.01)
        first.cancel()
        second = asyncio.create_task(threads.run(lambda: 2))
        await asyncio.sleep(0.01)
        assert first.cancelled() and not second.done()
        go.set()
        assert await second == 2

    asyncio.run(run())
    with pytest.raises(UsageError, match="at_most is a whole number of at least 1, got 0"):
        Threads(0)


# -- the end -----------------------------------------------------------------------------------------------------------


class Counted(ScriptedUser):
    """Counts sessions that are open."""

    open_now: ClassVar[list[int]] = [0, 0]

    def begin(self, scene: Any) -> UserSession:
        session: Any = super().begin(scene)
        self.open_now[0] += 1
        self.open_now[1] += 1

        def close() -> None:
            self.open_now[0] -= 1

        session.close = close
        found: UserSession = session
        return found


class Hangs(Moves):
    """Never gives a second move on the last task."""

    def begin(self, info: Mapping[str, Any], seed: int) -> Any:
        return HangsSession(info["task_id"] == TASKS[-1])


class HangsSession:
    def __init__(self, hangs: bool) -> None:
        self._hangs = hangs

    async def aact(self, observation: Observation) -> Action:
        if self._hangs:
            await asyncio.Event().wait()
        return dict(NO)


def test_cancelled_it_leaves_no_task_and_no_session_and_keeps_what_has_finished(tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"
    Counted.open_now[:] = [0, 0]
    wanted = settings(out, seeds=range(5), user=Counted(("hi",)))

    async def run() -> set[Any]:
        running = asyncio.create_task(rollout_async(Hangs(), "TauMock-v0", wanted))
        while not out.exists() or out.read_bytes().count(b"\n") < 15:
            await asyncio.sleep(0.005)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(run()) == set()
    assert Counted.open_now == [0, 20]
    assert sorted({t.task_id for t in read_traces(out)}) == TASKS[:3]
    assert at_once(Moves(name="moves"), dataclasses.replace(wanted, tasks=TASKS[:3])).resumed == 15


def test_a_stream_that_is_left_ends_its_episodes() -> None:
    Counted.open_now[:] = [0, 0]

    async def run() -> None:
        traces = rollout_stream(Hangs(), "TauMock-v0", settings(user=Counted(("hi",))))
        async with contextlib.aclosing(traces):
            await anext(traces)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())
    assert Counted.open_now == [0, 8]


def test_a_fault_that_is_nobodys_ends_the_rollout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(self: Any, trace: Trace) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("usersim_env.traces.file.TraceWriter.write", write)
    with pytest.raises(OSError, match="disk full"):
        at_once(Moves(), settings(tmp_path / "t.jsonl"))


def test_a_seat_that_cancels_itself_is_an_error_and_no_endless_wait() -> None:
    class Cancels(Moves):
        async def aact(self, observation: Observation) -> Action:
            raise asyncio.CancelledError

    with pytest.raises(UsersimError, match=r"a seat raised asyncio\.CancelledError"):
        at_once(Cancels(), settings())


@pytest.mark.parametrize("concurrency", [0, -1, 2.5, "8", True])
def test_senseless_concurrency(concurrency: Any) -> None:
    with pytest.raises(UsageError, match="concurrency is a whole number of at least 1, got"):
        at_once(Moves(), settings(), concurrency)


def test_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"here RolloutSettings\(out=…\) names the file"):
        at_once(Moves(), settings(record=tmp_path / "t.jsonl"))


def test_unknown_task_is_found_before_the_first_episode(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Unknown task 'mock/test/99'"):
        at_once(Moves(), settings(tmp_path / "t.jsonl", [TASKS[0], "mock/test/99"]))
    assert not (tmp_path / "t.jsonl").exists()


INTERRUPTED = """
import asyncio, signal, sys
from usersim_env.baselines.silent import Silent, _SilentSession
from usersim_env.cli import main
from usersim_env.commands import rollout

class Slow(_SilentSession):
    async def aact(self, observation):
        await asyncio.sleep(0.02)
        return self.act(observation)

Silent.begin = lambda self, info, seed: Slow()
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
words = "rollout --env TauMock-agenda-v0 --agent silent --episodes 200 --max-steps 6 --concurrency 8 --out".split()
sys.exit(main([*words, sys.argv[1]]))
"""


def test_ctrl_c_ends_cleanly_and_the_next_run_goes_on(tmp_path: Path, timeless: Strip) -> None:
    out = tmp_path / "t.jsonl"
    command = [sys.executable, "-c", INTERRUPTED, str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and (not out.exists() or out.read_bytes().count(b"\n") < 20):
            threading.Event().wait(0.01)
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted; finished episodes are on disk" in err and "Traceback" not in err
    assert out.read_bytes().endswith(b"\n")
    kept = read_traces(out)
    assert 20 <= len(kept) < 800 and all(t.valid for t in kept)
    wanted = RolloutSettings(None, range(200), out, {"max_steps": 6, "user": AgendaUser()}, progress=False)
    result = at_once(Silent(), wanted, env="TauMock-v0")
    assert result.resumed == len(kept) and len(result.traces) == 800
    assert len(out.read_bytes().splitlines()) == 800
    again = rollout(Silent(), "TauMock-v0", dataclasses.replace(wanted, out=None))
    assert timeless(result.traces) == timeless(again.traces)
