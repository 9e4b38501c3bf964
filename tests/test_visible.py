"""What traces of others may hold reaches no terminal, report or spreadsheet raw."""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.gap.conftest import HUMAN, REFERENCE, SIM, make_side
from usersim_env.baselines.remedies_summary import write_csv
from usersim_env.cli import main
from usersim_env.conversation.scene import Scene
from usersim_env.conversation.transcript import render_events
from usersim_env.gap import GapSettings, compare, write_report
from usersim_env.messages import Message
from usersim_env.traces.trace import Seat, Trace
from usersim_env.users.terminal import TerminalUser
from usersim_env.visible import csv_cell, visible

EVIL = "\x1b]0;gone\x07\x1b[31mred\x1b[0m\x9b2J \u202edrawkcab\u202c \u2066x\u2069\r\x00\x7f \ud800"
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]")


def evil_traces(user: Seat) -> list[Trace]:
    seat = dataclasses.replace(user, name=f"{user.name}{EVIL}", settings={"a": EVIL})
    agent = Seat("agent", f"agent{EVIL}", {"b": EVIL})
    texts = (f"Hello {EVIL}", "=HYPERLINK(1)")
    signals = {'=HYPERLINK("x")': 0.5, f"odd{EVIL}": 0.25}
    terms = dataclasses.replace(make_side(SIM, [[1.0]])[0].terms, licence=f"mine{EVIL}")
    return make_side(seat, [[1.0, 0.0], [0.0, 1.0]], texts=texts, signals=signals, agent=agent, terms=terms)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    found = []
    for name, user in (("sim", SIM), ("reference", REFERENCE)):
        path = tmp_path / f"{name}.jsonl"
        path.write_bytes(b"".join(trace.to_line() for trace in evil_traces(user)))
        found.append(str(path))
    return found


def typed(*words: str) -> Callable[[list[str], Path], list[str]]:
    return lambda files, folder: [word.format(*files, folder=folder) for word in words]


COMMANDS = {
    "gap": typed("gap", "--sim", "{0}", "--reference", "{1}"),
    "gap with a page": typed("gap", "--sim", "{0}", "--reference", "{1}", "--out", "{folder}/page", "--usi"),
    "rescore": typed("rescore", "{0}"),
    "export": typed("export", "{0}", "--format", "openai", "--out", "{folder}/chat.jsonl"),
    "an error": typed("gap", "--sim", f"{{folder}}/{EVIL[:-1]}", "--reference", "{1}"),
    "import": typed("import", "{0}", "--out", "{folder}/again.jsonl"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_prints_what_a_terminal_obeys(
    name: str, files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.replace("\x00", "") for word in COMMANDS[name](files, tmp_path)]
    main(words)
    printed = capsys.readouterr()
    text = printed.out + printed.err
    assert text and RAW.findall(text) == []


def test_reports_and_tables_hold_none_of_it(files: list[str], tmp_path: Path) -> None:
    page = write_report(compare(files[0], files[1], GapSettings(replicates=200)), tmp_path / "page", excerpts=True)
    for path in page.parent.iterdir():
        if path.suffix in (".md", ".csv", ".html"):
            assert RAW.findall(path.read_text(encoding="utf-8")) == [], path.name
    with (page.parent / "numbers.csv").open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert any("HYPERLINK" in cell for cell in cells)
    for cell in cells:
        assert not cell.startswith(("=", "+", "@")) and (not cell.startswith("-") or float(cell) <= 0)


def test_the_words_of_an_agent_at_a_persons_terminal() -> None:
    said: list[str] = []
    session = TerminalUser(read=lambda prompt: "/stop", write=said.append).begin(Scene("mock/test/0", f"Do {EVIL}", ()))
    session.reply(Scene("mock/test/0", "", (Message("agent", EVIL),)))
    assert len(said) == 2 and RAW.findall("".join(map(str, said))) == []


def test_a_transcript() -> None:
    (trace, *_) = evil_traces(HUMAN)
    assert RAW.findall(render_events(trace.events)) == []


def test_what_stays_and_what_it_looks_like(tmp_path: Path) -> None:
    assert visible("plain – “words”\n\tü 漢 🙂") == "plain – “words”\n\tü 漢 🙂"
    assert visible("\x1b[31m\x7f\x9b\u202e\ud800") == "\\x1b[31m\\x7f\\u009b\\u202e\\ud800"
    cells: list[Any] = ["=1+1", "+1", "-1", "@x", "plain", -1.5, 3, None]
    assert [csv_cell(cell) for cell in cells] == ["'=1+1", "'+1", "'-1", "'@x", "plain", -1.5, 3, None]
    write_csv([{"name": "=cmd()", "value": -0.5}], tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().splitlines()[-1] == "'=cmd(),-0.5"
