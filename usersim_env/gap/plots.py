"""Plots of a comparison: the gap per signal, and success per side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usersim_env.gap.bootstrap import Interval
from usersim_env.gap.plot_style import SIDE_COLOURS, SIDE_MARKERS, Draw, Ink, bare, new_figure
from usersim_env.gap.result import GapResult
from usersim_env.gap.wording import percent, signal_label, signed, span

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def gap_plot(result: GapResult) -> Draw:
    """Gap per signal as dot and whisker around a line at zero; open dots where 0 is inside the interval."""

    def draw(ink: Ink) -> Figure:
        rows = result.gaps
        figure = new_figure(7.6, 1.35 + 0.34 * len(rows))
        axes = figure.subplots()
        bare(axes, ink)
        axes.axvline(0, color=ink.text, linewidth=1, zorder=0.9)
        for y, row in enumerate(rows):
            _whisker(axes, y, row.gap, ink.text)
            face = ink.paper if row.gap.covers_zero else ink.text
            axes.plot(row.gap.estimate, y, "o", markersize=7.5, markerfacecolor=face, markeredgecolor=ink.text)
            _beside(axes, y, f"{signed(row.gap.estimate)}  {span(row.gap)}")
        axes.set_yticks(range(len(rows)), [signal_label(row.signal) for row in rows])
        axes.get_yticklabels()[0].set_fontweight("bold")
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(*_symmetric(result))
        axes.set_xlabel(
            f"{result.pairing.gap_words}   (dot: estimate, line: {percent(result.settings.level)} interval)"
        )
        return figure

    return draw


def success_plot(result: GapResult) -> Draw:
    """Share of successful episodes per side, with intervals."""

    def draw(ink: Ink) -> Figure:
        figure = new_figure(7.6, 1.75)
        axes = figure.subplots()
        bare(axes, ink)
        labels = []
        for y, (side, success) in enumerate(zip(result.pairing.sides, result.success, strict=True)):
            colour = SIDE_COLOURS[y]
            _whisker(axes, y, success, colour)
            axes.plot(success.estimate, y, SIDE_MARKERS[y], color=colour, markersize=8)
            _beside(axes, y, f"{success.estimate:.3f}  {span(success, sign=False)}")
            labels.append(side.label)
        axes.set_yticks(range(2), labels)
        axes.set_ylim(1.6, -0.6)
        axes.set_xlim(-0.02, 1.02)
        axes.set_xlabel(f"success, mean over {result.success[0].n_tasks} tasks")
        return figure

    return draw


def calibration_plot(result: GapResult) -> Draw:
    """Success per difficulty bin on both sides, with intervals; sides stand a little apart so that none is hidden."""

    def draw(ink: Ink) -> Figure:
        figure = new_figure(7.6, 3.3)
        axes = figure.subplots()
        bare(axes, ink, lines="y")
        for index, (side, colour) in enumerate(zip(result.pairing.sides, SIDE_COLOURS, strict=True)):
            rates = [row.reference if index else row.sim for row in result.bins]
            places = [x + (index - 0.5) * 0.16 for x in range(len(rates))]
            for x, rate in zip(places, rates, strict=True):
                if rate.low is not None and rate.high is not None:
                    axes.plot([x, x], [rate.low, rate.high], color=colour, linewidth=2.2, solid_capstyle="round")
            marker = f"{SIDE_MARKERS[index]}{'--' if index else '-'}"
            estimates = [rate.estimate for rate in rates]
            axes.plot(places, estimates, marker, color=colour, lw=1, markersize=7.5, label=side.label, clip_on=False)
        names = [f"{row.name.replace(' (', chr(10) + '(')}\n{_tasks(row.n_tasks)}" for row in result.bins]
        axes.set_xticks(range(len(names)), names, fontsize=8.5)
        axes.set_xlim(-0.5, len(names) - 0.5)
        axes.set_ylim(-0.02, 1.02)
        axes.set_ylabel("success")
        axes.set_xlabel(
            "difficulty: success of the task" + ("" if result.settings.difficulty else ", both sides pooled")
        )
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0, handletextpad=0.4)
        return figure

    return draw


def _tasks(n: int) -> str:
    return f"{n} task{'s' * (n != 1)}"


def _whisker(axes: Axes, y: float, interval: Interval, colour: str) -> None:
    if interval.low is None or interval.high is None:
        return
    axes.plot([interval.low, interval.high], [y, y], color=colour, linewidth=2.2, solid_capstyle="round")


def _beside(axes: Axes, y: float, text: str) -> None:
    """The numbers, to the right of the axes."""
    where = ("axes fraction", "data")
    axes.annotate(text, (1.02, y), xycoords=where, va="center", fontsize=8.5, annotation_clip=False)


def _symmetric(result: GapResult) -> tuple[float, float]:
    ends = [abs(x) for row in result.gaps for x in (row.gap.low, row.gap.high, row.gap.estimate) if x is not None]
    reach = min(max([*ends, 0.1]) * 1.08, 1.05)
    return -reach, reach
