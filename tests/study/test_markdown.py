"""What an agent's Markdown becomes on the page: structure, and nothing that does anything."""

from __future__ import annotations

import re

import pytest

from usersim_env.messages import Message
from usersim_env.person.markdown import message_html
from usersim_env.person.session import Brief, PersonSession


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**Yes**, it _is_.", "<p><strong>Yes</strong>, it <em>is</em>.</p>\n"),
        ("I can:\n1. go\n2. stay", "<p>I can:</p>\n<ol>\n<li>go</li>\n<li>stay</li>\n</ol>\n"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n"),
        ("Use `x < 1`", "<p>Use <code>x &lt; 1</code></p>\n"),
        ("```\nx\n```", "<pre><code>x\n</code></pre>\n"),
        ("[here](https://a.example/b)", "<p>here (https://a.example/b)</p>\n"),
        ("[https://a.example](https://a.example)", "<p>https://a.example</p>\n"),
        ("**a**\nb", "<p><strong>a</strong><br>\nb</p>\n"),
    ],
)
def test_structure_is_shown(text: str, html: str) -> None:
    assert message_html(text) == html


@pytest.mark.parametrize(
    "text",
    ["", "Hello!", "two\n\nparagraphs\nof words", "# 12 or #W123", "my_own_name", "&amp; <b>bold</b>", "> quoted",
     "    four spaces", "http://a.example", "x" * 20_001 + " **y**", "\ud800", "a | b"],
)  # fmt: skip
def test_plain_words_are_shown_as_they_were_typed(text: str) -> None:
    assert message_html(text) is None


HOSTILE = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "![x](https://a.example/x.png)",
    '[x](https://a.example "onmouseover=alert(1)")', "```<script>\nx\n```", "<a href='https://a.example'>x</a>", "<https://a.example>",
    "[x](data:text/html,<script>alert(1)</script>)", "[x]: javascript:alert(1)\n[x]",
    "`</code><script>`", "|<script>|\n|-|\n|x|",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_does_anything_comes_through(text: str) -> None:
    html = message_html(f"**seen**\n\n{text}\n") or ""
    tags = set(re.findall(r"<\s*/?\s*(\w+)", html))
    assert tags <= set("p strong em ul ol li code pre br table thead tbody tr th td".split()), html
    assert not re.search(r"<[^>]*\b(href|src|style|on\w+)\s*=", html), html


def test_many_signs_take_no_time() -> None:
    for text in ("*" * 20_000, "[" * 20_000, "`" * 19_999, "- " * 9_000, "|" * 20_000, "**a " * 5_000, "1. " * 6_000):
        message_html(text)


def test_only_the_agents_words_are_rendered() -> None:
    async def take(move: object) -> None:
        raise AssertionError

    messages = (Message("user", "**me**"), Message("agent", "**you**"), Message("agent", "plain"))
    session = PersonSession(Brief("", render=message_html), take)
    session.show("you", messages)
    assert [message.get("html") for message in session.state()["messages"]] == [
        None,
        "<p><strong>you</strong></p>\n",
        None,
    ]
    typed = PersonSession(Brief(""), take)
    typed.show("you", messages)
    assert not any("html" in message for message in typed.state()["messages"])
