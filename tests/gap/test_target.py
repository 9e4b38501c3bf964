"""A target file: terms first, then every way to be broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from usersim_env.errors import TermsError, TraceError, UnknownName, UsageError
from usersim_env.gap.usi.target import (
    OVERALL,
    PARTS,
    Target,
    TargetRow,
    common_terms,
    read_target,
    write_target,
)
from usersim_env.traces.trace import Seat, Terms

STUDY = Terms("study data: research only, no training", training=False)
PEOPLE = Seat("human", "12 people")


def example(terms: Terms | None = None, user: Seat | None = None) -> Target:
    rows = {
        "tuning": TargetRow(("mock/test/0", "mock/test/1"), {"politeness_rate": 15.3}, {OVERALL: 0.5}, {"mock_0": 0.3}),
        "held_out": TargetRow(("mock/test/2",), {"politeness_rate": 14.0, "opening_words": 21.5}, {}, {}, episodes=3),
    }
    synthetic = Seat("agenda", "agenda", {"persona": "humanlike"})
    agent = Seat("agent", "clerk", {"ask_again": 0.1}, privileged=True)
    return Target(user or synthetic, agent, terms or Terms(), rows)


def broken(path: Path, field: str, value: Any) -> Path:
    """A target file with one field, given as ``a.b.c``, replaced, or taken out by `...`."""
    write_target(example(), path)
    content = json.loads(path.read_text(encoding="utf-8"))
    *way, last = field.split(".")
    place = content
    for key in way:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_target_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_target(example(), tmp_path / "new" / "target.json")
    found = read_target(tmp_path / "new" / "target.json")
    assert (found.user, found.agent, found.terms) == (example().user, example().agent, example().terms)
    for name in PARTS:
        mine, theirs = found.part(name), example().part(name)
        assert (mine.tasks, mine.features, mine.success) == (theirs.tasks, theirs.features, theirs.success)
    assert found.part("tuning").bin_of("mock/test/0") == "0.2-0.4"
    with pytest.raises(UnknownName, match="Unknown part of a target 'test'"):
        found.part("test")


def test_a_synthetic_user_side_is_called_so_and_people_are_not(tmp_path: Path) -> None:
    write_target(example(), tmp_path / "target.json")
    assert "synthetic: it says nothing about people" in (tmp_path / "target.json").read_text(encoding="utf-8")
    write_target(example(user=PEOPLE), tmp_path / "target.json")
    assert "synthetic" not in (tmp_path / "target.json").read_text(encoding="utf-8")


def test_terms_are_held_to_the_purpose(tmp_path: Path) -> None:
    path = tmp_path / "people.json"
    write_target(example(STUDY, PEOPLE), path)
    with pytest.raises(TermsError, match=r"people\.json may not be trained on\. Its terms: 'study data: research only"):
        read_target(path)
    found = read_target(path, purpose="evaluation")
    assert found.terms == STUDY
    with pytest.raises(TermsError):
        found.for_training()
    with pytest.raises(UnknownName, match="Unknown purpose 'tuning'"):
        read_target(path, purpose="tuning")


def test_the_strictest_terms_of_the_data_are_those_of_its_means() -> None:
    assert common_terms([Terms("a"), Terms("b"), Terms("a")]) == Terms("a; b", True)
    assert common_terms([Terms("a"), STUDY]) == Terms(f"a; {STUDY.licence}", False)
    with pytest.raises(UsageError, match="at least one trace"):
        common_terms([])


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("format", "other", r"format: expected 'usersim_env target 1', got 'other'\. Make one: python -m"),
        ("terms", ..., "the field 'terms' is missing"),
        ("terms.training", ..., "terms: the field 'training' is missing"),
        ("terms.training", "yes", "terms: training: expected bool, got str"),
        ("terms.licence", None, "terms: licence: expected str, got NoneType"),
        ("rows.held_out", ..., "rows: the field 'held_out' is missing"),
        ("rows.tuning.tasks", [], r"tuning: tasks: expected a list of task ids such as 'retail/test/0', got \[\]"),
        ("rows.tuning.tasks", ["a", "a"], "tasks: a task occurs twice"),
        ("rows.held_out.tasks", ["mock/test/1"], "held_out: mock/test/1 is a task of tuning too"),
        ("rows.tuning.features", {}, "features: there is no feature in it. Give at least one of politeness_rate"),
        ("rows.tuning.features", {"polite": 1}, "features: polite: no such feature; there are politeness_rate"),
        ("rows.tuning.features", {"pivot_rate": None}, "pivot_rate: expected int or float, got NoneType"),
        ("rows.tuning.features", {"pivot_rate": 101}, "expected a number from 0 to 100, got 101"),
        ("rows.tuning.features", {"opening_words": -1}, "expected a number 0 or more, got -1"),
        ("rows.tuning.success", {"hard": 0.5}, "success: hard: no such bin of difficulty; there are all, 0.0-0.2"),
        ("rows.tuning.success", {"all": 1.5}, "success: all: expected a number from 0 to 1, got 1.5"),
        ("difficulty", {"mock_0": 7}, "expected a success rate from 0 to 1, got 7"),
    ],
)
def test_what_is_wrong_is_named(field: str, value: Any, message: str, tmp_path: Path) -> None:
    path = broken(tmp_path / "target.json", field, value)
    with pytest.raises(UsageError, match=message):
        read_target(path)


def test_no_file_and_no_json(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"No target at .*none\.json\. How to make one: python -m usersim_env"):
        read_target(tmp_path / "none.json")
    (tmp_path / "text.json").write_text("polite: 15 %", encoding="utf-8")
    with pytest.raises(TraceError, match=r"text\.json: not JSON"):
        read_target(tmp_path / "text.json")
    (tmp_path / "nan.json").write_text('{"format": NaN}', encoding="utf-8")
    with pytest.raises(TraceError, match="NaN is no JSON number"):
        read_target(tmp_path / "nan.json")
