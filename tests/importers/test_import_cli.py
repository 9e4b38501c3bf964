"""From the command line: in, rescored, compared, and out as far as the terms allow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from usersim_env.cli import main, parser
from usersim_env.domains import World, get_domain, get_task
from usersim_env.importers.tau_usi import TERMS
from usersim_env.traces.file import read_traces


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    try:
        code = main([str(word) for word in words])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def session(index: int) -> dict[str, Any]:
    """A person served by an agent that does the right thing on even tasks, and nothing on odd ones."""
    task = get_task(f"mock/test/{index}")
    world = World(get_domain("mock"))
    text = ""
    for call in task.expected_calls if index % 2 == 0 else ():
        values = "".join(
            f"<parameter={name}>{value if isinstance(value, str) else json.dumps(value)}</parameter>"
            for name, value in call.arguments.items()
        )
        text += f"<function={call.name}>{values}</function><|tool|>{world.call(call).content}<|/tool|>"
    text += " ".join(task.required_outputs) if index % 2 == 0 else "I cannot."
    talk = [
        {"role": "user", "content": f"\\tau task_index:mock-{index} model:m"},
        {"role": "user", "content": "hi please"},
        {"role": "assistant", "content": text or "Done."},
        {"role": "user", "content": "/stop"},
    ]
    answer = {"question": "?", "answer": "4 (Good)"}
    done = index % 2 == 0 or not (get_domain("mock").expected_changes(task) or task.required_outputs)
    return {
        "agent_id": "a",
        "conversation": talk,
        "survey": {"overall_score": answer},
        "reward": int(done),
        "keep": True,
    }


@pytest.fixture
def human(tmp_path: Path) -> Path:
    path = tmp_path / "human.json"
    sessions = {f"mock_{index}": session(index) for index in range(4)} | {"mock_9_ann2": {"conversation": "broken"}}
    path.write_text(json.dumps(sessions), encoding="utf-8")
    return path


def test_in_rescored_compared_and_out(human: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people, sim = tmp_path / "people.jsonl", tmp_path / "sim.jsonl"
    code, out, err = run(capsys, "import", human, "--out", people)
    assert (code, out) == (2, "") and "record 'mock_9_ann2': conversation: expected list, got str" in err
    assert not people.exists()
    code, out, err = run(capsys, "import", human, "--format", "tau-usi", "--out", people, "--skip-broken")
    assert code == 0 and out.startswith("4 imported, 4 scored, 1 broken; ") and f"terms: {TERMS.licence}" in out
    assert "mock_9_ann2" in err

    for file in (people, human):
        code, out, err = run(capsys, "rescore", file, "--json")
        if file is human:
            assert code == 2 and "mock_9_ann2" in err
        else:
            assert json.loads(out) == {"episodes": 4, "scored": 4, "agree": 4, "disagree": [], "unfinished": 0}

    run(capsys, "rollout", "--env", "TauMock-agenda-v0", "--agent", "clerk", "--out", sim)
    code, out, _ = run(capsys, "gap", "--sim", sim, "--real", people, "--json")
    assert code == 0
    assert TERMS.licence in out and "human" in out

    code, out, err = run(capsys, "export", people, sim, "--format", "openai", "--out", tmp_path / "chat.jsonl")
    assert (code, out) == (2, "")
    assert f"The terms of 4 traces forbid training. 4 of them: {TERMS.licence}" in err
    assert not (tmp_path / "chat.jsonl").exists()
    code, out, _ = run(capsys, "export", sim, "--format", "openai", "--out", tmp_path / "chat.jsonl")
    assert code == 0 and out.startswith("4 exported")
    code, _, _ = run(capsys, "export", people, "--format", "tau-usi", "--out", tmp_path / "again.json")
    sessions = json.loads(human.read_bytes())
    del sessions["mock_9_ann2"]
    assert code == 0 and json.loads((tmp_path / "again.json").read_bytes()) == sessions


def test_what_the_caller_knows(human: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chat = tmp_path / "chat.json"
    chat.write_text(json.dumps([{"role": "user", "content": "Hi."}]), encoding="utf-8")
    out = tmp_path / "t.jsonl"
    words = ("import", chat, "--out", out, "--user", "llm:m", "--licence", "ours", "--no-training", "--json")
    code, text, _ = run(capsys, *words)
    assert code == 0 and json.loads(text)["terms"] == ["ours"]
    (trace,) = read_traces(out)
    assert (trace.user.kind, trace.user.name, trace.terms.training) == ("llm", "m", False)
    code, _, err = run(capsys, *words)
    assert code == 2 and "exists. Remove it or name another file." in err
    code, _, err = run(capsys, "import", human, "--out", tmp_path / "x.jsonl", "--licence", "CC0")
    assert code == 2 and "the terms of tau-usi data cannot be replaced" in err
    code, _, err = run(capsys, "import", chat, "--out", tmp_path / "x.jsonl", "--user", "robot")
    assert code == 2 and "The user's seat is one of human" in err
    code, _, err = run(capsys, "import", tmp_path / "nowhere", "--out", tmp_path / "x.jsonl")
    assert code == 2 and "No file at" in err


@pytest.mark.parametrize("command", ["import", "export"])
def test_help_shows_an_example_that_parses(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, command, "--help")
    example = out.split("example:")[1].split()
    assert code == 0 and example[:2] == ["usersim-env", command]
    assert parser().parse_args(example[1:]).command == command
