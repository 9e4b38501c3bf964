"""`compare_rewards`: the same episodes ranked by every reward: how often the choice differs, and what each prefers.

By the rule reward, by each survey question, and by mixtures. For each task, the best of its n episodes is chosen by
each; of equals each is as likely, by the same draw for all rewards. Then, against the rule reward: how often another
episode is chosen, and how often no episode is best by both (so that it is not the draw that decides). And what the
choice has more or less of than the task's mean episode: success, survey, turns, words, tool errors.

::

    python -m usersim_env.baselines.compare_rewards                           # episodes of its own
    python -m usersim_env.baselines.compare_rewards --traces runs/mine.jsonl  # yours
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from usersim_env.baselines.best_of_n import OUTCOMES, Group, add_source, cell, expected, load, over_tasks, values_of
from usersim_env.baselines.best_of_n import parse_mixture as parse
from usersim_env.baselines.command import run_script
from usersim_env.baselines.remedies_summary import Row, write_csv
from usersim_env.gap.bootstrap import BootstrapSettings, Interval
from usersim_env.gap.plot_style import Draw, Ink, bare, new_figure, require_matplotlib, write_plot
from usersim_env.gap.wording import signal_label
from usersim_env.wrappers.feedback_reward import SIGNALS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MIXTURES = ("rule+0.5*survey.overall_score", "rule+survey.mean")
"""Rewards beside the single signals; more with ``--mixture``."""

_EQUAL = 1e-9


@dataclass(frozen=True)
class Ranking:
    """What one reward chooses, beside the rule reward; ``None`` where no task has both.

    Attributes:
        reward: a signal or mixture.
        other: chance that it chooses another episode than the rule reward.
        apart: share of tasks in which no episode is best by both.
        prefers: outcome → of the one chosen, minus the mean of the task's episodes.
        n_groups: groups whose episodes all have its signals.
    """

    reward: str
    other: Interval | None
    apart: Interval | None
    prefers: Mapping[str, Interval | None]
    n_groups: int


def best(values: Sequence[float]) -> frozenset[int]:
    """Indices of the largest value."""
    top = max(values) - _EQUAL
    return frozenset(i for i, value in enumerate(values) if value >= top)


def differs(a: frozenset[int], b: frozenset[int]) -> float:
    """Chance that the choices from two sets of equals differ, if the first of one random order is taken in both."""
    return 1 - len(a & b) / len(a | b)


def rank(groups: Sequence[Group], reward: str, base: str = "rule") -> Ranking:
    """Compares what a reward chooses with what another one does."""
    pairs: list[tuple[str, frozenset[int], frozenset[int]]] = []
    chosen: list[tuple[Group, list[float]]] = []
    for group in groups:
        values, others = values_of(group, parse(reward)), values_of(group, parse(base))
        if values is not None:
            chosen.append((group, values))
            if others is not None:
                pairs.append((group[0].task_id, best(values), best(others)))
    share = BootstrapSettings(bounds=(0, 1))
    return Ranking(
        reward,
        over_tasks(((task, differs(a, b)) for task, a, b in pairs), share),
        over_tasks(((task, float(not a & b)) for task, a, b in pairs), share),
        {outcome: _preference(chosen, outcome) for outcome in OUTCOMES},
        len(chosen),
    )


def _preference(chosen: Sequence[tuple[Group, list[float]]], outcome: str) -> Interval | None:
    found = []
    for group, values in chosen:
        measured = [x for trace in group if (x := OUTCOMES[outcome](trace)) is not None]
        if len(measured) == len(group):
            gain = expected(values, measured, len(group)) - math.fsum(measured) / len(group)
            found.append((group[0].task_id, gain))
    return over_tasks(found, BootstrapSettings(bounds=(-math.inf, math.inf)))


def ranking_table(rankings: Sequence[Ranking]) -> Table:
    """One row per reward."""
    table = Table("reward", "groups", "other choice", "apart", *OUTCOMES, box=SIMPLE_HEAD)
    for row in rankings:
        preferred = [cell(row.prefers[outcome], sign=True) for outcome in OUTCOMES]
        table.add_row(_label(row.reward), str(row.n_groups), cell(row.other), cell(row.apart), *preferred)
    return table


def _label(reward: str) -> str:
    return signal_label(reward) if reward in SIGNALS else reward.replace("*", "·").replace("+", " + ")


def csv_rows(rankings: Sequence[Ranking]) -> list[Row]:
    """One row per reward and number."""
    found = []
    for ranking in rankings:
        numbers = {"other choice": ranking.other, "apart": ranking.apart}
        numbers |= {f"prefers: {outcome}": interval for outcome, interval in ranking.prefers.items()}
        for name, value in numbers.items():
            if value is not None:
                ends: Row = {"mean": value.estimate, "low": value.low, "high": value.high, "tasks": value.n_tasks}
                found.append({"reward": ranking.reward, "measure": name} | ends)
    return found


def ranking_plot(rankings: Sequence[Ranking], note: str) -> Draw:
    """Dots and whiskers: how often another episode is chosen than by the rule reward, and what is preferred."""
    panels = {"another choice than the rule's": [row.other for row in rankings]}
    panels |= {f"{name}: chosen − mean": [row.prefers[name] for row in rankings] for name in OUTCOMES}

    def draw(ink: Ink) -> Figure:
        figure = new_figure(10.2, 1.9 + 0.52 * len(rankings))
        grid = figure.subplots(2, 3, sharey=True)
        for axes, (title, values) in zip(grid.flat, panels.items(), strict=True):
            _dots(axes, values, ink)
            axes.set_title(title, fontsize=9.5)
        for line in grid:
            line[0].set_yticks(range(len(rankings)), [_label(row.reward) for row in rankings], fontsize=8.5)
        grid[0][0].set_ylim(len(rankings) - 0.5, -0.5)
        figure.supxlabel(note, fontsize=9)
        return figure

    return draw


def _dots(axes: Axes, values: Sequence[Interval | None], ink: Ink) -> None:
    bare(axes, ink)
    axes.axvline(0, color=ink.text, linewidth=1, zorder=0.9)
    for y, value in enumerate(values):
        if value is None:
            continue
        if value.low is not None and value.high is not None:
            axes.plot([value.low, value.high], [y, y], color=ink.text, linewidth=2.0, solid_capstyle="round")
        face = ink.paper if value.covers_zero else ink.text
        axes.plot(value.estimate, y, "o", markersize=6, markerfacecolor=face, markeredgecolor=ink.text)


def main(arguments: Sequence[str] | None = None) -> None:
    """``python -m usersim_env.baselines.compare_rewards``."""
    parser = argparse.ArgumentParser(prog="compare_rewards", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--mixture", nargs="+", default=MIXTURES, metavar="MIX", help="such as rule+0.5*survey.mean")
    parser.add_argument("--out", type=Path, default=Path("runs/rewards"), metavar="FOLDER")
    add_source(parser)
    given = parser.parse_args(arguments)
    rewards = [*SIGNALS, *given.mixture]
    for reward in rewards:
        parse(reward)  # before anything runs
    require_matplotlib()
    groups = load(given)
    rankings = [found for reward in rewards if (found := rank(groups, reward)).n_groups]
    for reward in sorted(set(rewards) - {row.reward for row in rankings}):
        print(f"{reward}: left out, no group in which every episode has it")
    Console().print(ranking_table(rankings))
    given.out.mkdir(parents=True, exist_ok=True)
    write_csv(csv_rows(rankings), given.out / "compare_rewards.csv")
    tasks = len({group[0].task_id for group in groups})
    note = f"dot: mean over {tasks} tasks, best of {given.n} episodes; line: 95 % interval; open: 0 is inside"
    write_plot(ranking_plot(rankings, note), "compare_rewards", given.out)
    print(f"Written: {given.out}/compare_rewards.csv, compare_rewards.png")


if __name__ == "__main__":
    run_script(main)
