"""The figure of a tuning: the searches, likeness before and after on held-out tasks, and the numbers found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usersim_env.gap.plot_style import SIDE_COLOURS, Ink, bare, new_figure, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, Any]]

_PARTS = {
    "D1_conv": "D1 style",
    "D2_info": "D2 information",
    "D3_clarif": "D3 questions",
    "D4_react": "D4 reaction",
    "calibration": "calibration",
    "usi5": "all (USI5)",
}
_START, _TUNED = SIDE_COLOURS


def write_figure(tables: Mapping[str, Rows], title: str, path: Path) -> None:
    """Writes a PNG.

    Args:
        tables: ``likeness``, ``history`` and ``persona``, as `tune_user` writes them.
        title: whom the target is of.
        path: the file.

    Raises:
        InstallError: matplotlib is not installed; says what to type.
    """

    def draw(ink: Ink) -> Figure:
        figure = new_figure(11.0, 4.6)
        figure.suptitle(title, fontsize=9, x=0.01, ha="left")
        left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.1))
        _history(left, ink, tables["history"])
        _before_and_after(middle, ink, tables["likeness"])
        _numbers(right, ink, tables["persona"])
        return figure

    path.write_bytes(png(draw))


def _history(axes: Axes, ink: Ink, rows: Rows) -> None:
    bare(axes, ink, "y")
    for seed in dict.fromkeys(row["seed"] for row in rows):
        mine = [row for row in rows if row["seed"] == seed]
        axes.plot([row["tried"] for row in mine], [row["mean"] for row in mine], color=_TUNED, linewidth=1.2, alpha=0.8)
    axes.set_title("Search, tuning tasks")
    axes.set_xlabel("personas tried; one line a search")
    axes.set_ylabel("likeness, mean of a generation")


def _before_and_after(axes: Axes, ink: Ink, rows: Rows) -> None:
    bare(axes, ink)
    held_out = [row for row in rows if row["part"] == "held_out"]
    found = [row for row in held_out if row["who"].startswith("seed")]
    names = [name for name in _PARTS if name in held_out[0]]
    for y, name in enumerate(names):
        for row in held_out:
            if row["who"] == "target":
                axes.plot(row[name], y, "|", color=ink.text, markersize=16, markeredgewidth=1.6, zorder=3)
            elif row["who"] == "start":
                axes.plot(row[name], y, "o", color=_START, markersize=8, zorder=2)
        axes.plot(
            [row[name] for row in found], [y] * len(found), "D", color=_TUNED, markersize=4.5, alpha=0.8, zorder=2
        )
    axes.plot([], [], "o", color=_START, label="start")
    axes.plot([], [], "D", color=_TUNED, markersize=4.5, label="tuned, one a search")
    if any(row["who"] == "target" for row in held_out):
        axes.plot([], [], "|", color=ink.text, markersize=12, label="the target's own persona, again")
    axes.set_yticks(range(len(names)), [_PARTS[name] for name in names])
    axes.set_ylim(len(names) + 0.9, -0.6)  # room for the legend
    axes.set_title("Likeness, held-out tasks")
    axes.set_xlabel("0 to 100")
    axes.legend(loc="lower left", fontsize=7.5)


def _numbers(axes: Axes, ink: Ink, rows: Rows) -> None:
    """Where each search put each number: 0 the start's, 1 the target's; without a known target, in its own unit."""
    bare(axes, ink)
    axes.set_title("Numbers of the persona")
    known = [row for row in rows if row.get("target") is not None and row["target"] != row["start"]]
    for y, row in enumerate(known):
        span = row["target"] - row["start"]
        places = [(value - row["start"]) / span for name, value in row.items() if name.startswith("seed")]
        inside = [min(max(place, -1.0), 2.0) for place in places]
        axes.plot(inside, [y] * len(inside), "D", color=_TUNED, markersize=4, alpha=0.8)
    if not known:
        axes.text(0.5, 0.5, "the target's numbers are not known", transform=axes.transAxes, ha="center")
    axes.axvline(0, color=_START, linewidth=1.2)
    axes.axvline(1, color=ink.text, linewidth=1.2)
    axes.set_xlim(-1.1, 2.1)
    axes.set_xticks([0, 1], ["start", "target"])
    axes.set_yticks(range(len(known)), [row["number"].replace("_", " ") for row in known], fontsize=8)
    axes.set_ylim(max(len(known), 1) - 0.4, -0.6)
    axes.set_xlabel("one mark a search; far ones at the edge")
