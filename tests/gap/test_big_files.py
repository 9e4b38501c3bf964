"""Large files: a comparison keeps numbers, not transcripts, and says the same as with whole traces.

The large ones are slow: `make big-files` makes 200,000 episodes and measures (docs/measuring.md).
"""

from __future__ import annotations

import itertools
import json
import math
import os
import random
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.gap.conftest import HUMAN, REFERENCE, SIM, make_side
from usersim_env.baselines import Clerk
from usersim_env.errors import TraceError
from usersim_env.feedback.behaviour import hidden_turns
from usersim_env.feedback.survey import FIELDS, Survey
from usersim_env.gap import GapSettings, compare, write_report
from usersim_env.gap.episodes import read_episodes
from usersim_env.gap.tables import footnotes
from usersim_env.rollouts import RolloutSettings, rollout
from usersim_env.traces.file import read_traces
from usersim_env.traces.trace import Trace

FEW = GapSettings(replicates=200)
_MEASURE = """
import json, resource, sys, time
from usersim_env.cli import main
began = time.perf_counter()
assert main(["gap", "--sim", sys.argv[1], "--reference", sys.argv[2], "--out", sys.argv[3], "--json"]) == 0
used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(used), file=sys.stderr)
"""


def played(env_id: str, persona: str, seeds: Sequence[int], tasks: Sequence[str] | None = None) -> list[Trace]:
    settings = RolloutSettings(tasks=tasks, seeds=seeds, keywords={"persona": persona}, progress=False)
    return list(rollout(Clerk(), env_id, settings).traces)


def write(file: Path, traces: Sequence[Trace], count: int) -> Path:
    """So many episodes: the talk of those that were played, each with an id, answers and numbers of its own.

    Equal ones would take less memory than real ones do, as what is equal is kept once.
    """
    lines = [json.loads(trace.to_line()) for trace in traces]
    rng = random.Random(file.name)
    with file.open("wb") as out:
        for number, line in zip(range(count), itertools.cycle(lines), strict=False):
            line["id"], line["seed"] = f"{rng.getrandbits(64):016x}", number
            if line["survey"] is not None:
                answers = {field: rng.choice(list(question.answers)) for field, question in FIELDS.items()}
                levels = Survey(answers).normalised()
                line["survey"] = next(e for e in line["events"] if e["event"] == "survey")["answers"] = answers
                line["signals"] |= {f"survey.{field}": level for field, level in levels.items()} | {"own": rng.random()}
                line["signals"]["survey.mean"] = math.fsum(levels.values()) / len(levels)
            line["behaviour"] = {name: value * rng.random() for name, value in line["behaviour"].items()}
            line["provenance"]["seconds"] = rng.random()
            out.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    return file


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("files")
    files = []
    for persona in ("cooperative", "humanlike"):
        traces = played("TauMock-agenda-v0", persona, range(4))
        files.append(folder / f"{persona}.jsonl")
        files[-1].write_bytes(b"".join(trace.to_line() for trace in traces))
    return files[0], files[1]


def test_a_file_and_its_traces_give_the_same_report(sides: tuple[Path, Path], tmp_path: Path) -> None:
    whole = compare(read_traces(sides[0]), read_traces(sides[1]), GapSettings(replicates=200, usi=True))
    slim = compare(str(sides[0]), sides[1], GapSettings(replicates=200, usi=True))
    assert slim.as_dict() == whole.as_dict()
    pages = [write_report(result, tmp_path / name) for name, result in (("whole", whole), ("slim", slim))]
    assert all(path.read_bytes() == (pages[1].parent / path.name).read_bytes() for path in pages[0].parent.iterdir())
    assert slim.examples and slim.examples[0].sim.messages == whole.examples[0].sim.messages


@pytest.mark.filterwarnings("ignore:.*have failed and are not scored")
def test_failures_and_retries_in_a_file(tmp_path: Path) -> None:
    sim = make_side(SIM, [[1.0, None], [0.0, 1.0], [1.0, 1.0]])
    other = make_side(HUMAN, [[0.0, 1.0], [None, 1.0], [0.0, 1.0]], survey={"reuse": "Yes"})
    again = make_side(SIM, [[1.0, 1.0]])[1:]
    files = [tmp_path / "sim.jsonl", tmp_path / "real.jsonl"]
    for file, traces in zip(files, ([*sim, *again], other), strict=True):
        file.write_bytes(b"".join(trace.to_line() for trace in traces))
    settings = GapSettings(replicates=200, real=True)
    whole, slim = compare(read_traces(files[0]), read_traces(files[1]), settings), compare(files[0], files[1], settings)
    assert slim.as_dict() == whole.as_dict() and slim.pairing.sim.n_scored == 6


def test_a_file_that_changes_meanwhile_is_an_error(sides: tuple[Path, Path], tmp_path: Path) -> None:
    file = tmp_path / "copy.jsonl"
    file.write_bytes(sides[0].read_bytes())
    episodes = read_episodes(file)
    for content in (sides[1].read_bytes(), b"", sides[0].read_bytes()[1:]):
        file.write_bytes(content)
        for episode in episodes:
            with pytest.raises(TraceError, match=r"copy\.jsonl has changed since episode"):
                episode.whole()
    file.unlink()
    with pytest.raises(TraceError, match="has changed"):
        episodes[0].whole()


def test_an_episode_takes_little_memory_however_long_it_is(sides: tuple[Path, Path], tmp_path: Path) -> None:
    file = write(tmp_path / "many.jsonl", read_traces(sides[0]), 3000)
    read_episodes(sides[0])  # what is kept once and for all
    tracemalloc.start()
    episodes = read_episodes(file)
    size = tracemalloc.get_traced_memory()[0] / len(episodes)
    tracemalloc.stop()
    assert len(episodes) == 3000 and size < 1000, f"{size:.0f} bytes an episode"


def test_the_result_in_a_line(sides: tuple[Path, Path]) -> None:
    text = repr(compare(*sides, FEW))
    assert text.startswith("<GapResult: ") and "rule reward " in text and len(text) < 150


def test_of_a_task_with_many_episodes_some_are_looked_at(sides: tuple[Path, Path]) -> None:
    sim, reference = (make_side(user, [[1.0] * 500, [0.0] * 500]) for user in (SIM, REFERENCE))
    assert len(compare(sim, reference, FEW).examples) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("domain", "count"), [("Mock", 100_000), ("Retail", 100_000)])
def test_200_000_episodes(tmp_path: Path, domain: str, count: int) -> None:
    tasks = None if domain == "Mock" else [f"retail/test/{number}" for number in range(40)]
    files = [
        write(tmp_path / f"{persona}.jsonl", played(f"Tau{domain}-agenda-v0", persona, range(5), tasks), count)
        for persona in ("cooperative", "humanlike")
    ]
    size = sum(file.stat().st_size for file in files) / 1e9
    command = [sys.executable, "-c", _MEASURE, *map(str, files), str(tmp_path / "report")]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, memory = json.loads(done.stderr.splitlines()[-1])
    print(
        f"\n{domain}: {2 * count:,} episodes, {size:.2f} GB: {seconds:.0f} s ({seconds / size:.0f} s per GB; with the "
        f"start {time.perf_counter() - began:.0f} s), at most {memory:.0f} MB; load {os.getloadavg()[0]:.1f}"
    )
    assert memory < 400


def test_turns_whose_phrases_a_curly_apostrophe_hides_are_counted(tmp_path: Path) -> None:
    texts = ("I don\u2019t know.", "I don't know.", "It\u2019s me.", "Nothing here.")
    sim, reference = make_side(SIM, [[1.0], [0.0]], texts=texts), make_side(REFERENCE, [[1.0], [0.0]])
    assert hidden_turns(texts) == 1, "only where there is a phrase to find"
    whole = compare(sim, reference, FEW)
    note = "in 2 simulated and 0 reference turns a curly apostrophe (’) hides a phrase"
    assert any(note in text for text in footnotes(whole))
    file = tmp_path / "sim.jsonl"
    file.write_bytes(b"".join(trace.to_line() for trace in sim))
    assert footnotes(compare(file, reference, FEW)) == footnotes(whole)
    assert not any("apostrophe" in text for text in footnotes(compare(reference, make_side(SIM, [[1.0], [0.0]]), FEW)))
