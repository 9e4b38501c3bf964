from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from usersim_env.feedback.values import Failure
from usersim_env.gap import GapResult, GapSettings, compare, plot_style, write_report
from usersim_env.gap.exports import markdown, numbers_csv
from usersim_env.traces.trace import Seat

FAST = GapSettings(replicates=200)


@pytest.fixture(scope="module")
def result(make: Any) -> GapResult:
    left = make.trace(1, make.HUMAN, 50, None, failure=Failure("user", "abandoned", "left"))
    return compare(make.drawn(make.SIM, 10, 3, 0.8, 1), [*make.drawn(make.HUMAN, 10, 2, 0.4, 2), left], FAST)


def rows_of(result: GapResult) -> dict[tuple[str, ...], str]:
    head, *rows = csv.reader(numbers_csv(result).splitlines())
    assert head == ["section", "name", "quantity", "value"]
    assert len({tuple(row[:3]) for row in rows}) == len(rows)
    return {tuple(row[:3]): row[3] for row in rows}


def numbers_in(value: object) -> list[float]:
    if isinstance(value, dict):
        return [x for inner in value.values() for x in numbers_in(inner)]
    if isinstance(value, list | tuple):
        return [x for inner in value for x in numbers_in(inner)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def test_the_table_holds_every_number_of_the_json(result: GapResult) -> None:
    rows = rows_of(result)
    assert float(rows["gaps", "rule", "gap.estimate"]) == result.rule.gap.estimate
    assert float(rows["pass_k", "2", "gap.low"]) == result.pass_k[1].gap.low
    assert rows["judgement", "sim", "table.failed (1).0"].isdecimal()
    assert rows["tasks", "paired", "count"] == "10"
    there = [float(value) for value in rows.values() if value != "missing"]
    for number in numbers_in(json.loads(json.dumps(result.as_dict()))):
        assert number in there


def test_what_is_missing_is_a_word(make: Any) -> None:
    surveys = [{"reuse": "Maybe"}, None]
    sides = [[make.trace(t, user, survey=surveys[t]) for t in range(2)] for user in (make.SIM, make.REFERENCE)]
    text = numbers_csv(compare(sides[0], sides[1], FAST))
    assert "gaps,survey.reuse,gap.low,missing" in text
    assert not re.search(r"\bnan\b|None", text, re.IGNORECASE)


def test_the_appendix_has_every_section_as_a_table_with_even_rows(result: GapResult) -> None:
    text = markdown(result, "A sentence.", "The gap is planted.")
    for words in (
        "# Gap between two user sides: real − simulated",
        "**The gap is planted.**",
        "A sentence.",
        "pass^2",
    ):
        assert words in text
    for title in ("Gap per signal", "Reliability", "Success by difficulty", "What the reward misses", "Checked first"):
        assert f"\n## {title}" in text
    assert "Abandoned by the person" in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_nothing_from_outside_becomes_markup(make: Any) -> None:
    evil = Seat("agenda", "a|b\n<script> *x* [y](z) \ud800")
    result = compare(make.side(evil, [[1.0], [0.0]]), make.side(make.REFERENCE, [[1.0], [0.0]]), FAST)
    text = markdown(result, "x")
    assert "a\\|b" in text
    assert "[y](z)" not in text and "[y]\\(z)" in text
    assert "<script>" not in text.replace("\\<", "")
    text.encode()


def test_the_files_hold_nobodys_words(result: GapResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plot_style, "png", lambda draw, dark=False: b"")
    write_report(result, tmp_path, note="A note.")
    for name in ("report.md", "numbers.csv", "gap.json"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert "i already told you" not in text
        assert "participant" not in text
