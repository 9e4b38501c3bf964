"""A comparison as tables for the terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from usersim_env.behaviour import FEATURES, RATES
from usersim_env.gap.bootstrap import Interval
from usersim_env.gap.pairing import few
from usersim_env.gap.result import NO_EVIDENCE, GapResult

MISSING = "—"


def print_tables(result: GapResult, console: Console | None = None, note: str | None = None) -> None:
    """Prints what was compared, the gaps and the behaviour of both sides.

    Args:
        result: of `compare`.
        console: where to; the standard output if not given.
        note: a sentence to stand on top.
    """
    console = console if console is not None else Console()
    for caution in (*((note,) if note else ()), *result.cautions):
        console.print(f"[bold]{escape(caution)}[/]")
    for warning in result.warnings:
        console.print(Panel(escape(warning), title="warning", border_style="bold red"))
    console.print(Group(*tables(result, narrow=console.width < 105)))
    for text in footnotes(result):
        console.print(escape(text))


def tables(result: GapResult, narrow: bool = False) -> list[RenderableType]:
    """The tables, in the order of reading; ``narrow`` leaves columns out so that 80 characters suffice."""
    return [_sides(result), _gaps(result, narrow), _behaviour(result)]


def signed(value: float) -> str:
    """A difference with its sign, to three places; to one digit where those would hide the sign. Zero has none."""
    if abs(value) < 1e-9:
        return "0.000"
    text = f"{value:+.3f}"
    return (f"{value:+.1g}" if float(text) == 0 else text).replace("-", "−")


def span(interval: Interval, sign: bool = True) -> str:
    """The interval in brackets, or the word for why there is none."""
    if interval.low is None or interval.high is None:
        return f"{MISSING} ({interval.word})"
    ends = [signed(x) if sign else f"{x:.3f}" for x in (interval.low, interval.high)]
    return f"[{ends[0]}, {ends[1]}]" + (f" ({interval.word})" if interval.word else "")


def percent(level: float) -> str:
    """A coverage for headings: ``95 %``."""
    return f"{100 * level:g} %"


def footnotes(result: GapResult) -> list[str]:
    """What the tables leave out: estimand, abandoned episodes, tasks and signals that were not compared."""
    pairing = result.pairing
    found = [f"Gap: {result.estimand}"]
    bounds = result.abandoned
    if bounds.any:
        found.append(
            f"Abandoned by the person: {bounds.sim} {pairing.sim.label} ({bounds.sim_rate:.1%}), {bounds.reference} "
            f"{pairing.reference.label} ({bounds.reference_rate:.1%}). Rule reward's gap with them counted as 0: "
            f"{signed(bounds.as_zero.estimate)} {span(bounds.as_zero)}; as 1: {signed(bounds.as_one.estimate)} "
            f"{span(bounds.as_one)}; at worst from {signed(bounds.lowest.estimate)} to "
            f"{signed(bounds.highest.estimate)}."
        )
    for tasks, where in (
        (pairing.only_sim, f"on the {pairing.sim.label} side only"),
        (pairing.only_reference, f"on the {pairing.reference.label} side only"),
        (pairing.unscored, "without a scored episode on one side"),
    ):
        if tasks:
            found.append(f"Not compared: {len(tasks)} task{'s' * (len(tasks) != 1)} {where} ({few(tasks)}).")
    return [*found, *(f"Not compared: {text}." for text in result.missing)]


def _sides(result: GapResult) -> Table:
    table = Table(title="What is compared", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for side in result.pairing.sides:
        table.add_column(side.label, overflow="fold")
    for name, *cells in side_rows(result):
        table.add_row(name, *(escape(cell) for cell in cells))
    return table


def side_rows(result: GapResult) -> list[tuple[str, str, str]]:
    """Heading, simulated side, other side: who, how many, how it went."""
    rows: list[list[str]] = []
    for side, success in zip(result.pairing.sides, result.success, strict=True):
        failed = ", ".join(f"{c.fault}/{c.kind} {c.n}" for c in side.failures)
        rows.append(
            [
                "\n".join(side.user_sides),
                "\n".join(side.agents),
                f"{len(side.traces)}: {side.n_scored} scored, {len(side.traces) - side.n_scored} failed",
                failed or "none",
                f"{side.abandonment_rate:.1%}",
                f"{success.n_tasks} on both sides",
                f"{success.estimate:.3f} {span(success, sign=False)}",
                "\n".join(side.terms),
            ]
        )
    heads = ("user side", "agent", "episodes", "failures", "abandoned", "tasks", "success", "terms")
    return list(zip(heads, *rows, strict=True))


def _gaps(result: GapResult, narrow: bool) -> Table:
    sim, reference = result.pairing.sides
    table = Table(title=f"Gap ({result.pairing.gap_words})", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("signal", no_wrap=True, overflow="ellipsis", max_width=26 if narrow else None)
    heads = ["gap", f"{percent(result.settings.level)} interval"]
    if not narrow:
        heads = [sim.label, reference.label, *heads, "tasks", "episodes"]
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("finding", min_width=len(NO_EVIDENCE))
    for row in result.gaps:
        gap = row.gap
        cells = [signed(gap.estimate), escape(span(gap))]
        if not narrow:
            counts = [str(gap.n_tasks), f"{row.n_sim} + {row.n_reference}"]
            cells = [f"{row.sim:.3f}", f"{row.reference:.3f}", *cells, *counts]
        name = row.signal.replace("survey.mean", "survey mean").removeprefix("survey.") if narrow else row.signal
        table.add_row(escape(name), *cells, row.finding, style="" if gap.covers_zero else "bold")
    return table


def _behaviour(result: GapResult) -> Table:
    table = Table(title="How the user sides talk", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("feature")
    for side, row in zip(result.pairing.sides, result.behaviour, strict=True):
        table.add_column(f"{side.label} (n={row.n})", justify="right")
    for name in FEATURES:
        unit = " %" if name in RATES else ""
        table.add_row(name, *(f"{row.values[name]:.1f}{unit}" if row.values else MISSING for row in result.behaviour))
    return table
