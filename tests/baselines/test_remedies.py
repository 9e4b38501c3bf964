"""The four arms side by side: what is varied, what is averaged, what is written."""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path

import pytest

from usersim_env.baselines import remedies
from usersim_env.baselines.reinforce import Training
from usersim_env.baselines.remedies import ARMS, NUMBERS, Job, varied
from usersim_env.baselines.remedies_plot import plot_end, plot_training
from usersim_env.baselines.remedies_summary import MEASURES, Row, print_cells, summarise, summary_rows, write_csv
from usersim_env.errors import UsageError
from usersim_env.gap.plot_style import png
from usersim_env.users.agenda.persona import PERSONAS


def test_numbers_are_varied_one_by_one_by_at_most_a_half() -> None:
    for name, persona in PERSONAS.items():
        ratios: dict[str, list[float]] = {}
        for seed in range(50):
            found = varied(name, seed)
            for field, value in asdict(persona).items():
                if value:
                    ratios.setdefault(field, []).append(getattr(found, field) / value)
                else:
                    assert getattr(found, field) == 0
        assert all(0.5 <= ratio <= 1.5 for found in ratios.values() for ratio in found)
        assert all(max(found) - min(found) > 0.2 for field, found in ratios.items())
    assert varied("humanlike", 0) == varied("humanlike", 0) != varied("humanlike", 1)
    assert varied("humanlike", 0, spread=0) == PERSONAS["humanlike"]


def test_arms_of_one_seed_differ_in_their_flags_alone() -> None:
    plain = Job(NUMBERS[0], "both", 2, 32).training()
    assert plain == Training(seed=2, survey=True, mixture=True, episodes=32)
    assert (plain.persona, plain.reference) == ("cooperative", "humanlike")
    a, b = (Job(NUMBERS[1], arm, 2, 32).training() for arm in ("rule reward alone", "with survey"))
    assert (a.persona, a.reference) == (b.persona, b.reference) and a.persona != a.reference
    assert (a.survey, b.survey) == (False, True)
    assert Job(NUMBERS[1], "both", 3, 32).training().reference != a.reference


def lines() -> list[Row]:
    """Two arms and three seeds: the second arm's success is a tenth higher with every seed."""
    found: list[Row] = []
    for numbers in NUMBERS:
        for arm, shift in zip(ARMS, (0.0, 0.1), strict=False):
            for seed, x in enumerate((0.2, 0.4, 0.6)):
                head: Row = {"numbers": numbers, "arm": arm, "seed": seed}
                for step in (0, 8):
                    found.append(head | {"kind": "look", "episodes": step, "sim": x, "reference": x / 2})
                found.append(head | {"kind": "last", "episodes": 8} | dict.fromkeys(MEASURES, x + shift))
    return found


def test_differences_are_taken_seed_by_seed(capsys: pytest.CaptureFixture[str]) -> None:
    cells = {(cell.numbers, cell.arm, cell.measure): cell for cell in summarise(lines())}
    rule, survey = (cells[NUMBERS[0], arm, "sim"] for arm in list(ARMS)[:2])
    assert rule.mean.estimate == pytest.approx(0.4) and rule.against is None and rule.mean.n_tasks == 3
    assert rule.mean.low == 0.0 and rule.mean.high is not None and 0.6 < rule.mean.high <= 1
    assert survey.against is not None and survey.against.estimate == pytest.approx(0.1)
    assert survey.against.word == "degenerate"  # the same with every seed
    print_cells([survey])
    assert "minus rule alone: +0.100" in capsys.readouterr().out
    assert summary_rows([survey])[0]["minus_rule_alone"] == pytest.approx(0.1)


def test_figures_and_files(tmp_path: Path) -> None:
    write_csv(lines(), tmp_path / "rl.csv")
    with open(tmp_path / "rl.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(lines()) and rows[0]["kind"] == "look" and rows[0]["growth"] == ""
    for draw in (plot_end(summarise(lines())), plot_training(lines())):
        assert len(png(draw)) > 10_000


def test_what_cannot_be_averaged_is_said() -> None:
    with pytest.raises(UsageError, match="--seeds is at least 2 and --processes at least 1, got 1, 2"):
        remedies.main(["--seeds", "1"])


@pytest.mark.usefixtures("tau")
@pytest.mark.filterwarnings("ignore::usersim_env.gap.MonitorWarning")
def test_one_job_gives_looks_and_the_last_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    few = [f"retail/test/{i}" for i in range(3)]
    monkeypatch.setattr(remedies, "Training", lambda **flags: Training(tasks=few, looks=1, **flags))
    found = remedies.rows(Job(NUMBERS[1], "both", 0, 16))
    assert [(row["kind"], row["episodes"]) for row in found] == [("look", 0), ("look", 16), ("last", 16)]
    assert set(MEASURES) <= set(found[-1])
    assert found[-1]["growth"] == pytest.approx(found[-1]["gap"] - found[0]["gap"])
