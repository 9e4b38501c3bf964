"""The pages in a real browser, driven by hand of the test; skipped where there is none."""

from __future__ import annotations

import asyncio
import queue
import shutil
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.study.people import TOKEN, Server, served
from usersim_env import read_traces
from usersim_env.baselines import make_agent
from usersim_env.feedback.survey import QUESTIONS
from usersim_env.person.settings import StudySettings
from usersim_env.study.export import export_study
from usersim_env.users.browser import BrowserUser

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
QUIET = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync""".split()
SCREENS = Path("runs/screenshots")
"""Where the tests leave what they saw, to be looked at."""

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium: the page is not tried in a browser")


class Running:
    """A study that is served in another thread, so that the browser can be driven from this one."""

    def __init__(self, settings: StudySettings, agent: object) -> None:
        self._settings, self._agent = settings, agent
        self._loop = asyncio.new_event_loop()
        self._up, self._down = threading.Event(), asyncio.Event()
        self.server: Server
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        assert self._up.wait(30)

    async def _serve(self) -> None:
        async with served(self._settings, self._agent) as self.server:
            self._up.set()
            await self._down.wait()

    def call(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._down.set)
            self._thread.join(30)
            self._loop.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield found
        found.close()


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(agent: object = None, **changes: Any) -> Running:
        given: dict[str, Any] = {"domain": "mock", "out": tmp_path / "study", "tasks": ["mock/train/0"], "minutes": 5}
        clerk = make_agent("clerk:ask_again=0,wrong_argument=0")
        started.append(Running(StudySettings(**given | changes), agent if agent is not None else clerk))
        return started[-1]

    yield start
    for running in started:
        running.stop()


class Visit:
    """A page, with everything that it complained about."""

    def __init__(self, browser: Browser, origin: str, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.page: Page = self.context.new_page()
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.origin = origin
        self.page.goto(origin)

    def begin(self) -> Page:
        self.page.locator("#consent").check()
        self.page.locator("#start").click()
        expect(self.page.locator("#box")).to_be_enabled()
        return self.page

    def say(self, text: str, answers: int) -> None:
        """Sends a text and waits until the agent has answered so many times."""
        self.page.locator("#box").fill(text)
        self.page.locator("#send").click()
        expect(self.page.locator(".message.agent")).to_have_count(answers)

    def shot(self, name: str) -> None:
        SCREENS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENS / f"{name}.png", full_page=True)


def fill_survey(page: Page) -> None:
    for question in QUESTIONS:
        label = list(question.answers)[-1]
        page.locator(f'input[name="{question.field}"][value="{label}"]').check()
    page.locator("#submit-survey").click()


@pytest.mark.parametrize("device", ["desktop", "phone"])
def test_an_episode_by_hand(browser: Browser, study: Callable[..., Running], tmp_path: Path, device: str) -> None:
    """Consent, a talk with the clerk, a reload in the middle, the end, the survey, the code; then the trace."""
    screen = {"desktop": (1280, 800), "phone": (390, 844)}[device]
    dark = {"color_scheme": "dark"} if device == "phone" else {}
    running = study(redirect="https://pay.example/done")
    visit = Visit(browser, running.server.origin, viewport={"width": screen[0], "height": screen[1]}, **dark)
    page = visit.page
    expect(page.locator("#consent-text")).to_contain_text("AI system, not a person")
    visit.shot(f"{device}-welcome")
    page.locator("#start").click()
    expect(page.locator("#join-error")).not_to_be_empty()
    visit.begin()
    expect(page.locator("#instruction")).to_contain_text("Ada Okafor")
    visit.say("Hello! Please move my repair to tuesday. I am ada@mock.example", answers=1)
    visit.shot(f"{device}-chat")
    page.locator("#box").fill("a draft of an answer")
    page.reload()
    expect(page.locator(".message")).to_have_count(2)
    expect(page.locator("#box")).to_have_value("a draft of an answer")
    visit.say("Yes, please.", answers=2)
    page.locator("#end").click()
    page.locator("#confirm-yes").click()
    expect(page.locator("#survey")).to_be_visible()
    page.locator("#submit-survey").click()
    expect(page.locator("#survey-errors")).to_be_visible()
    visit.shot(f"{device}-survey")
    fill_survey(page)
    expect(page.locator("#code")).to_have_text(next(iter(running.server.study.records.values())).code)
    expect(page.locator("#redirect")).to_have_attribute("href", "https://pay.example/done")
    visit.shot(f"{device}-done")
    assert visit.errors == []
    assert all(url.startswith((visit.origin, visit.origin.replace("http", "ws", 1))) for url in visit.asked)
    visit.context.close()
    assert export_study(tmp_path / "study", tmp_path / "people.jsonl") == 1
    (trace,) = read_traces(tmp_path / "people.jsonl")
    assert (trace.reward, trace.user.kind, len(trace.survey or {})) == (1.0, "human", 8)
    assert trace.survey is not None and trace.survey["reuse"] == "Absolutely yes"


def test_the_page_comes_back_by_itself(browser: Browser, study: Callable[..., Running]) -> None:
    """The socket is cut; the page connects again, and what was written meanwhile arrives once."""
    running = study()
    visit = Visit(browser, running.server.origin)
    visit.begin()
    visit.say("Hello! I am ada@mock.example, please move my repair to tuesday", answers=1)
    (live,) = running.server.study.live.values()
    (connection,) = live.session.connections
    visit.page.locator("#box").fill("yes")
    running.call(connection._socket.close(1012))  # type: ignore[attr-defined]
    visit.page.locator("#send").click()
    expect(visit.page.locator(".message.agent")).to_have_count(2)
    assert [m.content for m in live.conversation.messages if m.role == "user"][1:] == ["yes"]
    visit.context.close()


def test_two_tabs_and_difficult_texts(browser: Browser, study: Callable[..., Running]) -> None:
    said = ["<script>alert(1)</script> & <b>bold</b>", "שלום, מה שלומך? 😀", "x" * 4000]

    async def echo(messages: Any, info: Any) -> dict[str, Any]:
        return {"name": "respond", "arguments": {"content": messages[-1]["content"]}}

    running = study(echo)
    visit = Visit(browser, running.server.origin, viewport={"width": 390, "height": 844})
    page = visit.begin()
    for number, text in enumerate(said, 1):
        visit.say(text, answers=number)
    for number, text in enumerate(said):
        assert page.locator(".message.agent").nth(number).inner_text().endswith(text)
    assert page.locator(".message script, .message b").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    visit.shot("phone-difficult-texts")
    other = visit.context.new_page()
    other.goto(page.url)
    expect(other.locator(".message")).to_have_count(6)
    other.locator("#box").fill("from the other tab")
    other.locator("#send").click()
    expect(page.locator(".message")).to_have_count(8)
    assert len(next(iter(running.server.study.live.values())).conversation.messages) == 8
    visit.context.close()


def test_leaving(browser: Browser, study: Callable[..., Running]) -> None:
    running = study()
    visit = Visit(browser, running.server.origin)
    page = visit.begin()
    visit.say("Hello there", answers=1)
    page.locator("#leave").click()
    expect(page.locator("#confirm-text")).to_contain_text("is deleted")
    page.locator("#confirm-yes").click()
    expect(page.locator("#ending-text")).to_contain_text("left the study")
    assert [s.state for s in running.server.study.sittings()] == ["withdrawn"]
    visit.context.close()


def test_the_admin_page(browser: Browser, study: Callable[..., Running]) -> None:
    running = study()
    person = Visit(browser, running.server.origin)
    person.begin()
    person.say("Hello! I am ada@mock.example", answers=1)
    visit = Visit(browser, f"{running.server.origin}/admin#token={TOKEN}", viewport={"width": 1280, "height": 900})
    page = visit.page
    expect(page.locator("body")).to_contain_text("mock/train/0")
    assert "token" not in page.url
    visit.shot("admin")
    assert visit.errors == []
    visit.context.close()
    stranger = Visit(browser, f"{running.server.origin}/admin")
    expect(stranger.page.locator("input")).to_be_visible()
    assert "mock/train/0" not in stranger.page.content()
    stranger.context.close()
    person.context.close()


LISTED = """I found **two** flights for you:

| flight | leaves | price |
| --- | --- | --- |
| HAT012 | 07:15 | $120 |
| HAT205 | 13:40 | $95 |

1. Reply with the *number* of the one that you want.
2. Then I book it: `book HAT012`. See [our rules](https://example.org/rules).
"""


async def lists(messages: Any, info: Any) -> dict[str, Any]:
    return {"name": "respond", "arguments": {"content": LISTED}}


def test_an_agent_that_writes_markdown(browser: Browser, study: Callable[..., Running], tmp_path: Path) -> None:
    running = study(lists)
    visit = Visit(browser, running.server.origin)
    visit.begin()
    visit.say("**Hello**, a flight please", answers=1)
    message = visit.page.locator(".message.agent")
    expect(message.locator("td")).to_have_count(6)
    expect(message.locator("li")).to_have_count(2)
    expect(message).to_contain_text("our rules (https://example.org/rules)")
    assert message.locator("a, img, script").count() == 0
    expect(visit.page.locator(".message.user")).to_have_text("**Hello**, a flight please")
    visit.shot("markdown")
    assert visit.errors == []
    visit.context.close()
    typed = study(lists, markdown=False, out=tmp_path / "typed")
    visit = Visit(browser, typed.server.origin)
    visit.begin()
    visit.say("Hello", answers=1)
    expect(visit.page.locator(".message.agent")).to_contain_text("| HAT012 | 07:15 | $120 |")
    visit.context.close()


def test_the_page_of_an_env_shows_one_conversation_after_another(browser: Browser) -> None:
    """One tab for the env's life; the person asks for the next conversation, and nothing of the last one is left."""
    addresses: queue.Queue[str] = queue.Queue()
    env = gym.make("TauMock-v0", user=BrowserUser(announce=lambda text: addresses.put(text.split()[-1]), open=None))
    answer = {"name": "respond", "arguments": {"content": "It is **done**. Anything else?"}}

    def play() -> None:
        for seed in range(2):
            env.reset(seed=seed, options={"task_id": f"mock/train/{seed}"})
            while not env.step(answer)[2]:
                pass
        env.close()

    playing = threading.Thread(target=play)
    playing.start()
    visit = Visit(browser, addresses.get(timeout=30))
    page = visit.page
    expect(page.locator("#rules")).to_contain_text("Say things in your own words")
    for number in range(2):
        expect(page.locator("#box")).to_be_enabled()
        expect(page.locator(".message")).to_have_count(0)
        visit.say(f"Hello {number}", answers=1)
        page.locator("#end").click()
        page.locator("#confirm-yes").click()
        fill_survey(page)
        expect(page.locator("#ending-text")).to_have_text("Your answers have been recorded.")
        if number == 0:
            expect(page.locator("#next")).to_be_visible()
            visit.shot("next-conversation")
            page.locator("#next").click()
    playing.join(20)
    expect(page.locator("#may-close")).to_have_text("You may close this page now.")
    assert not playing.is_alive() and addresses.empty()
    assert [error for error in visit.errors if "ERR_CONNECTION_REFUSED" not in error] == []
    visit.context.close()
