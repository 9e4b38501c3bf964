"""`remedies`: four ways of training `reinforce`, side by side, over several seeds: a CSV, a summary and two figures.

Rule reward alone; mixed with survey signals; a mixture of user sides; both. All are evaluated with the same two
synthetic user sides on the same held-out tasks, and everything again with the personas' numbers varied by ±50 %. An
illustration with a planted mechanism: it shows what the tools measure, not which remedy helps with people.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from usersim_env.baselines.command import run_script
from usersim_env.baselines.reinforce import Training, run
from usersim_env.baselines.remedies_plot import plot_end, plot_training
from usersim_env.baselines.remedies_summary import Row, print_cells, summarise, summary_rows, write_csv
from usersim_env.errors import UsageError
from usersim_env.gap.plot_style import require_matplotlib, write_plot
from usersim_env.users.agenda.persona import Persona, persona_of

ARMS: Mapping[str, Mapping[str, bool]] = {
    "rule reward alone": {},
    "with survey": {"survey": True},
    "mixture of users": {"mixture": True},
    "both": {"survey": True, "mixture": True},
}
"""Name → flags of `Training`."""

NUMBERS = ("as they are", "varied by ±50 %")
"""What is done to the personas' numbers."""

_AMOUNTS = {"patience", "persistence", "leniency", "max_turns"}
"""Numbers of a persona that are no chances, beside the ``annoyed_by_…``."""


def varied(persona: Persona | str, seed: int, spread: float = 0.5) -> Persona:
    """The persona with each number times a factor of its own, evenly from 1 − ``spread`` to 1 + ``spread``.

    Chances stay at most 1. What the survey's weights do is in the user's code and is not varied.
    """
    rng = np.random.default_rng((seed, 0x5641_5259))
    numbers = {}
    for name, value in asdict(persona_of(persona)).items():
        found = value * float(rng.uniform(1 - spread, 1 + spread))
        numbers[name] = found if name in _AMOUNTS or name.startswith("annoyed") else min(found, 1.0)
    return Persona(**numbers)


@dataclass(frozen=True)
class Job:
    """One run: an arm, a seed, and what is done to the personas' numbers (one of `NUMBERS`)."""

    numbers: str
    arm: str
    seed: int
    episodes: int

    def training(self) -> Training:
        """The settings of the run."""
        flags: dict[str, Any] = {"seed": self.seed, "episodes": self.episodes, **ARMS[self.arm]}
        if self.numbers != NUMBERS[0]:  # another draw for every seed, the same for all arms
            flags["persona"] = varied("cooperative", 2 * self.seed)
            flags["reference"] = varied("humanlike", 2 * self.seed + 1)
        return Training(**flags)


def rows(job: Job) -> list[Row]:
    """Trains, watches, and gives one row per look and one for the last policy on fresh episodes."""
    found = run(job.training())
    head = {"numbers": job.numbers, "arm": job.arm, "seed": job.seed}
    lines = []
    for look in found.looks:
        numbers = look.numbers()
        names = ("sim", "reference", "gap", "gap_low", "gap_high", "alarm")
        lines.append(head | {"kind": "look", "episodes": look.step} | {name: numbers[name] for name in names})
    before = found.looks[0].numbers()["gap"]
    signals = {gap.signal: gap for gap in found.final.gaps}
    rule, survey = signals["rule"], signals["survey.mean"]
    last: Row = {"sim": rule.sim, "reference": rule.reference, "gap": rule.gap.estimate}
    last |= {"gap_low": rule.gap.low, "gap_high": rule.gap.high, "growth": rule.gap.estimate - before}
    last |= {"survey_sim": survey.sim, "survey_reference": survey.reference, "survey_gap": survey.gap.estimate}
    return [*lines, head | {"kind": "last", "episodes": job.episodes} | last]


def main(arguments: Sequence[str] | None = None) -> None:
    """``python -m usersim_env.baselines.remedies``; `make rl`."""
    parser = argparse.ArgumentParser(prog="remedies", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path("runs/rl"), metavar="FOLDER", help="default: runs/rl")
    parser.add_argument("--seeds", type=int, default=6, metavar="N", help="per arm (default: 6)")
    parser.add_argument("--episodes", type=int, default=Training.episodes, metavar="N", help="to train on, per run")
    parser.add_argument("--processes", type=int, default=2, metavar="N", help="at a time (default: 2)")
    given = parser.parse_args(arguments)
    if given.seeds < 2 or given.processes < 1:
        raise UsageError(f"--seeds is at least 2 and --processes at least 1, got {given.seeds}, {given.processes}.")
    require_matplotlib()
    jobs = [Job(n, arm, seed, given.episodes) for n in NUMBERS for seed in range(given.seeds) for arm in ARMS]
    lines: list[Row] = []
    given.out.mkdir(parents=True, exist_ok=True)
    with multiprocessing.get_context("spawn").Pool(given.processes) as pool:
        for done, (job, found) in enumerate(zip(jobs, pool.imap(rows, jobs), strict=True), 1):
            lines += found
            write_csv(lines, given.out / "rl.csv")  # each time, so that a run that is broken off leaves what it had
            last = found[-1]
            scores = f"{last['sim']:.3f} simulated, {last['reference']:.3f} reference"
            print(
                f"{done}/{len(jobs)} {job.numbers}, {job.arm}, seed {job.seed}: {scores}", file=sys.stderr, flush=True
            )
    cells = summarise(lines)
    write_csv(summary_rows(cells), given.out / "rl_summary.csv")
    print_cells(cells)
    write_plot(plot_end(cells), "rl", given.out)
    write_plot(plot_training(lines), "rl_training", given.out)
    print(f"Both user sides are synthetic. Written: {given.out}/rl.csv, rl_summary.csv, rl.png, rl_training.png")


if __name__ == "__main__":
    run_script(main)
