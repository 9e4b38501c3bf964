"""The plot of a monitor: success on both sides, and the gap with its band, over training steps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from usersim_env.errors import UsageError
from usersim_env.gap.monitor_history import History
from usersim_env.gap.plot_style import SIDE_COLOURS, SIDE_MARKERS, Draw, Ink, bare, new_figure, style
from usersim_env.gap.wording import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")


def monitor_plot(history: History) -> Draw:
    """Two panels over training steps; looks that raised the alarm are marked in the lower one."""

    def draw(ink: Ink) -> Figure:
        figure = new_figure(7.6, 5.2)
        above, below = figure.subplots(2, 1, sharex=True)
        for axes in (above, below):
            bare(axes, ink, "y")
            axes.margins(x=0.03)
        _curves(above, history)
        _gap(below, history, ink)
        below.set_xlabel("training step")
        return figure

    return draw


def write_monitor_plot(history: History, path: str | os.PathLike[str]) -> None:
    """Writes the plot as PNG, SVG or PDF, by the ending of the path.

    Raises:
        UsageError: another ending, or no look yet.
        InstallError: matplotlib is not installed.
    """
    target = Path(path)
    if target.suffix.lower() not in FORMATS:
        raise UsageError(f"A plot is written to a file that ends in {', '.join(FORMATS)}; got {target.name!r}.")
    if not history.looks:
        raise UsageError("There is nothing to plot yet: call look(step, agent) first.")
    ink = Ink("#14171c", "#ffffff")
    target.parent.mkdir(parents=True, exist_ok=True)
    with style(ink):
        monitor_plot(history)(ink).savefig(target, dpi=200, facecolor=ink.paper)


def _curves(axes: Axes, history: History) -> None:
    points = [(look.step, look.success) for look in history.looks if look.success is not None]
    last = history.looks[-1]
    for i, label in enumerate((last.sim.label, last.reference.label)):
        means = [success[i] for _, success in points]
        steps = [step for step, _ in points]
        axes.plot(steps, means, color=SIDE_COLOURS[i], marker=SIDE_MARKERS[i], markersize=5, label=label)
    what = "success" if history.settings.signal == "rule" else history.settings.signal
    axes.set_title(f"{what} on the same {len(history.tasks)} held-out tasks, mean over tasks")
    axes.set_ylim(-0.03, 1.03)
    axes.legend(loc="best")


def _gap(axes: Axes, history: History, ink: Ink) -> None:
    looks = [(look, look.gap) for look in history.looks if look.gap is not None]
    steps = [look.step for look, _ in looks]
    axes.axhline(0, color=ink.text, linewidth=1, zorder=0.9)
    lows, highs = [gap.low for _, gap in looks], [gap.high for _, gap in looks]
    axes.fill_between(steps, lows, highs, color=ink.faint, alpha=0.3, linewidth=0)
    axes.plot(steps, [gap.estimate for _, gap in looks], "o-", color=ink.text, markersize=5)
    alarms = [(look.step, gap.estimate) for look, gap in looks if look.alarm]
    if alarms:
        at, gaps = zip(*alarms, strict=True)
        label = "|gap| has grown since the start"
        axes.scatter(at, gaps, s=110, facecolors="none", edgecolors="#B2182B", linewidths=2, label=label)
        axes.legend(loc="best")
    other = "real" if history.looks[-1].reference.label == "human" else "reference"
    level = percent(history.settings.level)
    axes.set_title(f"gap: {other} − simulated, with a {level} band for all looks together")
