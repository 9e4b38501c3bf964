"""The two figures of `remedies`: where each arm ends, and how it gets there. Synthetic user sides, and they say so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from usersim_env.baselines.remedies_summary import Cell, Row
from usersim_env.gap.bootstrap import BootstrapSettings, Interval, interval
from usersim_env.gap.plot_style import SIDE_COLOURS, SIDE_MARKERS, Draw, Ink, bare, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDES = ("cooperative (synthetic, trained with)", "humanlike (synthetic, reference)")


def plot_end(cells: Sequence[Cell]) -> Draw:
    """Success on both sides, the gap, and the survey on both sides, per arm; one row per setting of the numbers."""
    numbers, arms = (list(dict.fromkeys(getattr(cell, name) for cell in cells)) for name in ("numbers", "arm"))
    found = {(cell.numbers, cell.arm, cell.measure): cell.mean for cell in cells}
    panels: dict[str, tuple[str, ...]] = {"success": ("sim", "reference"), "gap in success": ("gap",)}
    panels["survey, mean answer"] = ("survey_sim", "survey_reference")

    def draw(ink: Ink) -> Figure:
        figure = new_figure(9.6, 0.9 + 1.75 * len(numbers))
        grid = figure.subplots(len(numbers), len(panels), sharey=True, sharex="col", squeeze=False)
        for line, name in zip(grid, numbers, strict=True):
            for axes, (title, measures) in zip(line, panels.items(), strict=True):
                bare(axes, ink)
                if len(measures) == 1:
                    axes.axvline(0, color=ink.text, linewidth=1, zorder=0.9)
                _dots(axes, [[found[name, arm, m] for arm in arms] for m in measures], ink)
                axes.set_title(title)
            line[0].set_yticks(range(len(arms)), arms)
            line[0].set_ylim(len(arms) - 0.5, -0.5)
            line[0].set_ylabel(f"numbers {name}")
        count = found[numbers[0], arms[0], "sim"].n_tasks
        figure.supxlabel(f"dot: mean over {count} seeds, line: 95 % interval over seeds; held-out tasks", fontsize=9)
        figure.legend(*grid[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
        return figure

    return draw


def _dots(axes: Axes, rows: Sequence[Sequence[Interval]], ink: Ink) -> None:
    for i, row in enumerate(rows):
        colour = SIDE_COLOURS[i] if len(rows) > 1 else ink.text
        marker, shift = (SIDE_MARKERS[i], (i - 0.5) * 0.24) if len(rows) > 1 else ("o", 0.0)
        places = [y + shift for y in range(len(row))]
        for y, found in zip(places, row, strict=True):
            if found.low is not None and found.high is not None:
                axes.plot([found.low, found.high], [y, y], color=colour, linewidth=2.2, solid_capstyle="round")
        label = SIDES[i] if len(rows) > 1 else None
        axes.plot([found.estimate for found in row], places, marker, color=colour, markersize=6.5, label=label)


def plot_training(lines: Sequence[Row]) -> Draw:
    """Success on both sides at every look, per arm, with the numbers as they are: mean and interval over seeds."""
    looks = [line for line in lines if line["kind"] == "look" and line["numbers"] == lines[0]["numbers"]]
    arms = list(dict.fromkeys(line["arm"] for line in looks))

    def draw(ink: Ink) -> Figure:
        figure = new_figure(9.6, 2.9)
        for axes, arm in zip(figure.subplots(1, len(arms), sharey=True), arms, strict=True):
            bare(axes, ink, "y")
            for side, measure in enumerate(("sim", "reference")):
                _curve(axes, [line for line in looks if line["arm"] == arm], measure, side)
            axes.set_title(arm)
            axes.set_ylim(0, 1)
        handles = figure.axes[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper center", ncols=2)
        figure.supxlabel("training episodes; success on held-out tasks, band: 95 % interval over seeds", fontsize=9)
        return figure

    return draw


def _curve(axes: Axes, looks: Sequence[Row], measure: str, side: int) -> None:
    steps = sorted({look["episodes"] for look in looks})
    by_step = [[look[measure] for look in looks if look["episodes"] == step] for step in steps]
    found = [x for values in by_step if (x := interval(values, BootstrapSettings(bounds=(0, 1)))) is not None]
    colour = SIDE_COLOURS[side]
    lows, highs = [x.low or 0.0 for x in found], [1.0 if x.high is None else x.high for x in found]
    axes.fill_between(steps, lows, highs, color=colour, alpha=0.2, linewidth=0)
    axes.plot(steps, [x.estimate for x in found], SIDE_MARKERS[side] + "-", color=colour, label=SIDES[side])
