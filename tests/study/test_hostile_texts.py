"""Hostile texts, and what an address gives away: markup stays text, and nobody receives what is not theirs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.study.attack import attack, good_action, http, prolific, raw, reply, sitting_of, study
from tests.study.people import ANSWERS, TOKEN, Person, Server, served
from usersim_env.domains import Task, get_task
from usersim_env.person.words import consent_html, rules_html
from usersim_env.study.agents import Transcript

SCRIPTS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "</textarea><iframe src=//evil.example>",
    "[click](javascript:alert(1)) ![x](//evil.example/x.png)",
    "<a href='javascript:alert(1)'>x</a> <https://evil.example>",
    "# heading\n\n* item **bold** `code` | table |\n\n---",
    "&lt;b&gt; &#x3c;script&#x3e; \\<b\\>",
    "{{7*7}} ${7*7} <%= 7 %> =cmd|'/c calc'!A1",
    "\u202eright to left\u202c \u0007\u001b[31mred\u001b[0m \u0000 \u2028 \ufeff",
)
PLAIN = set("p ul ol li strong em code pre hr br h1 h2 h3 h4 blockquote table thead tbody tr th td".split())


class Markup(HTMLParser):
    """Finds what must not be in a text of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        harmless = all(
            (tag, name) == ("a", "href") and (value or "").startswith(("https:", "http:", "mailto:", "//"))
            for name, value in attrs
        )
        if tag not in PLAIN | {"a"} or not harmless:
            self.bad.append(f"{tag} {attrs}")

    def handle_comment(self, data: str) -> None:
        self.bad.append(f"comment {data}")

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(html: str) -> Markup:
    markup = Markup()
    markup.feed(html)
    markup.close()
    return markup


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_facts_of_the_consent_are_text(tmp_path: Path, script: str) -> None:
    found = parsed(consent_html(study(tmp_path, provider=script, licence=script)))
    assert found.bad == []
    words = " ".join(script.replace("\0", "\ufffd").split())
    assert " ".join(found.text.split()).count(words) == 2


def test_markdown_of_the_owner_makes_no_script(tmp_path: Path) -> None:
    path = tmp_path / "words.md"
    path.write_text("\n\n".join(SCRIPTS), encoding="utf-8")
    settings = study(tmp_path, consent=path, rules=path)
    for html in (consent_html(settings), rules_html(settings.rules)):
        assert parsed(html).bad == []
        assert "<script" not in html and "<img" not in html


def test_markup_is_found_where_there_is_some() -> None:
    for html in ("<script>", "<p onclick=x>", "<a href='javascript:x'>", "<img src=x>", "<!-- x -->", "<p style=x>"):
        assert parsed(html).bad


def test_scripts_in_every_field_stay_text(tmp_path: Path) -> None:
    title = SCRIPTS[0]
    right = {"authorization": f"Bearer {TOKEN}"}

    async def scenario(server: Server) -> None:
        for script in SCRIPTS:
            person = await server.person(**prolific("x"), note=script)
            await person.open()
            assert person.hello["title"] == title
            assert (await person.say(script))["type"] == "ack"
            await person.until("you")
            await person.move("stop", text=script)
            bad = await person.move("survey", answers=ANSWERS | {"overall_score": script})
            assert (bad["type"], bad["code"]) == ("refused", "bad_frame") and script not in bad["text"]
            extra = await person.move("survey", answers=ANSWERS | {script: "1 (Very poor)"})
            assert (extra["type"], extra["code"]) == ("refused", "bad_frame")
            await person.fill_survey()
            await person.until("done")
            said = [m["text"] for m in person.messages if m["role"] == "user"]
            assert said == [script.strip(), script.strip()], "as it was said, and as a value of JSON"
            row = f"/admin/api/sessions/{sitting_of(person.address)}"
            status, content, headers = await server.ask(row, **right)
            assert status == 200 and headers["content-type"] == "application/json"
            assert [e["text"] for e in content["events"] if e["who"] == "user"] == said
            await person.close()
        status, content, headers = await server.ask("/admin/api/overview", **right)
        assert status == 200 and content["study"]["title"] == title
        assert headers["content-type"] == "application/json" and headers["x-content-type-options"] == "nosniff"
        status, content, headers = await server.ask("/admin/api/export", **right)
        assert (
            headers["content-type"].startswith("application/x-ndjson")
            and "attachment" in headers["content-disposition"]
        )
        # One line a trace, whatever separators a text holds.
        traces = [json.loads(line) for line in content.rstrip("\n").split("\n")]
        assert len(traces) == len(SCRIPTS)
        for script, trace in zip(SCRIPTS, traces, strict=True):
            assert trace["events"][0]["content"] == script.strip()

    attack(scenario, study(tmp_path, title=title))


def test_query_ids_are_ids(tmp_path: Path) -> None:
    strange: list[Any] = [*SCRIPTS, "", " ", "a" * 101, "a b", "é", "١", "a\n", None, 7, ["a"], {"a": "b"}, True]

    async def run() -> None:
        async with served(study(tmp_path, participants_from="prolific"), good_agent) as server:
            for value in strange:
                for name in prolific("x"):
                    query = prolific("x") | {name: value}
                    status, content, _ = await server.ask(
                        "/join", {"query": query, "consent": True}, origin=server.origin
                    )
                    assert status == 409 and content == {
                        "error": "This link is not complete. Please open the study from your Prolific page again."
                    }
            found = await raw(server, http("GET", "/welcome?PROLIFIC_PID=%3Cscript%3E&STUDY_ID=a&SESSION_ID=b"))
            assert found.check(200).headers["content-type"] == "application/json" and b"<script" not in found.body
            assert server.study.records == {}

    asyncio.run(run())


async def good_agent(messages: Transcript, info: Mapping[str, Any]) -> dict[str, Any]:
    return good_action(messages, info)


# Nothing that is not theirs


class Listener:
    """Everything that a participant's address returns, as bytes."""

    def __init__(self, server: Server, person: Person) -> None:
        self.server, self.person = server, person
        self.heard: list[str] = []

    async def open(self) -> None:
        await self.person.open()
        read = self.person.read

        async def listening() -> dict[str, Any]:
            frame = await read()
            self.heard.append(json.dumps(frame, ensure_ascii=False))
            return frame

        self.person.read = listening  # type: ignore[method-assign]
        self.heard += [json.dumps(self.person.hello, ensure_ascii=False), json.dumps(self.person.state)]

    async def everywhere(self) -> None:
        """Asks for whatever there may be beside the page."""
        address = self.person.address
        places = ["", "/status", "/events", "/trace", "/export", "/admin", "/../admin/api/overview", "/ws", "?admin=1"]
        paths = [address + place for place in places]
        paths += ["/", "/welcome", "/health", "/admin", "/admin/api/overview", "/admin/api/export"]
        paths += [f"/admin/api/sessions/{sitting_of(address)}", "/join", "/openapi.json", "/docs", "/favicon.ico"]
        for path in paths:
            found = await raw(self.server, http("GET", path, f"Authorization: Bearer {address[3:]}"))
            self.heard.append(found.received.decode("utf-8", "replace"))

    def found(self, secrets: set[str]) -> set[str]:
        text = "\n".join(self.heard).lower()
        return {secret for secret in secrets if secret.lower() in text}


def gold_of(task: Task) -> set[str]:
    """What the scoring expects, as far as the instruction does not say it."""
    values = [str(v) for call in task.expected_calls for v in (call.name, *call.arguments.values())]
    found = {value for value in (*values, *task.required_outputs) if len(value) >= 5}
    return {value for value in found if value.lower() not in task.instruction.lower()}


def secrets_of(server: Server, mine: Person, others: list[Person]) -> set[str]:
    study = server.study
    found = gold_of(get_task(study.records[sitting_of(mine.address)].task))
    for other in others:
        record = study.records[sitting_of(other.address)]
        found |= {record.id, record.person, record.code, other.address.split(".")[1], record.task}
        found |= {"canary-words-of-somebody-else", get_task(record.task).instruction[30:70]}
    own = study.records[sitting_of(mine.address)]
    admin = {own.person, own.task, TOKEN, study.store.secret.hex(), "expected_calls", "T-1004", "median_minutes"}
    return found | admin | {str(study.settings.folder), "Traceback", "usersim_env"}


LEAKING = "say the canary"


async def leaky_agent(messages: Transcript, info: Mapping[str, Any]) -> dict[str, Any]:
    if any(LEAKING in message.get("content", "") for message in messages if message["role"] == "user"):
        return reply("Your reference is canary-0815-summary.")
    if not any(message["role"] == "tool" for message in messages):
        return {"name": "find_ticket", "arguments": {"email": "cy@mock.example"}}  # its result holds T-1004
    return reply("Thank you.")


async def whole_episode(server: Server, words: str) -> tuple[Listener, set[str]]:
    """Two people, one after the other's first words; everything that the second one's address returned."""
    other, mine = await server.person(**prolific("other")), await server.person(**prolific("mine"))
    await other.open()
    await other.say("canary-words-of-somebody-else")
    await other.until("you")
    secrets = secrets_of(server, mine, [other])
    listener = Listener(server, mine)
    await listener.open()
    for text in (words, "And?", "Thanks."):
        await mine.say(text)
        await listener.everywhere()
        await mine.until("you")
    await mine.send("{")
    await mine.move("stop", text="")
    await mine.fill_survey()
    await mine.until("done")
    await mine.close()
    await listener.open()
    await listener.everywhere()
    for person in (mine, other):
        await person.close()
    return listener, secrets


@pytest.mark.parametrize(("words", "leaks"), [("Hello.", set()), (LEAKING, {"canary-0815-summary"})])
def test_an_address_returns_nothing_that_is_not_its_persons(tmp_path: Path, words: str, leaks: set[str]) -> None:
    """The task's own gold, tool results, other people, the admin's data; a planted leak is found."""

    async def run() -> None:
        async with served(study(tmp_path, tasks=("mock/test/3",)), leaky_agent) as server:
            listener, secrets = await whole_episode(server, words)
            assert "canary-0815-summary" in secrets and len(secrets) > 10
            # The same task for both: its instruction is no secret here.
            own = get_task("mock/test/3").instruction[30:70]
            assert listener.found(secrets - {own}) == leaks

    asyncio.run(run())


def test_an_address_shows_no_other_task(tmp_path: Path) -> None:
    async def run() -> None:
        async with served(study(tmp_path, tasks=("mock/test/3", "mock/train/0"), per_task=1), leaky_agent) as server:
            listener, secrets = await whole_episode(server, "Hello.")
            assert listener.found(secrets) == set()

    asyncio.run(run())
