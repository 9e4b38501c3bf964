"""Every kind of bad input: one sentence that says what to do, and never NaN."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from usersim_env.cli import main, parser
from usersim_env.errors import UsageError
from usersim_env.gap.usi import HUMAN, UsiResult, print_usi, user_sim_index

TALK = [{"role": "assistant", "content": "Hello!"}, {"role": "user", "content": "please return my order"}]
TABLE = {"airline_0": 0.5, "airline_1": 0.5, "retail_0": 0.1}


def entry(reward: float | None = 1, **fields: Any) -> dict[str, Any]:
    return {"conversation": TALK, "reward": reward, **fields}


def entries(*keys: str) -> dict[str, Any]:
    return {key: entry() for key in keys}


PEOPLE = entries("airline_0", "airline_1", "airline_0_ann2", "airline_1_ann2")
SIM = entries("airline_0", "airline_1")


def index(human: Any = PEOPLE, sim: Any = SIM, difficulty: Any = TABLE, **more: Any) -> UsiResult:
    result = user_sim_index(human, {"mine": sim}, difficulty=difficulty, **more)
    json.dumps(result.as_dict(), allow_nan=False)
    print_usi(result)
    return result


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"sim": entries("airline_7")},
            "mine and the people share no task: mine has airline_7; they have airline_0, air",
        ),
        (
            {"sim": entries("airline_7"), "difficulty": None},  # said before anything about a difficulty
            "mine and the people share no task: mine has airline_7; they have airline_0, air",
        ),
        ({"sim": {}}, "the sessions of mine: there is no session in it. Give one"),
        ({"human": {}}, "the human sessions: there is no session in it"),
        ({"human": {"airline_0": entry(keep=False)}}, r"no session is left of 1 \(1 marked keep: false\)"),
        ({"human": entries("airline_0", "airline_0_1")}, "marks a run of a simulator.*Use --sim"),
        ({"human": entries("airline_0", "airline_00")}, "'airline_0' and 'airline_00' are both number 1 of airline_0"),
        ({"sim": entries("zero")}, "the key 'zero' is not <domain>_<number>"),
        ({"sim": {"airline_0": {"reward": 1}}}, "record 'airline_0': the field 'conversation' is missing"),
        ({"sim": {"airline_0": 3}}, "record 'airline_0': expected an object, got int"),
        ({"sim": {"airline_0": {"conversation": [{"content": "x"}]}}}, "conversation: message 0 has the keys"),
        ({"sim": {"airline_0": entry(float("nan"))}}, "reward: expected a number from 0 to 1, got nan"),
        ({"human": {"airline_0": entry(survey=[])}}, "record 'airline_0': survey: expected an object"),
        ({"difficulty": {}}, "the difficulty table: there is no difficulty in it"),
        ({"difficulty": {"airline_0": 72}}, "airline_0: expected a success rate from 0 to 1, got 72"),
        ({"difficulty": {"difficulty": {"airline_0": float("nan")}}}, "expected a success rate from 0 to 1"),
        (
            {"difficulty": None},
            "at most 1 scored sessions of a task, 10 are needed. Give a table with --difficulty FILE",
        ),
        ({"difficulty": None, "min_samples": 0}, "The minimum of samples is 0; expected at least 1"),
        ({"surveys": {"mien": PEOPLE}}, "Did you mean 'mine'"),
    ],
)
def test_one_sentence(given: Mapping[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        index(**given)


def test_no_simulator_and_a_taken_name() -> None:
    with pytest.raises(UsageError, match="--sim NAME=FILE"):
        user_sim_index(PEOPLE, {}, difficulty=TABLE)
    with pytest.raises(UsageError, match="is the name of the human row"):
        user_sim_index(PEOPLE, {HUMAN: SIM}, difficulty=TABLE)


def test_a_program_is_not_called_human(make: Any) -> None:
    with pytest.raises(UsageError, match="of kind agenda are among the human sessions"):
        user_sim_index(make.side(make.SIM, [[1]]), {"mine": make.side(make.SIM, [[1]])}, min_samples=1)


def test_an_episode_given_twice(make: Any) -> None:
    people = make.side(make.HUMAN, [[1], [1]])
    with pytest.raises(UsageError, match=r"human-x-0-0 occurs twice .1 of them do.*Give each once"):
        user_sim_index([*people, people[0]], {"mine": make.side(make.SIM, [[1]])}, min_samples=1)


def test_one_batch_computes_what_it_can() -> None:
    result = index(entries("airline_0", "airline_1"))
    human, mine = result.as_dict()["rows"]
    assert {value for key, value in human.items() if key != "name"} == {None}
    assert mine["usi"] == [100, None]
    assert any("one batch of people: the human row needs a second one" in note for note in result.notes)


def test_a_table_of_other_tasks_leaves_calibration_out() -> None:
    result = index(difficulty={"retail_99": 0.5})
    row = result.as_dict()["rows"][1]
    assert (row["ece"], row["usi"], row["D1_conv"]) == (None, None, [100, 0])
    assert any("Give a table of these tasks: without one there is no calibration" in note for note in result.notes)


def test_people_who_say_nothing_leave_behaviour_out() -> None:
    silent = {key: entry() | {"conversation": TALK[:1]} for key in PEOPLE}
    result = index(silent)
    assert result.as_dict()["rows"][1]["D1_conv"] is None
    assert result.as_dict()["rows"][1]["ece"] == [0, 0]
    assert any("no shared task has user turns on both sides" in note for note in result.notes)


def test_a_domain_that_one_side_lacks_is_named() -> None:
    people = {**PEOPLE, **entries("retail_0", "retail_0_ann2")}
    assert any("mine has no task of retail that people played" in note for note in index(people).notes)


def test_unknown_labels_are_named_with_those_that_exist() -> None:
    people = {key: entry(survey={"human_like": {"answer": "Yes"}, "reuse": "perhaps"}) for key in PEOPLE}
    ratings = {key: {"survey": {"human_like": {"answer": "yes"}}} for key in PEOPLE}
    result = index(people, surveys={"mine": ratings})
    text = "\n".join(result.notes)
    assert "human: answers that are no label of the survey: 4, left out. The first is 'perhaps'" in text
    assert "mine: answers that are no label of the survey: 4, counted as random levels" in text
    assert "'yes' in airline_0, to human_like, which takes: No · Partially · Yes." in text


def test_sessions_that_a_simulator_did_not_rate_are_counted() -> None:
    people = {key: entry(survey={"human_like": {"answer": "Yes"}}) for key in PEOPLE}
    result = index(people, surveys={"mine": {"airline_0": {"survey": {"human_like": "Yes"}}}})
    assert any("mine: human sessions without a survey of it: 3" in note for note in result.notes)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "human.json").write_text(json.dumps(PEOPLE), encoding="utf-8")
    (tmp_path / "mine.json").write_text(json.dumps(SIM), encoding="utf-8")
    (tmp_path / "table.json").write_text(json.dumps({"difficulty": TABLE}), encoding="utf-8")
    (tmp_path / "empty.json").write_text(" \n", encoding="utf-8")
    (tmp_path / "twice.json").write_text('{"airline_0": {}, "airline_0": {}}', encoding="utf-8")
    (tmp_path / "list.json").write_text("[1]", encoding="utf-8")
    return tmp_path


GOOD = ("usi", "--human", "human.json", "--sim", "mine=mine.json", "--difficulty", "table.json")


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*GOOD, "--human", "nowhere.json"), "No file at nowhere.json"),
        ((*GOOD, "--human", "empty.json"), "empty.json: the file is empty"),
        ((*GOOD, "--human", "twice.json"), "the key 'airline_0' occurs twice"),
        ((*GOOD, "--human", "list.json"), "list.json: expected a JSON object"),
        (
            (*GOOD, "--sim", "mine.json"),
            "--sim takes NAME=FILE, for example --sim mine=runs/mine.jsonl; got 'mine.json'",
        ),
        ((*GOOD, "--sim", "mine=other.json"), "--sim names 'mine' twice"),
        ((*GOOD, "--surveys", "mine"), "--surveys takes NAME=FILE"),
        (("usi", "--human", "human.json"), "--sim"),
    ],
)
def test_command_says_it_in_one_line(words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(words)
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.usefixtures("files")
def test_command_prints_json_and_terms(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*GOOD, "--sim", "again=mine.json", "--json"]) == 0
    out, err = capsys.readouterr()
    rows = json.loads(out)["rows"]
    assert [row["name"] for row in rows] == [HUMAN, "mine", "again"]
    assert rows[1]["eval_agree"] is None
    assert "Terms of human, mine, again: tau-usi data set (gated)" in err


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("width", ["80", "140"])
def test_command_prints_a_table(
    width: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    assert main(GOOD) == 0
    out = capsys.readouterr().out
    assert all(len(line) <= int(width) for line in out.splitlines())
    for word in ("USI5", "mine", "inter", "100.0", "±", "tau-usi data set", "not for training"):
        assert word in out
    assert "nan" not in out.lower()


def test_help_shows_an_example_that_parses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["usi", "--help"])
    example = capsys.readouterr().out.split("example:")[1].split()
    assert parser().parse_args(example[1:]).command == "usi"
