"""A person in the browser for an env that blocks; a scripted page sits there."""

from __future__ import annotations

import asyncio
import pickle
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gymnasium as gym
import pytest

from tests.study.people import Person, request
from usersim_env import TauEnv
from usersim_env.errors import UnknownName, UsageError
from usersim_env.users.browser import BrowserUser
from usersim_env.users.terminal import TerminalUser

TASK = {"task_id": "mock/train/0"}
HELLO = {"name": "respond", "arguments": {"content": "Hello! I move it to tuesday?"}}
MOVE = {"name": "move_ticket", "arguments": {"ticket_id": "T-1001", "day": "tuesday"}}
Script = Callable[[Person], Coroutine[Any, Any, None]]


class Sitter:
    """Sits at every page that is announced, in a thread of its own, and follows a script."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._threads: list[threading.Thread] = []
        self.addresses: list[str] = []
        self.errors: list[BaseException] = []

    def announce(self, text: str) -> None:
        address = text.removeprefix("The customer's page: ")
        self.addresses.append(address)
        thread = threading.Thread(target=self._sit, args=(address,))
        self._threads.append(thread)
        thread.start()

    def _sit(self, address: str) -> None:
        parts = urlsplit(address)
        person = Person(f"{parts.scheme}://{parts.netloc}", parts.path)
        try:
            asyncio.run(self._follow(person))
        except BaseException as error:
            self.errors.append(error)

    async def _follow(self, person: Person) -> None:
        try:
            await asyncio.wait_for(self._script(person), 20)
        finally:
            await person.close()

    def rest(self) -> None:
        for thread in self._threads:
            thread.join(20)
        assert not self.errors, self.errors


@contextmanager
def made(script: Script, **settings: Any) -> Iterator[tuple[gym.Env[Any, Any], Sitter]]:
    sitter = Sitter(script)
    env = gym.make(
        "TauMock-v0", user=BrowserUser(announce=sitter.announce, open=None, **{"turn_timeout": 30.0} | settings)
    )
    try:
        yield env, sitter
    finally:
        env.close()
        sitter.rest()
    assert [t.name for t in threading.enumerate() if "usersim" in t.name or "AnyIO" in t.name] == []
    for address in sitter.addresses:
        port = urlsplit(address).port
        assert port is not None
        with socket.create_server(("127.0.0.1", port)):
            pass


async def whole(person: Person) -> None:
    await person.open()
    assert person.hello["withdrawal"] is None
    await person.until("you")
    await person.say("Please move my repair to tuesday, ada@mock.example")
    await person.until("you")
    await person.say("/stop Thank you!")
    await person.until("survey")
    await person.fill_survey()
    await person.until("done")


def test_an_episode() -> None:
    with made(whole) as (env, sitter):
        observation, info = env.reset(seed=0, options=TASK)
        assert info["valid"] and observation["content"].startswith("Please move")
        env.step(MOVE)
        observation, reward, terminated, _, info = env.step(HELLO)
        assert (observation["content"], reward, terminated) == ("Thank you!", 1.0, True)
        assert len(info["feedback"].survey.answers) == 8
        assert isinstance(env.unwrapped, TauEnv)
        trace = env.unwrapped.trace()
        assert (trace.user.kind, trace.user.name, trace.terms.training) == ("human", "browser", False)
        assert len(trace.user.notes["seconds_per_turn"]) == 3
        # A second episode in the same env has a page of its own.
        env.reset(seed=1, options=TASK)
        env.step(HELLO)
        assert len(set(sitter.addresses)) == 2


def test_the_address_is_a_secret_and_on_this_machine_only() -> None:
    seen: list[tuple[int, Any]] = []

    async def script(person: Person) -> None:
        for path in ("/", "/s/guess/status", "/join", "/admin", "/admin/api/overview", "/welcome"):
            status, _, _ = await asyncio.to_thread(request, person.origin + path)
            seen.append((status, path))
        await whole(person)

    with made(script) as (env, sitter):
        env.reset(seed=0, options=TASK)
        env.step(HELLO)
    assert {status for status, _ in seen} == {404}
    assert sitter.addresses[0].startswith("http://127.0.0.1:")
    assert len(urlsplit(sitter.addresses[0]).path) > 40


@pytest.mark.parametrize("when", ["opening", "reply"])
def test_who_leaves_has_abandoned(when: str) -> None:
    async def script(person: Person) -> None:
        await person.open()
        if when == "reply":
            await person.until("you")
            await person.say("Hello there")
        await person.move("leave")
        assert person.phase == "closed"

    with made(script) as (env, _):
        _, info = env.reset(seed=0, options=TASK)
        *_, truncated, info = env.step(HELLO)
        assert truncated and not info["valid"]
        assert (info["failure"].kind, info["feedback"].reward) == ("abandoned", None)


@pytest.mark.parametrize("setting", ["turn_timeout", "session_timeout"])
def test_who_does_not_answer_has_abandoned(setting: str) -> None:
    async def nobody(person: Person) -> None:
        pass

    with made(nobody, **{setting: 0.3}) as (env, _):
        _, info = env.reset(seed=0, options=TASK)
        assert (info["valid"], info["failure"].kind) == (False, "abandoned")
        assert f"{setting}=0.3 s" in info["failure"].message
        env.step(HELLO)


def test_a_page_that_is_open_twice_and_reloaded_is_one_person() -> None:
    async def script(person: Person) -> None:
        await person.open()
        other = Person(person.origin, person.address)
        await other.open()
        await person.until("you")
        await person.say("Hello there")
        await other.until("you") if other.phase == "agent" else None
        assert (await other.move("say", text="Me too", seen=0))["code"] == "stale"
        await person.close()
        await person.open()
        await person.until("you")
        assert person.messages[0] == {"role": "user", "text": "Hello there"} and len(person.messages) == 2
        await person.say("/stop")
        await person.until("survey")
        await person.move("leave")
        await other.close()

    with made(script) as (env, _):
        env.reset(seed=0, options=TASK)
        *_, info = env.step(HELLO)
        assert info["valid"] and info["feedback"].survey is None, "leaving at the survey spoils nothing"


def test_closing_in_the_middle_frees_everything() -> None:
    async def script(person: Person) -> None:
        await person.open()
        await person.until("you")
        await person.say("Hello there")
        await person.until("closed")

    with made(script) as (env, _):
        env.reset(seed=0, options=TASK)
        env.close()


def test_two_envs_have_two_pages() -> None:
    with made(whole) as (one, first), made(whole) as (two, second):
        for env in (one, two):
            env.reset(seed=0, options=TASK)
        for env in (one, two):
            assert env.step(HELLO)[2]
        assert set(first.addresses).isdisjoint(second.addresses)


def test_ctrl_c_leaves_nothing_behind() -> None:
    script = """
        import signal, threading, gymnasium as gym, usersim_env
        from usersim_env.users.browser import BrowserUser
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
        say = lambda text: print(text, flush=True)
        env = gym.make("TauMock-v0", user=BrowserUser(announce=say, open=None))
        try:
            env.reset(seed=0)
        except KeyboardInterrupt:
            print([t.name for t in threading.enumerate()], flush=True)
            env.close()
            env.close()
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        process.send_signal(signal.SIGINT)
        assert process.stdout.read().strip() == "['MainThread']"
        assert process.wait(20) == 0
    with socket.create_server(("127.0.0.1", urlsplit(address).port or 0)):
        pass


@pytest.mark.parametrize("where", ["begin", "open"])
def test_ctrl_c_at_any_moment_is_ctrl_c_and_leaves_nothing_behind(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its owner has the session; and while it is asked, when the page's thread does not answer any more."""

    def interrupted(*args: Any, **keywords: Any) -> Any:
        raise KeyboardInterrupt

    def late(*args: Any, **keywords: Any) -> Any:
        raise TimeoutError

    announce = interrupted if where == "open" else lambda text: None
    if where == "begin":
        plain = BrowserUser.begin
        monkeypatch.setattr(BrowserUser, "begin", lambda self, scene: [plain(self, scene), interrupted()])
    else:
        monkeypatch.setattr("usersim_env.study.session.PersonSession.settle", late)
    env = gym.make("TauMock-v0", user=BrowserUser(announce=announce, open=None))
    with pytest.raises(KeyboardInterrupt):
        env.reset(options=TASK)
    assert [t.name for t in threading.enumerate() if "usersim" in t.name] == []
    env.close()


def test_settings() -> None:
    user = BrowserUser(turn_timeout=5)
    assert pickle.loads(pickle.dumps(user)) == user
    assert (user.kind, user.name, user.blocking) == ("human", "browser", True)
    with pytest.raises(UsageError, match="turn_timeout is a number of seconds above 0, got 0"):
        BrowserUser(turn_timeout=0)


def test_the_channel_of_the_human_ids() -> None:
    def user_of(**keywords: Any) -> object:
        env = gym.make("TauMock-human-v0", disable_env_checker=True, **keywords)
        assert isinstance(env.unwrapped, TauEnv)
        return env.unwrapped._user

    assert isinstance(user_of(), BrowserUser)
    assert isinstance(user_of(channel="terminal"), TerminalUser)
    assert user_of(turn_timeout=9.0) == BrowserUser(turn_timeout=9.0)
    with pytest.raises(UnknownName, match="Unknown channel 'telephone'"):
        user_of(channel="telephone")
    with pytest.raises(UsageError, match="turn_timeout: goes with channel='browser'"):
        user_of(channel="terminal", turn_timeout=9.0)
    with pytest.raises(UsageError, match="channel='browser' goes with TauMock-human-v0"):
        gym.make("TauMock-agenda-v0", channel="browser")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "usersim_env.study.local", None)
    with gym.make("TauMock-human-v0", disable_env_checker=True) as env:
        _, info = env.reset(seed=0)
        assert "Type: pip install 'usersim_env[study]'" in info["failure"].message
