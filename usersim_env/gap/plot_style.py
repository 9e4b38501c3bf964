"""How plots look, and how they are written: files for light and dark paper, and SVG that takes on the page's colours.

The two sides have a colour and a marker each, orange circles and blue diamonds, which stay apart for colour-blind
readers (after Okabe and Ito 2008) and in grey print.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usersim_env.errors import InstallError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLOT_INSTALL = 'pip install "usersim_env[plot]"'

SIDE_COLOURS = ("#D9731A", "#2F7FC1")
"""Simulated, other side; both readable on white and on black."""

SIDE_MARKERS = ("o", "D")

LEVEL_COLOURS = ("#9A56B5", "#C6A5D4", "#BDBDBD", "#9BCB97", "#2F9A55")
"""Worst to best answer: purple to green by way of grey (after ColorBrewer's PRGn)."""

ON_LEVEL = "#16181d"
"""Text on any of the level colours."""

# Stand for the reader's text and paper colour in SVG, and occur nowhere else.
_INK, _PAPER = "#010203", "#040506"
_FAINT = "#8a8f98"
_LIGHT, _DARK = ("#ffffff", "#1d2127"), ("#14171c", "#e6e9ee")  # paper, ink


@dataclass(frozen=True)
class Ink:
    """Colours of one rendering: text and axes, and what steps back."""

    text: str
    paper: str
    faint: str = _FAINT


Draw = Callable[[Ink], "Figure"]
"""A plot: makes its figure in the colours given."""


def require_matplotlib() -> None:
    """Raises an `InstallError` that says what to type if matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise InstallError(f"Plots need matplotlib, which is not installed. Type: {PLOT_INSTALL}") from None


@contextmanager
def style(ink: Ink) -> Iterator[None]:
    """Matplotlib's settings for the package's plots; `InstallError` if it is not installed."""
    require_matplotlib()
    import matplotlib

    settings: Any = {  # its type differs from one release of matplotlib to the next
        "font.family": "DejaVu Sans",  # comes with matplotlib, so plots look the same everywhere
        "font.size": 9.5,
        "axes.titlesize": 10.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.8,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "legend.frameon": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "usersim_env",
        "axes.unicode_minus": True,
        "text.parse_math": False,  # a dollar in a name is a dollar
    }
    settings |= dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), ink.text
    )
    with matplotlib.rc_context(settings):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches; independent of matplotlib's global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def bare(axes: Axes, ink: Ink, lines: str = "x") -> None:
    """Leaves faint lines across one axis (``x`` or ``y``) and takes away the other's frame and ticks."""
    axes.set_axisbelow(True)
    axes.grid(axis="x" if lines == "x" else "y", color=ink.faint, alpha=0.3, linewidth=0.7)
    axes.spines["left" if lines == "x" else "bottom"].set_visible(False)
    axes.tick_params(axis="y" if lines == "x" else "x", length=0)


def png(draw: Draw, dark: bool = False) -> bytes:
    """The plot on its own paper."""
    paper, text = _DARK if dark else _LIGHT
    file = io.BytesIO()
    ink = Ink(text, paper)
    with style(ink):
        draw(ink).savefig(file, format="png", dpi=200, facecolor=paper)
    return file.getvalue()


def svg(draw: Draw, name: str) -> str:
    """The plot without paper, as an element to put into a page: in the page's colours, with ids of its own."""
    file = io.StringIO()
    ink = Ink(_INK, _PAPER)
    with style(ink):
        draw(ink).savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = text.replace(_INK, "currentColor").replace(_PAPER, "var(--paper)")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(?::\w+)?="[^"]*"', "", text)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    # The page's own fonts, where it has some; the metrics reserved are those of a wide one.
    return re.sub(r"(font(?:-family)?:[^;\"]*)'DejaVu Sans'", r"\1system-ui, 'DejaVu Sans', sans-serif", text)


def plot_files(name: str) -> tuple[str, str, str]:
    """Names of the files that `write_plot` writes: light, dark, and SVG."""
    return f"{name}.png", f"{name}-dark.png", f"{name}.svg"


def write_plot(draw: Draw, name: str, folder: Path) -> str:
    """Writes the files of `plot_files` into the folder; returns the SVG for a page."""
    element = svg(draw, name)
    light, dark, vector = (folder / file for file in plot_files(name))
    light.write_bytes(png(draw))
    dark.write_bytes(png(draw, dark=True))
    vector.write_text(_standalone(element), encoding="utf-8")
    return element


def _standalone(element: str) -> str:
    light, dark = (f"svg{{--paper:{paper};color:{ink}}}" for paper, ink in (_LIGHT, _DARK))
    colours = f"{light}@media (prefers-color-scheme:dark){{{dark}}}"
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    head, rest = element.split(">", 1)
    return f"{head.replace('<svg', f'<svg {names}', 1)}><style>{colours}</style>{rest}"
