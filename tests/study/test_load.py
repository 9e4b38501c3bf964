"""Many participants at once: nothing is lost, doubled or out of order. The figures: `make study-proofs`."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.study.crowd import Measured, Participant, crowd, differences, percentile, stored_twice
from tests.study.serving import ServerProcess
from usersim_env.study.export import export_study
from usersim_env.traces.file import read_traces

PEOPLE, TURNS = 200, 10
AGENTS = "tests.study.proof_agents"


def study_of(tmp_path: Path, people: int, turns: int, think: float, *words: str) -> tuple[Measured, dict[str, float]]:
    """Serves a study to a crowd and compares; returns what was measured.

    Args:
        tmp_path: of the test.
        people: at once.
        turns: of each.
        think: seconds before a move, in the mean.
        words: of the command line.
    """
    server, measured = ServerProcess(tmp_path / "study", "--participants-from", "prolific", *words), Measured()
    server.start()
    try:
        server.wait()
        participants = [Participant(server.origin, f"p{k}", measured) for k in range(people)]
        began = time.perf_counter()
        asyncio.run(crowd(participants, turns, think))
        figures = {"seconds": time.perf_counter() - began, "memory": server.memory()}
        figures |= {"cpu": server.cpu(), "waited": server.waited()}
        export_study(server.folder, tmp_path / "people.jsonl")
    finally:
        server.stop()
    traces = read_traces(tmp_path / "people.jsonl")
    assert differences(participants, traces) == []
    assert stored_twice(server.folder, traces) == []
    assert [len(p.said) for p in participants] == [turns] * people
    assert +measured.counts == {"moves acknowledged": people * (turns + 2)}, "a connection was lost"
    assert "ERROR" not in server.words() and "Traceback" not in server.words()
    return measured, figures


def test_a_crowd_loses_nothing(tmp_path: Path) -> None:
    words = ("--domain", "mock", "--per-task", "20", "--agent", f"{AGENTS}:at_once", "--provider", "nobody else")
    measured, _ = study_of(tmp_path, 20, 3, 0.0, *words)
    assert len(measured.answered) == 20 * 3


@pytest.mark.slow
@pytest.mark.parametrize(("agent", "think"), [("at_once", 1.0), ("slow", 1.0), ("at_once", 0.0)])
def test_200_participants(tmp_path: Path, agent: str, think: float) -> None:
    words = ("--domain", "retail", "--agent", f"{AGENTS}:{agent}", "--provider", "nobody else")
    measured, figures = study_of(tmp_path, PEOPLE, TURNS, think, *words)
    ms = {
        name: [round(1000 * percentile(values, share), 1) for share in (0.5, 0.99, 1.0)]
        for name, values in (("acknowledged", measured.acknowledged), ("answered", measured.answered))
    }
    print(
        f"\n{agent}, {think:g} s of thought: {PEOPLE} people x {TURNS} turns in {figures['seconds']:.1f} s "
        f"(server: {figures['cpu']:.1f} s of processor, {figures['waited']:.1f} s of waiting for one); "
        f"ms (median, 99 %, most): {ms}; memory {figures['memory']:.0f} MB"
    )
    assert figures["memory"] < 400
    if think:  # nobody who types answers in no time: there the server is as fast as its processor
        assert percentile(measured.acknowledged, 0.99) < 0.150
