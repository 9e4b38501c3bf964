"""What people get wrong with `usersim-env gap`: each time one sentence that says what to do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from usersim_env.cli import main
from usersim_env.traces.file import TraceWriter
from usersim_env.traces.trace import Trace


def write(path: Path, traces: Sequence[Trace]) -> str:
    path.write_bytes(b"")
    with TraceWriter(path) as writer:
        for trace in traces:
            writer.write(trace)
    return str(path)


def cases(make: Any) -> dict[str, tuple[list[Trace], list[Trace], str]]:
    sim, other = make.side(make.SIM, [[1.0], [0.0]]), make.side(make.REFERENCE, [[1.0], [0.0]])
    far = [make.trace(task, make.REFERENCE) for task in (7, 8)]
    wrong = make.side(make.REFERENCE, [[1.0], [0.0]], survey={"overall_score": "9 (Great)"})
    field = make.side(make.REFERENCE, [[1.0], [0.0]], survey={"overal_score": "4 (Good)"})
    dropped = [replace(trace, user=replace(trace.user, notes={"keep": False})) for trace in other]
    return {
        "no overlap": (sim, far, "No task is on both sides"),
        "one task": (sim[:1], other, "better twenty. Roll out more, for example with --tasks 0-19"),
        "all failed": (sim, make.side(make.REFERENCE, [[None], [None]]), "Find the cause in the traces' failure field"),
        "empty": ([], other, "The sim side has no episodes. Record some with: usersim-env rollout"),
        "both empty": ([], [], "The sim side has no episodes"),
        "repeated": ([*sim, sim[0]], other, "occur more than once on the sim side"),
        "unknown answer": (sim, wrong, "Unknown answer to overall_score '9 (Great)'"),
        "unknown question": (sim, field, "Did you mean 'overall_score'?"),
        "none kept": (sim, dropped, "All 2 episodes of the reference side are marked keep: false"),
    }


@pytest.mark.parametrize("name", ["no overlap", "one task", "all failed", "empty", "both empty", "repeated",
                                  "unknown answer", "unknown question", "none kept"])  # fmt: skip
def test_one_sentence_and_exit_code_2(name: str, make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sim, reference, message = cases(make)[name]
    files = write(tmp_path / "sim.jsonl", sim), write(tmp_path / "reference.jsonl", reference)
    with pytest.raises(SystemExit) as stop:
        raise SystemExit(main(["gap", "--sim", files[0], "--reference", files[1], "--out", str(tmp_path / "out")]))
    out, err = capsys.readouterr()
    assert stop.value.code == 2
    assert message in " ".join(err.split())
    assert len(err.strip().splitlines()) == 1
    assert out == ""
    assert not (tmp_path / "out").exists()


def test_the_switches_reach_the_report(make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from usersim_env.traces.trace import Terms

    gated = Terms("gated", training=False)
    sim = write(tmp_path / "a.jsonl", make.side(make.SIM, [[1.0], [0.0]]))
    real = write(tmp_path / "b.jsonl", make.side(make.HUMAN, [[1.0], [1.0]], terms=gated, texts=["secret words"]))
    difficulty = tmp_path / "difficulty.json"
    difficulty.write_text('{"difficulty": {"mock_1": 0.1}}', encoding="utf-8")
    words = [
        "gap",
        "--sim",
        sim,
        "--real",
        real,
        "--difficulty",
        str(difficulty),
        "--json",
        "--out",
        str(tmp_path / "o"),
    ]
    main([*words, "--excerpts"])
    numbers = json.loads(capsys.readouterr().out)
    assert list(numbers["difficulty_bins"]) == ["below 0.2 (hardest)"]
    assert "secret words" in (tmp_path / "o" / "index.html").read_text(encoding="utf-8")
    main(words)
    assert "secret words" not in (tmp_path / "o" / "index.html").read_text(encoding="utf-8")


def test_one_episode_per_task_says_what_it_cannot_tell(
    make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sim = write(tmp_path / "a.jsonl", make.side(make.SIM, [[1.0], [0.0], [1.0]]))
    real = write(tmp_path / "b.jsonl", make.side(make.HUMAN, [[1.0], [1.0], [0.0]]))
    main(["gap", "--sim", sim, "--real", real, "--out", str(tmp_path)])
    capsys.readouterr()
    assert "Only k = 1 can be told" in (tmp_path / "index.html").read_text(encoding="utf-8")
