"""``gap --usi``: the User-Sim Index as a part of the gap report."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from usersim_env.cli import main
from usersim_env.gap import GapResult, GapSettings, compare, print_tables, write_report
from usersim_env.gap.exports import numbers_csv
from usersim_env.gap.usi import user_sim_index
from usersim_env.traces.file import TraceWriter
from usersim_env.traces.trace import Trace

DIFFICULTY = {f"mock/test/{task}": task / 10 for task in range(10)}
FAST = GapSettings(replicates=100, usi=True, difficulty=DIFFICULTY)
PARTS = ("D1_conv", "D2_info", "D3_clarif", "D4_react", "ece", "usi")


def in_batches(traces: list[Trace]) -> list[Trace]:
    return [
        dataclasses.replace(t, user=dataclasses.replace(t.user, notes={**t.user.notes, "batch": t.seed + 1}))
        for t in traces
    ]


def write_traces(traces: list[Trace], path: str) -> None:
    with TraceWriter(path) as writer:
        for trace in traces:
            writer.write(trace)


def printed(result: GapResult) -> str:
    console = Console(file=io.StringIO(), width=120)
    print_tables(result, console)
    return " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]


def test_against_people_it_is_the_index_of_the_command(make: Any) -> None:
    sim, people = make.drawn(make.SIM, 10, 2, 0.8, 1), in_batches(make.drawn(make.HUMAN, 10, 3, 0.4, 2))
    result = compare(sim, people, FAST)
    expected = user_sim_index(people, {"simulated": sim}, difficulty=DIFFICULTY)
    assert result.usi is not None and result.usi.sim is not None and result.usi.between is not None
    assert result.usi.sim.as_dict() == expected.rows[1].as_dict()
    human = expected.rows[0].as_dict() | {"name": "human, between batches"}
    assert result.usi.between.as_dict() == human
    assert result.usi.batches == 3 and all(result.usi.sim.as_dict()[part][1] is not None for part in PARTS)


def test_without_batches_there_is_one_and_no_deviation(make: Any) -> None:
    sim, other = make.drawn(make.SIM, 10, 2, 0.8, 1), make.drawn(make.REFERENCE, 10, 3, 0.4, 2)
    found = compare(sim, other, FAST).as_dict()["usi"]
    assert found["batches"] == 1 and found["between_batches"] is None
    for part in PARTS:
        mean, deviation = found["sim"][part]
        assert deviation is None and mean > 0


def test_the_same_episodes_are_entirely_alike(make: Any) -> None:
    traces = make.drawn(make.SIM, 10, 1, 0.5, 1)
    copies = [dataclasses.replace(trace, id=f"copy of {trace.id}") for trace in traces]
    found = compare(traces, copies, FAST).as_dict()["usi"]["sim"]
    assert found["usi"] == [100.0, None] and found["ece"] == [0.0, None]


def test_a_reference_is_never_called_human(make: Any) -> None:
    result = compare(make.drawn(make.SIM, 10, 1, 0.8, 1), make.drawn(make.REFERENCE, 10, 1, 0.4, 2), FAST)
    assert result.usi is not None and "human" not in json.dumps(result.usi.as_dict()).replace("no human baseline", "")
    text = printed(result)
    assert "User-Sim Index: likeness to the reference" in text and "it says nothing about people" in text


def test_without_difficulty_the_rest_is_there(make: Any) -> None:
    settings = dataclasses.replace(FAST, difficulty=None)
    result = compare(make.drawn(make.SIM, 10, 2, 0.8, 1), make.drawn(make.HUMAN, 10, 1, 0.4, 2), settings)
    assert result.usi is not None
    found = result.usi.as_dict()
    assert found["sim"]["D1_conv"][0] > 0 and found["sim"]["ece"] is None and found["sim"]["usi"] is None
    assert "takes 10 scored simulated episodes of it, and there are 2 at most. Give a table" in printed(result)


def test_it_says_which_tasks_the_calibration_is_over(make: Any) -> None:
    sim = make.side(make.SIM, [[1.0] * 10, [0.0] * 10, [1.0] * 2])
    other = make.side(make.REFERENCE, [[1.0], [1.0], [0.0]])
    found = compare(sim, other, dataclasses.replace(FAST, difficulty=None)).as_dict()["usi"]
    assert found["sim"]["ece"] == [0.5, None]  # one of the two tasks with ten episodes
    assert "10 or more simulated episodes: 2 of 3 shared tasks have one" in found["notes"][0]


def test_what_cannot_be_computed_is_said_and_the_report_is_written(make: Any, tmp_path: Path) -> None:
    other = make.drawn(make.REFERENCE, 10, 2, 0.4, 2)
    clash = [dataclasses.replace(t, user=dataclasses.replace(t.user, notes={"batch": 1})) for t in other]
    result = compare(make.drawn(make.SIM, 10, 1, 0.8, 1), clash, FAST)
    why = "The User-Sim Index cannot be computed: the reference side: "
    assert why in printed(result)
    assert "usi,sim,,missing" in numbers_csv(result)
    write_report(result, tmp_path)
    for name in ("index.html", "report.md", "gap.json"):
        assert why in (tmp_path / name).read_text(encoding="utf-8")


def test_the_command_writes_it_everywhere(make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sim, people, table = (str(tmp_path / name) for name in ("sim.jsonl", "people.jsonl", "difficulty.json"))
    write_traces(make.drawn(make.SIM, 10, 1, 0.8, 1), sim)
    write_traces(in_batches(make.drawn(make.HUMAN, 10, 2, 0.4, 2)), people)
    Path(table).write_text(json.dumps({"difficulty": DIFFICULTY}))
    arguments = ["gap", "--sim", sim, "--real", people, "--json", "--difficulty", table]
    assert main([*arguments, "--usi", "--out", str(tmp_path / "out")]) == 0
    found = json.loads(capsys.readouterr().out)["usi"]
    assert found["against"] == "human" and found["sim"]["usi"][0] > 0
    index = f"{found['sim']['usi'][0]:.1f} ± {found['sim']['usi'][1]:.1f}"
    for name in ("index.html", "report.md"):
        text = (tmp_path / "out" / name).read_text(encoding="utf-8")
        assert "User-Sim Index" in text and index in text
    table_text = (tmp_path / "out" / "numbers.csv").read_text(encoding="utf-8")
    rows = {tuple(row[:3]): row[3] for row in csv.reader(table_text.splitlines())}
    assert float(rows["usi", "sim", "usi.0"]) == found["sim"]["usi"][0]
    assert main(arguments) == 0
    assert "usi" not in json.loads(capsys.readouterr().out)
