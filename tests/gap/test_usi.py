"""The User-Sim Index against the conformance vectors, from every kind of source."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from usersim_env.feedback.behaviour import FEATURES
from usersim_env.gap.usi import HUMAN, UsiResult, user_sim_index
from usersim_env.importers import ImportSettings, import_files
from usersim_env.importers.export import to_tau_usi
from usersim_env.traces.file import TraceWriter
from usersim_env.traces.trace import Trace

STUDY: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "study.json").read_text(encoding="utf-8"))
SURVEYS = {"surveys": STUDY["surveys_of_human_sessions"], "human_re_rating": STUDY["human_re_rating"]}


def index(**changes: Any) -> UsiResult:
    """The study without surveys, but for what is changed."""
    given = {"human": STUDY["human"], "sims": STUDY["simulators"], "difficulty": STUDY["difficulty"]}
    return user_sim_index(**{**given, **changes})


def check_expected(result: UsiResult, which: str) -> None:
    rows = result.as_dict()["rows"]
    assert [row["name"] for row in rows] == [HUMAN, *STUDY["simulators"]]
    for row, expected in zip(rows, STUDY["expected"][which], strict=True):
        assert list(row) == [*expected, "usi5"]
        for key, value in expected.items():
            expect = value if value is None or isinstance(value, str) else pytest.approx(value, rel=0, abs=1e-9)
            assert row[key] == expect, (row["name"], key)


def as_traces(sessions: Mapping[str, Any], folder: Path, user: str | None) -> list[Trace]:
    """Imported. The made-up headers name a task at random, which an importer refuses; nobody counts them."""
    sessions = copy.deepcopy(dict(sessions))
    for entry in sessions.values():
        for message in entry["conversation"]:
            if str(message.get("content")).startswith("\\tau "):
                message["content"] = "\\tau x"
    path = folder / f"{user}.json"
    path.write_text(json.dumps(sessions), encoding="utf-8")
    return list(import_files([path], settings=ImportSettings(user=user)).traces)


def test_vectors_with_surveys() -> None:
    check_expected(index(**SURVEYS), "with_surveys")


def test_vectors_without_surveys() -> None:
    result = index()
    check_expected(result, "without_surveys")
    assert all(row.usi == row.usi5 for row in result.rows)


def test_usi5_does_not_depend_on_surveys() -> None:
    assert [row.usi5 for row in index(**SURVEYS).rows] == [row.usi5 for row in index().rows]


def test_vectors_from_files(tmp_path: Path) -> None:
    def file(name: str, content: object) -> str:
        path = tmp_path / name
        path.write_text(json.dumps(content), encoding="utf-8")
        return str(path)

    result = user_sim_index(
        tmp_path / Path(file("human.json", STUDY["human"])).name,
        {name: file(f"{name}.json", sim) for name, sim in STUDY["simulators"].items()},
        {name: file(f"{name}-s.json", s) for name, s in STUDY["surveys_of_human_sessions"].items()},
        file("again.json", STUDY["human_re_rating"]),
        file("difficulty.json", {"difficulty": STUDY["difficulty"]}),
    )
    check_expected(result, "with_surveys")


def test_vectors_from_imported_traces_in_any_order(tmp_path: Path) -> None:
    people = as_traces(STUDY["human"], tmp_path, None)
    sims = {name: as_traces(sim, tmp_path, f"llm:{name}")[::-1] for name, sim in STUDY["simulators"].items()}
    check_expected(index(human=people[::-1], sims=sims, **SURVEYS), "with_surveys")

    with TraceWriter(tmp_path / "people.jsonl") as writer:
        for trace in people:
            writer.write(trace)
    check_expected(index(human=tmp_path / "people.jsonl", sims=sims, **SURVEYS), "with_surveys")


def test_surveys_may_be_traces(tmp_path: Path) -> None:
    people = as_traces(STUDY["human"], tmp_path, None)
    result = index(surveys={"one_run": people}, human_re_rating=people)
    assert result.rows[0].eval_agree == (100, 0)
    assert result.rows[1].eval_agree is not None
    assert result.rows[1].eval_agree[0] > 95  # only what nobody answered is drawn at random


def test_a_simulator_that_is_the_people() -> None:
    people = {key: entry for key, entry in STUDY["human"].items() if "_ann" not in key}
    table = STUDY["difficulty"]
    _, row = user_sim_index(people, {"copy": people_as_sim(people)}, {"copy": people}, None, table).rows
    assert [row.dimension(name) for name in ("D1_conv", "D2_info", "D3_clarif", "D4_react")] == [(100, None)] * 4
    assert row.ece == (0, None)
    assert row.eval_agree is not None and row.eval_agree[0] == pytest.approx(100)
    assert row.usi is not None and row.usi[0] == pytest.approx(100)


def people_as_sim(people: Mapping[str, Any]) -> dict[str, Any]:
    """The same conversations without the lines that are left out of people's alone."""
    marks = ("\\tau ", "\\reward", "<|canvas|>", "<|highlight|>", "<|survey|>")

    def said(message: Mapping[str, Any]) -> bool:
        content = str(message.get("content", ""))
        return not (content.startswith(marks[:2]) or any(m in content for m in marks) or content.strip() == "/stop")

    return {k: {**e, "conversation": [m for m in e["conversation"] if said(m)]} for k, e in people.items()}


def test_a_session_that_is_not_kept_changes_nothing() -> None:
    kept = {key: entry for key, entry in STUDY["human"].items() if entry.get("keep") is not False}
    assert len(kept) < len(STUDY["human"])
    assert [row.as_dict() for row in index(human=kept).rows] == [row.as_dict() for row in index().rows]
    assert "human: 4 left out (marked keep: false)." in index().notes


def test_features_of_both_sides_are_there_for_a_report() -> None:
    sim, human = index().rows[1].features
    assert sim is not None and human is not None
    assert tuple(sim) == tuple(human) == FEATURES
    assert 0 <= sim["politeness_rate"] <= 100


def test_traces_of_ours_are_batches_and_runs_by_their_order(make: Any) -> None:
    people = make.side(make.HUMAN, [[1, 0], [0, 1], [1, 1]])
    sim = make.side(make.SIM, [[1, 1, 0], [0, 0, 1], [1, 1, 1]])
    result = user_sim_index(people, {"mine": sim}, min_samples=3)
    human, mine = result.rows
    assert (len(human.scores), len(mine.scores)) == (1, 2)
    # Both sides of a batch say the same words, so that behaviour is equal among people and differs from the sim's.
    alike, style = human.dimension("D1_conv"), mine.dimension("D1_conv")
    assert alike is not None and alike[0] == pytest.approx(100) and alike[1] is None
    assert style is not None and style[0] < 90 and style[1] == pytest.approx(0)
    assert result.terms == {"human": ("MIT (tasks: tau-bench, MIT)",), "mine": ("MIT (tasks: tau-bench, MIT)",)}


def test_a_failed_episode_is_left_out_and_no_zero(make: Any) -> None:
    people = make.side(make.HUMAN, [[1], [1]])
    sim = make.side(make.SIM, [[1, 1], [1, None]])
    result = user_sim_index(people, {"mine": sim}, difficulty={"mock/test/0": 0.5, "mock/test/1": 0.5})
    assert result.rows[1].ece == (0, None)
    assert "mine: 1 left out (not scored)." in result.notes


def test_an_export_of_ours_reads_like_its_traces(make: Any) -> None:
    sims = make.side(make.SIM, [[1, 0], [0, 1]])
    people = make.side(make.HUMAN, [[1, 0], [0, 1]])
    by_traces = user_sim_index(people, {"mine": sims}, min_samples=2)
    exported = user_sim_index(to_tau_usi(people), {"mine": to_tau_usi(sims)}, min_samples=2)
    assert exported.as_dict() == by_traces.as_dict()


def test_answers_that_the_second_rater_left_open() -> None:
    """The value is that of the authors' rule on the same file (1e-9); a note counts the answers."""
    again = json.loads(json.dumps(STUDY["human_re_rating"]))
    again[min(again)]["survey"].pop("overall_score")
    surveys = {**SURVEYS, "human_re_rating": again}
    result = index(**surveys)
    assert result.rows[0].eval_agree == pytest.approx((59.33322890559732, 11.458675353452158), abs=1e-9)
    assert any("left open: 1; random levels stand there" in note for note in result.notes)
    assert not any("left open" in note for note in index(**SURVEYS).notes)


def test_turns_whose_phrases_a_curly_apostrophe_hides_are_counted() -> None:
    human = copy.deepcopy(STUDY["human"])
    before = [note for note in index().notes if "curly" in note]
    key = next(key for key in human if human[key].get("keep", True))
    human[key]["conversation"].insert(-1, {"role": "user", "content": "I don\u2019t know."})
    after = [note for note in index(human=human).notes if "curly" in note]
    assert len(after) == len(before) + (not any(note.startswith("human") for note in before))
    assert next(note for note in after if note.startswith("human")) not in before
