"""The static page keeps its own promises: a strict content security policy, no request to elsewhere, ids that exist."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

PAGES = {"index.html": "page.js", "admin.html": "admin.js"}
HOOKS = set(
    "consent start instruction log box send end leave turn activity connection survey submit-survey code ending".split()
)
"""What the browser tests hold on to."""

FORBIDDEN = {
    "inline style": r"\sstyle\s*=\s*[\"']|<style",
    "inline handler": r"<[^>]*\son[a-z]+\s*=",
    "inline script": r"<script(?![^>]*\ssrc=)",
    "another host": r"(?:src|href|action|url|from|import|fetch)\s*[=(\"' ]+(?:https?:)?//",
    "data: address": r"[\"'(]data:",
    "code from text": r"\beval\(|new Function\(|insertAdjacentHTML|outerHTML|document\.write",
}


@pytest.fixture(scope="module")
def folder(root: Path) -> Path:
    return root / "usersim_env" / "person" / "page"


class Ids(HTMLParser):
    """Collects ids, and the ids that labels and descriptions refer to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.wanted: set[str] = set()
        self.files: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name in {"aria-labelledby", "aria-describedby", "for"}:
                self.wanted |= set((value or "").split())
            elif name in {"src", "href"} and not (value or "").startswith("#"):
                self.files.add(value or "")


def modules(folder: Path, start: str) -> set[str]:
    """The module and all that it imports."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += re.findall(r'from "\./([\w.]+)"', (folder / name).read_text(encoding="utf-8"))
    return found


def problems(text: str) -> list[str]:
    return [name for name, pattern in FORBIDDEN.items() if re.search(pattern, text)]


def test_no_file_breaks_the_content_security_policy(folder: Path) -> None:
    files = [path for path in folder.iterdir() if path.suffix in {".html", ".js", ".css"}]
    assert len(files) >= 15
    assert {path.name: problems(path.read_text(encoding="utf-8")) for path in files} == {p.name: [] for p in files}


@pytest.mark.parametrize(
    ("planted", "name"),
    [
        ('<p style="color: red">', "inline style"),
        ('<button onclick="go()">', "inline handler"),
        ("<script>go()</script>", "inline script"),
        ('<link href="https://fonts.example/x.css">', "another host"),
        ('import x from "//cdn.example/x.js"', "another host"),
        ("background: url(https://example.org/x.png)", "another host"),
        ('<img src="data:image/png;base64,x">', "data: address"),
        ("list.insertAdjacentHTML('beforeend', text)", "code from text"),
    ],
)
def test_the_check_can_fail(planted: str, name: str) -> None:
    assert name in problems(planted)


def test_markup_is_made_in_one_place_only(folder: Path) -> None:
    """Consent and rules, which the server made; everything else is text."""
    users = {p.name: p.read_text(encoding="utf-8").count("innerHTML") for p in folder.glob("*.js")}
    assert {name: count for name, count in users.items() if count} == {"elements.js": 1}


@pytest.mark.parametrize(("page", "start"), PAGES.items())
def test_every_id_and_file_that_is_named_exists(folder: Path, page: str, start: str) -> None:
    html = Ids((folder / page).read_text(encoding="utf-8"))
    assert len(html.ids) == len(set(html.ids))
    named = set(html.wanted)
    for name in modules(folder, start):
        named |= set(re.findall(r'byId\("([\w-]+)"\)', (folder / name).read_text(encoding="utf-8")))
    assert sorted(named - set(html.ids)) == []
    assert len(named) > 10
    assert f"/page/{start}" in html.files
    assert [name for name in html.files if not (folder / name.removeprefix("/page/")).is_file()] == []
    if page == "index.html":
        assert sorted(HOOKS - set(html.ids)) == []


def test_every_module_is_reached(folder: Path) -> None:
    reached = set().union(*(modules(folder, start) for start in PAGES.values()))
    assert {path.name for path in folder.glob("*.js")} == reached
