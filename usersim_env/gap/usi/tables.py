"""The index as a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from usersim_env.feedback.behaviour import DIMENSIONS
from usersim_env.gap.usi.result import Stat, UsiResult
from usersim_env.visible import visible

MISSING = "—"
_HEADINGS = ("D1 style", "D2 info", "D3 clarif.", "D4 react.", "Eval", "ECE", "USI", "USI5")
_WIDE = 110  # characters that the table needs with mean and deviation on one line


def print_usi(result: UsiResult, console: Console | None = None) -> None:
    """Prints the table, its notes and the terms of the data; on standard output if no console is given."""
    console = console if console is not None else Console()
    narrow = console.width < _WIDE
    table = Table(box=SIMPLE_HEAD, title="User-Sim Index (arXiv:2603.11245)", title_justify="left")
    table.add_column("user side", overflow="fold")
    for heading in _HEADINGS:
        table.add_column(heading.split()[0] if narrow else heading, justify="right", no_wrap=True)
    for row in result.rows:
        stats = [*((row.dimension(name), 1) for name in DIMENSIONS), (row.eval_agree, 1), (row.ece, 3)]
        cells = [shown(stat, places) for stat, places in (*stats, (row.usi, 1), (row.usi5, 1))]
        table.add_row(_safe(row.name), *(cell.replace(" ± ", "\n±") if narrow else cell for cell in cells))
    console.print(table)
    console.print(
        "Mean ± standard deviation over human batches. Higher is closer to people, but for ECE, an error. "
        f"{MISSING}: not computed, see the notes."
    )
    for line in (*result.notes, *terms_lines(result)):
        console.print(_safe(line), highlight=False)


def terms_lines(result: UsiResult) -> Iterator[str]:
    """One line for each set of terms, with whose data it is."""
    owners: dict[str, list[str]] = {}
    for name, terms in result.terms.items():
        for text in terms:
            owners.setdefault(text, []).append(name)
    for text, names in owners.items():
        yield f"Terms of {', '.join(names)}: {text}."


def shown(stat: Stat, places: int = 1) -> str:
    """``93.8 ± 2.4``; the mean alone where there is no deviation."""
    if stat is None:
        return MISSING
    mean, deviation = stat
    return f"{mean:.{places}f}" + ("" if deviation is None else f" ± {deviation:.{places}f}")


def _safe(text: str) -> str:
    """A text of others for rich: no markup, and nothing that a terminal obeys."""
    return escape(visible(text))
