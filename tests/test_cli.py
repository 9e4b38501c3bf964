"""The command line: figures as JSON, one clear line and exit code 2 on bad input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from usersim_env.baselines.silent import Silent
from usersim_env.cli import main

COMMANDS = ("tasks", "rollout", "rescore", "gap", "usi", "play", "import", "export", "bench", "demo")

MOCK = ("rollout", "--env", "TauMock-agenda-v0", "--agent", "clerk")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    try:
        code = main(words)
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_that_parses(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    from usersim_env.cli import parser

    code, out, _ = run(capsys, command, "--help")
    example = out.split("example:")[1].split()
    assert code == 0
    assert example[:2] == ["usersim-env", command]
    assert parser().parse_args(example[1:]).command == command


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("tasks", "--tasks", "0-999"), "retail test has the tasks 0 to 114"),
        (("tasks", "--tasks", "x"), "takes all, 0-9, 1,4 or ids"),
        (("tasks", "--split", "tset"), "Did you mean 'test'"),
        (("tasks", "--domain", "retial"), "Unknown domain 'retial'. Did you mean 'retail'?"),
        (("rollout", "--env", "TauRetail-agenda-v1", "--agent", "clerk", "--out", "x"), "TauRetail-agenda-v0"),
        (("rollout", "--env", "TauMock-v0", "--agent", "silent", "--out", "x"), "no user side of its own"),
        (("rollout", "--env", "TauMock-agenda-v0", "--agent", "clrk", "--out", "x"), "Did you mean 'clerk'"),
        (("rollout", "--env", "TauMock-agenda-v0", "--agent", "clerk", "--seed", "-1", "--out", "x"), "at least 0"),
        ((*MOCK, "--out", "x", "--concurrency", "0"), "concurrency is a whole number of at least 1, got 0"),
        ((*MOCK, "--out", "x", "--workers", "2"), "go with --backend ray"),
        ((*MOCK, "--out", "x", "--rpm", "5"), "--rpm goes with --model"),
        ((*MOCK, "--out", "x", "--backend", "rey"), "invalid choice"),
        (("rescore", "nowhere.jsonl"), "nowhere.jsonl"),
        (("gap", "--sim", "nowhere.jsonl", "--reference", "y"), "nowhere.jsonl"),
        (("gap", "--sim", "x"), "--reference"),
        (("play", "--task", "retail/test/999"), "retail/test/0"),
        (("nonsense",), "invalid choice"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    words: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *words)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""
    assert not list(tmp_path.iterdir())


def test_rollout_rescore_gap(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    files = {name: str(tmp_path / f"{name}.jsonl") for name in ("cooperative", "humanlike")}
    for persona, file in files.items():
        words = ("rollout", "--env", "TauMock-agenda-v0", "--persona", persona, "--agent", "clerk", "--episodes", "3")
        code, out, _ = run(capsys, *words, "--out", file, "--json")
        assert code == 0
        assert json.loads(out)["episodes"] == 12
        code, out, _ = run(capsys, *words, "--out", file, "--json")
        assert json.loads(out)["resumed"] == 12
        assert len(Path(file).read_text(encoding="utf-8").splitlines()) == 12

    code, out, _ = run(capsys, "rescore", *files.values(), "--json")
    verdict = json.loads(out)
    assert code == 0
    assert set(verdict) == {"episodes", "scored", "agree", "disagree", "unfinished"}
    assert verdict["episodes"] == verdict["agree"] == 24

    out_dir = tmp_path / "gap"
    code, out, _ = run(
        capsys, "gap", "--sim", files["cooperative"], "--reference", files["humanlike"], "--out", str(out_dir), "--json"
    )
    assert code == 0
    json.loads(out)
    assert list(out_dir.glob("*.html"))
    assert list(out_dir.glob("*.png"))


def test_rescoring_nothing_is_no_success(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    code, out, err = run(capsys, "rescore", str(tmp_path / "empty.jsonl"), "--json")
    assert (code, out) == (2, "")
    assert "no episode in" in err


def test_tasks_may_be_named_by_id(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "tasks", "--domain", "mock", "--tasks", "mock/test/2,0", "--json")
    assert code == 0
    assert [record["id"] for record in json.loads(out)] == ["mock/test/2", "mock/test/0"]
    assert "mock/test/0 … mock/test/3" in run(capsys, "tasks", "--domain", "mock", "--tasks", "mock/test/9")[2]


def test_real_refuses_what_is_not_human(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = str(tmp_path / "t.jsonl")
    run(capsys, "rollout", "--env", "TauMock-agenda-v0", "--agent", "clerk", "--out", file)
    code, _, err = run(capsys, "gap", "--sim", file, "--real", file)
    assert code == 2
    assert "human" in err


def test_each_line_of_traces_has_a_reward(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    run(capsys, "rollout", "--env", "TauMock-agenda-v0", "--agent", "oracle", "--out", str(file))
    rewards = [json.loads(line)["reward"] for line in file.read_text(encoding="utf-8").splitlines()]
    assert rewards == [1.0] * 4


def test_tasks_lists_agendas(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "tasks", "--domain", "mock", "--agenda", "--json")
    assert code == 0
    assert [record["id"] for record in json.loads(out)] == [f"mock/test/{i}" for i in range(4)]
    assert all("agenda" in record for record in json.loads(out))


def test_rollout_with_many_at_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = (*MOCK, "--episodes", "5", "--json", "--out")
    many = run(capsys, *words, str(tmp_path / "many.jsonl"), "--concurrency", "16")
    alone = run(capsys, *words, str(tmp_path / "alone.jsonl"))
    assert many[0] == 0 and json.loads(many[1]) == json.loads(alone[1])
    assert json.loads(many[1])["episodes"] == 20 and "clerk" in many[2]


def test_a_rollout_says_what_else_the_file_holds_and_fails_if_nothing_is_scored(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = str(tmp_path / "t.jsonl")
    assert run(capsys, *MOCK, "--out", out)[0] == 0
    code, _, err = run(capsys, *MOCK, "--persona", "humanlike", "--out", out)
    assert code == 0 and "also holds 4 other episodes: of other tasks, seeds, agents or user sides" in err
    words = ("rollout", "--env", "TauMock-agenda-v0", "--agent", "tests.test_cli:Broken", "--out", f"{out}-2")
    for hint in (False, True):
        code, _, err = run(capsys, *words)
        assert code == 2 and "no episode is scored" in err and "agent:error, first in mock/test/0" in err
        assert ("--retry-failed" in err) is hint
    assert "no seat asks" not in run(capsys, *words, "--dry-run")[1]


class Broken(Silent):
    """Cannot begin."""

    def begin(self, info: Mapping[str, Any], seed: int) -> Any:
        raise RuntimeError("boom")
