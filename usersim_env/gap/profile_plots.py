"""Plots of how the user sides talk and judge: behaviour features, and survey answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from usersim_env.feedback.behaviour import DIMENSIONS, FEATURES, RATES
from usersim_env.feedback.survey import FIELDS
from usersim_env.gap.plot_style import (
    LEVEL_COLOURS,
    ON_LEVEL,
    SIDE_COLOURS,
    SIDE_MARKERS,
    Draw,
    Ink,
    bare,
    new_figure,
)
from usersim_env.gap.result import GapResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DIMENSION_NAMES = {
    "D1_conv": "style",
    "D2_info": "information",
    "D3_clarif": "questions",
    "D4_react": "reaction",
}
_UNITS = {
    "verbosity_cv": "words per turn: spread / mean",
    "id_density": "id-like words per turn",
    "user_words_per_turn": "words per turn",
    "opening_words": "words of the opening",
}


def behaviour_plot(result: GapResult) -> Draw:
    """Feature means of both sides, joined by a line: rates on one axis, the other four on one axis each."""

    def draw(ink: Ink) -> Figure:
        plain = [name for name in FEATURES if name not in RATES]
        figure = new_figure(7.6, 7.4)
        grid = figure.add_gridspec(2, 4, height_ratios=(5.2, 1))
        axes = figure.add_subplot(grid[0, :])
        _rates(axes, ink, result)
        for column, name in enumerate(plain):
            _plain(figure.add_subplot(grid[1, column]), ink, result, name)
        return figure

    return draw


def survey_plot(result: GapResult) -> Draw:
    """Answers per question and side as bars that diverge from the middle answer."""

    def draw(ink: Ink) -> Figure:
        figure = new_figure(7.6, 0.9 + 0.98 * len(result.survey))
        axes = figure.subplots()
        bare(axes, ink)
        axes.axvline(0, color=ink.text, linewidth=1, zorder=0.9)
        ticks: list[tuple[float, str]] = []
        for index, counts in enumerate(result.survey):
            y = index * 2.6
            labels = list(counts.sim)
            axes.text(-1.0, y - 0.78, counts.field.replace("_", " "), fontweight="bold", va="center")
            ends = f"{_short(labels[0])} ⟷ {_short(labels[-1])}"
            axes.text(1.0, y - 0.78, ends, ha="right", va="center", fontsize=8, color=ink.text, alpha=0.75)
            for row, answers in enumerate((counts.sim, counts.reference)):
                n = sum(answers.values())
                ticks.append((y + row * 0.86, f"{result.pairing.sides[row].label} (n={n})"))
                _diverging(axes, y + row * 0.86, counts.field, answers)
        axes.set_yticks([y for y, _ in ticks], [text for _, text in ticks], fontsize=8.5)
        axes.set_ylim(len(result.survey) * 2.6 - 1.0, -1.3)
        axes.set_xlim(-1.02, 1.02)
        axes.set_xticks([-1, -0.5, 0, 0.5, 1], ["100", "50", "0", "50", "100"])
        axes.set_xlabel("share of answers in %, the middle answer across the line; purple: worst, green: best")
        return figure

    return draw


def _short(label: str) -> str:
    """An answer without its explanation: ``No - Task failed`` is ``No``."""
    return label.split(" - ")[0].lower()


def _rates(axes: Axes, ink: Ink, result: GapResult) -> None:
    bare(axes, ink)
    names: list[str] = []
    heights: list[float] = []
    y = 0.0
    for dimension, features in DIMENSIONS.items():
        y += 1.05
        axes.text(-0.01, y, _DIMENSION_NAMES[dimension], transform=axes.get_yaxis_transform(), ha="right",
                  va="center", fontweight="bold")  # fmt: skip
        for name in (name for name in features if name in RATES):
            y += 0.8
            names.append(name.removesuffix("_rate").removesuffix("_q").replace("_", " "))
            heights.append(y)
            _pair(axes, ink, [row.values.get(name) for row in result.behaviour], y)
    axes.set_yticks(heights, names)
    axes.set_ylim(y + 0.7, 0.2)
    axes.set_xlim(-2, 102)
    axes.set_xlabel("% of user turns (repeat, id confuse: of conversations; info frontload: of words)")
    _legend(axes, result)


def _plain(axes: Axes, ink: Ink, result: GapResult, name: str) -> None:
    bare(axes, ink)
    values = [row.values.get(name) for row in result.behaviour]
    _pair(axes, ink, values, 0.0)
    axes.set_yticks([])
    axes.set_ylim(-1, 1)
    axes.set_xlim(0, max(x for x in (*values, 1e-9) if x is not None) * 1.2)
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_title(_UNITS[name].replace(": ", ":\n") if ":" in _UNITS[name] else _UNITS[name], fontsize=8,
                   fontweight="normal")  # fmt: skip


def _pair(axes: Axes, ink: Ink, values: Sequence[float | None], y: float) -> None:
    there = [x for x in values if x is not None]
    if len(there) == 2:
        axes.plot(there, [y, y], color=ink.faint, linewidth=1.6, zorder=1)
    # The second marker is smaller, so that the first shows where both have the same value.
    for x, colour, marker, size in zip(values, SIDE_COLOURS, SIDE_MARKERS, (9.5, 5.5), strict=True):
        if x is not None:
            axes.plot(x, y, marker, color=colour, markersize=size, zorder=2, clip_on=False)


def _legend(axes: Axes, result: GapResult) -> None:
    for side, row, colour, marker in zip(
        result.pairing.sides, result.behaviour, SIDE_COLOURS, SIDE_MARKERS, strict=True
    ):
        axes.plot([], [], marker, color=colour, label=f"{side.label} (n={row.n})", linestyle="none")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0, handletextpad=0.2)


def _diverging(axes: Axes, y: float, field: str, answers: Mapping[str, int]) -> None:
    n = sum(answers.values())
    if not n:
        axes.text(0.02, y, "nobody answered", va="center", fontsize=8, style="italic")
        return
    shares = [count / n for count in answers.values()]
    k = len(shares)
    left = -sum(shares[: k // 2]) - (shares[k // 2] / 2 if k % 2 else 0)
    for label, share in zip(answers, shares, strict=True):
        # By level, not by place: "too many" and "too few" questions are equally bad.
        colour = LEVEL_COLOURS[round(FIELDS[field].normalised(label) * (len(LEVEL_COLOURS) - 1))]
        axes.barh(y, share, left=left, height=0.74, color=colour, linewidth=0)
        if share >= 0.05:
            axes.text(left + share / 2, y, f"{100 * share:.0f}", ha="center", va="center", fontsize=8, color=ON_LEVEL)
        left += share
