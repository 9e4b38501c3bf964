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
from usersim_env.person.words import rules_html
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
def made(
    script: Script, others: int = 0, settings: dict[str, Any] | None = None
) -> Iterator[tuple[gym.Env[Any, Any], Sitter]]:
    sitter = Sitter(script)
    env = gym.make(
        "TauMock-v0", user=BrowserUser(announce=sitter.announce, open=None, **{"turn_timeout": 30.0} | (settings or {}))
    )
    try:
        yield env, sitter
    finally:
        env.close()
        sitter.rest()
    names = [t.name for t in threading.enumerate() if "usersim" in t.name or "AnyIO" in t.name]
    assert len(names) == others, names
    for address in sitter.addresses:
        parts = urlsplit(address)
        with socket.create_server((parts.hostname or "", parts.port or 0)):
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
    with made(whole) as (env, _):
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


async def several(person: Person, count: int) -> list[dict[str, Any]]:
    """As many conversations as there are, in one tab; the state of each at its end, and when the next one began."""
    ends = []
    for number in range(count):
        await whole(person)
        if number < count - 1:
            while (person.state["ending"] or {}).get("next") != "now":
                await person.read()
        ends.append(person.state["ending"])
        await person.close()
    return ends


def test_one_address_and_one_tab_for_every_episode_of_an_env() -> None:
    ends: list[dict[str, Any]] = []

    async def script(person: Person) -> None:
        ends.extend(await several(person, 3))

    with made(script) as (env, sitter):
        for seed in range(3):
            observation, info = env.reset(seed=seed, options=TASK)
            assert info["valid"] and observation["content"].startswith("Please move")
            env.step(MOVE)
            assert env.step(HELLO)[2]
        assert len(sitter.addresses) == 1
    assert [end["next"] for end in ends] == ["now", "now", "later"]


def test_who_waits_for_another_conversation_is_told_that_there_is_none() -> None:
    async def script(person: Person) -> None:
        await whole(person)
        assert person.state["ending"]["next"] == "later"
        while person.state["ending"]["next"] is not None:
            await person.read()

    with made(script) as (env, _):
        env.reset(seed=0, options=TASK)
        env.step(HELLO)


def test_the_page_is_that_of_a_study(tmp_path: Path) -> None:
    """The two kinds of human trace come from people who were told the same."""
    seen: list[str] = []

    async def script(person: Person) -> None:
        await person.open()
        seen.append(person.hello["rules"])
        await person.close()
        await whole(person)
        seen.extend(message.get("html", "as typed") for message in person.messages)

    agent = {"name": "respond", "arguments": {"content": "I can do:\n- **tuesday**\n- friday"}}
    own = tmp_path / "rules.md"
    own.write_text("Be *brief*.")
    for settings, rules, shown in (
        ({}, rules_html(), "<li><strong>tuesday</strong></li>"),
        ({"rules": own, "markdown": False}, "<p>Be <em>brief</em>.</p>\n", "as typed"),
    ):
        seen.clear()
        with made(script, settings=settings) as (env, _):
            env.reset(seed=0, options=TASK)
            env.step(agent)
        assert seen[0] == rules and shown in seen[2] and "Play the customer" in rules_html()


def test_the_page_of_who_did_not_answer_says_so() -> None:
    async def script(person: Person) -> None:
        await person.open()
        await person.until("closed")
        assert (
            person.state["ending"]["text"] == "There was no answer for 1 seconds, so this conversation has been closed."
        )

    with made(script, settings={"turn_timeout": 1.0}) as (env, _):
        assert not env.reset(seed=0, options=TASK)[1]["valid"]


def test_a_port_and_a_host_of_ones_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with gym.make("TauMock-human-v0", port=port, disable_env_checker=True) as env:
            failure = env.reset(seed=0)[1]["failure"]
            assert "Name another port (0 for a free one)" in failure.message
    with made(whole, settings={"host": "127.0.0.2", "port": port}) as (env, sitter):
        env.reset(seed=0, options=TASK)
        env.step(HELLO)
        assert sitter.addresses[0].startswith(f"http://127.0.0.2:{port}/s/")


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

    with made(nobody, settings={setting: 0.3}) as (env, _):
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
    with made(whole) as (one, first), made(whole, others=1) as (two, second):
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
        monkeypatch.setattr("usersim_env.person.session.PersonSession.settle", late)
    env = gym.make("TauMock-v0", user=BrowserUser(announce=announce, open=None))
    with pytest.raises(KeyboardInterrupt):
        env.reset(options=TASK)
    assert [t.name for t in threading.enumerate() if "usersim" in t.name] == []
    env.close()


def test_settings() -> None:
    user = BrowserUser(turn_timeout=5)
    assert pickle.loads(pickle.dumps(user)) == user
    assert (user.kind, user.name, user.blocking) == ("human", "browser", True)
    for wrong, message in (
        ({"turn_timeout": 0}, "turn_timeout is a number of seconds above 0, got 0"),
        ({"port": 99999}, "port is a whole number from 0"),
        ({"host": "0.0.0.0"}, "host is the address that the page is reached at"),
        ({"rules": "no/such.md"}, "rules is a Markdown file, and there is none at no/such.md"),
    ):
        with pytest.raises(UsageError, match=message):
            BrowserUser(**wrong)


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
    monkeypatch.setitem(sys.modules, "usersim_env.person.local", None)
    with gym.make("TauMock-human-v0", disable_env_checker=True) as env:
        _, info = env.reset(seed=0)
        assert "Type: pip install 'usersim_env[study]'" in info["failure"].message
