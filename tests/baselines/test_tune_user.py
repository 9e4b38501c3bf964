"""Tuning the agenda persona: the search, what is judged, what a row cannot show, terms first. Small budgets."""

from __future__ import annotations

import csv
import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from usersim_env.baselines import make_agent, target_row, tune_user, tune_user_judging
from usersim_env.baselines.target_row import target_of
from usersim_env.baselines.tune_user import KNOBS, Search, search, to_persona, to_vector
from usersim_env.baselines.tune_user_judging import known_persona, play
from usersim_env.errors import UsageError
from usersim_env.gap.usi.likeness_reward import likeness_reward
from usersim_env.gap.usi.target import PARTS, Target, write_target
from usersim_env.traces.file import TraceWriter
from usersim_env.traces.trace import Seat, Terms, Trace
from usersim_env.users.agenda import PERSONAS, Persona

TASKS = {
    "tuning": ("mock/train/0", "mock/train/1", "mock/test/0"),
    "held_out": ("mock/test/1", "mock/test/2", "mock/test/3"),
}
START, HUMANLIKE = PERSONAS["cooperative"], PERSONAS["humanlike"]
GENERATION = "12"  # personas, with sixteen numbers
STUDY = Terms("study data: research only, no training", training=False)


def played(persona: Persona | str, part: str = "tuning", seeds: int = 4) -> list[Trace]:
    persona = PERSONAS[persona] if isinstance(persona, str) else persona
    return list(play(persona, make_agent("clerk"), TASKS[part], range(500_000, 500_000 + seeds)))


@pytest.fixture(scope="module")
def target() -> Target:
    return target_of(played("humanlike"), played("humanlike", "held_out"))


@pytest.fixture
def file(target: Target, tmp_path: Path) -> str:
    write_target(target, tmp_path / "target.json")
    return str(tmp_path / "target.json")


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_points_of_the_cube_are_personas() -> None:
    assert to_persona(to_vector(HUMANLIKE), HUMANLIKE) == HUMANLIKE
    low, high = (to_persona(np.full(len(KNOBS), x), START) for x in (-1.0, 2.0))
    for knob in KNOBS:
        assert (getattr(low, knob.name), getattr(high, knob.name)) == (knob.low, knob.high)
    assert (low.leniency, low.human_like, low.max_turns) == (START.leniency, START.human_like, START.max_turns)


def test_the_row_of_a_persona_is_what_its_episodes_had(target: Target) -> None:
    row = target.part("tuning")
    assert likeness_reward(played("humanlike"), row).total == pytest.approx(1.0)
    other = likeness_reward(played("cooperative"), row).total
    assert other is not None and other < 0.9
    assert (row.episodes, row.tasks) == (12, TASKS["tuning"])


def test_a_search_ends_closer_and_the_same_seed_ends_at_the_same_place(target: Target) -> None:
    settings = Search(target, START, "clerk", 36, 3)
    found = search(settings)
    assert search(settings) == found
    assert search(dataclasses.replace(settings, seed=4)).persona != found.persona
    row = target.part("tuning")
    before, after = (likeness_reward(played(p), row).total for p in (START, found.persona))
    assert before is not None and after is not None and after > before + 0.05
    assert [tried for tried, _, _ in found.history] == [12, 24, 36]
    assert all(0 <= mean <= best <= 1 for _, mean, best in found.history)


def test_the_search_leaves_the_global_generator_alone(target: Target) -> None:
    before = np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    search(Search(target, START, "clerk", 12, 0))
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index]  # noqa: NPY002


def test_what_a_row_cannot_show(target: Target) -> None:
    """Numbers that move the survey alone, and the unit in which annoyance and patience are counted."""
    row = target.part("tuning")
    base = likeness_reward(played(HUMANLIKE), row)
    survey = dataclasses.replace(HUMANLIKE, leniency=1.0, human_like=0.0)
    assert likeness_reward(played(survey), row) == base
    annoyed = ("patience", "annoyed_by_repeats", "annoyed_by_errors", "annoyed_by_waiting")
    doubled = dataclasses.replace(HUMANLIKE, **{name: 2 * getattr(HUMANLIKE, name) for name in annoyed})
    assert [t.events for t in played(doubled)] == [t.events for t in played(HUMANLIKE)]
    polite = dataclasses.replace(HUMANLIKE, polite_share=0.9)
    assert likeness_reward(played(polite), row) != base


def test_the_command_writes_what_it_says(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--target", file, "--budget", GENERATION, "--seed", "0", "1", "--out"]
    for folder in ("a", "b"):
        assert tune_user.main([*command, str(tmp_path / folder)]) == 0
    said = capsys.readouterr().out
    assert "Target: agenda agenda (synthetic: it says nothing about people)" in said
    assert "held_out, mean of 2 searches: gain" in said
    for name in ("likeness.csv", "persona.csv", "history.csv", "tuning.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    likeness = read(tmp_path / "a" / "likeness.csv")
    who = {"start", "seed 0", "seed 1", "target", "mean of seeds"}
    assert {(row["who"], row["part"]) for row in likeness} == {(name, part) for name in who for part in PARTS}
    assert all(row["gain"] == "" for row in likeness if row["who"] == "start")
    assert all(float(row["gain_low"]) <= float(row["gain_high"]) for row in likeness if row["who"] != "start")
    persona = {row["number"]: row for row in read(tmp_path / "a" / "persona.csv")}
    assert list(persona) == [knob.name for knob in KNOBS]
    assert (persona["polite_share"]["start"], persona["polite_share"]["target"]) == ("0.49", "0.153")


def test_searches_in_processes_of_their_own_end_the_same(target: Target) -> None:
    plans = [Search(target, START, "clerk", 12, seed) for seed in (0, 1)]
    assert list(tune_user.searched(plans, 2)) == [search(plan) for plan in plans]


def test_terms_are_refused_before_anything_runs(
    target: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("an episode was played")

    for module in (tune_user, tune_user_judging):
        monkeypatch.setattr(module, "play", never)
    people = dataclasses.replace(target, user=Seat("human", "12 people"), terms=STUDY)
    write_target(people, tmp_path / "people.json")
    assert tune_user.main(["--target", str(tmp_path / "people.json"), "--out", str(tmp_path / "out")]) == 2
    assert "may not be trained on. Its terms: 'study data: research only, no training'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "11"], "--budget 11 is less than one generation: give 12 or more"),
        (["--seed", "1", "1"], "--seed takes different numbers from 0 on"),
        (["--seed", "-1"], "--seed takes different numbers from 0 on"),
        (["--start", "human"], "Unknown persona 'human'. Did you mean 'humanlike'?"),
        (["--agent", "clark"], "Unknown agent 'clark'"),
    ],
)
def test_bad_arguments(arguments: list[str], message: str, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune_user.main(["--target", file, "--out", "nowhere", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not Path("nowhere").exists()


def test_no_optimiser(file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cma", None)
    assert tune_user.main(["--target", file, "--out", "nowhere"]) == 2
    assert 'Tuning needs cma, which is not installed. Type: pip install "usersim_env[tuning,plot]"' in (
        capsys.readouterr().err
    )


def test_another_agent_than_the_targets_is_said(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--target", file, "--budget", GENERATION, "--agent", "clerk:ask_again=0", "--out", str(tmp_path)]
    assert tune_user.main(command) == 0
    assert "note: the target spoke with another agent (clerk" in capsys.readouterr().err


def test_a_target_of_people_has_no_known_persona_and_carries_their_terms(
    target: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Episodes of the agenda user stand in for people's, to see what happens to the terms; no figure comes of them."""
    paths = {}
    for part in PARTS:
        paths[part] = tmp_path / f"{part}.jsonl"
        with TraceWriter(paths[part]) as writer:
            for trace in played("humanlike", part, 1):
                writer.write(dataclasses.replace(trace, user=Seat("human", f"p{trace.task_id}"), terms=STUDY))
    out = tmp_path / "people.json"
    files = ["--tuning", str(paths["tuning"]), "--held-out", str(paths["held_out"]), "--out", str(out)]
    assert target_row.main(files) == 0
    assert f"6 people. Terms: {STUDY.licence}. Training: False." in capsys.readouterr().out
    assert tune_user.main(["--target", str(out), "--out", str(tmp_path / "out")]) == 2
    assert STUDY.licence in capsys.readouterr().err
    assert known_persona(dataclasses.replace(target, user=Seat("human", "6 people"))) is None
    assert known_persona(target) == HUMANLIKE
    own = dataclasses.replace(target, user=Seat("agenda", "agenda", {"persona": dataclasses.asdict(START)}))
    assert known_persona(own) == START


def test_rows_of_one_user_side_and_one_agent_over_different_tasks() -> None:
    mine, other = played("humanlike", seeds=1), played("humanlike", "held_out", 1)
    with pytest.raises(UsageError, match="mock/test/0 is in both parts"):
        target_of(mine, mine)
    with pytest.raises(UsageError, match="The traces are of 2 user sides"):
        target_of(mine, played("cooperative", "held_out", 1))
    failed = [dataclasses.replace(trace, reward=None) for trace in other]
    with pytest.raises(UsageError, match="held_out: none of 3 episodes is scored and has a user turn"):
        target_of(mine, failed)
    assert target_of(mine, [*other, failed[0]]).part("held_out").episodes == 3
    assert target_row.main(["--out", "x.json"]) == 2
