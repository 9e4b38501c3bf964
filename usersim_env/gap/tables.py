"""A comparison as tables for the terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from usersim_env.feedback.behaviour import FEATURES, RATES
from usersim_env.gap.episodes import hidden_of
from usersim_env.gap.pairing import few
from usersim_env.gap.result import NO_EVIDENCE, GapResult
from usersim_env.gap.sections import (
    Section,
    by_difficulty,
    by_domain,
    cross_table,
    detectable_sentence,
    judged,
    missed,
    reliability,
    user_sim_index,
)
from usersim_env.gap.wording import MISSING, p_text, percent, rate_cell, signed, span
from usersim_env.visible import visible


def print_tables(result: GapResult, console: Console | None = None, note: str | None = None) -> None:
    """Prints what was compared, the gaps and the behaviour of both sides.

    Args:
        result: of `compare`.
        console: where to; the standard output if not given.
        note: a sentence to stand on top.
    """
    console = console if console is not None else Console()
    for caution in (*((note,) if note else ()), *result.cautions):
        console.print(f"[bold]{_safe(caution)}[/]")
    for warning in result.warnings:
        console.print(Panel(_safe(warning), title="warning", border_style="bold red"))
    console.print(Group(*tables(result, narrow=console.width < 105)))
    for text in (*footnotes(result), *(result.usi.notes if result.usi else ())):
        console.print(_safe(text))


def tables(result: GapResult, narrow: bool = False) -> list[RenderableType]:
    """The tables, in the order of reading; ``narrow`` leaves columns out so that 80 characters suffice."""
    found = [_sides(result), _gaps(result, narrow)]
    parts = [by_difficulty(result)]
    if len(result.pass_k) > 1:
        parts.insert(0, reliability(result))
    if len(result.domains) > 1:
        parts.append(by_domain(result))
    if any(judged(side) for side in result.judgement):
        parts += [cross_table(result), missed(result)]
    last = [] if result.usi is None else [_section(user_sim_index(result.usi), narrow=False)]
    return [*found, *(_section(part, narrow) for part in parts), _behaviour(result), *last]


def footnotes(result: GapResult) -> list[str]:
    """What the tables leave out: estimand, abandoned and failed episodes, tasks and signals that were not compared."""
    pairing = result.pairing
    found = [f"Gap: {result.estimand}", detectable_sentence(result)]
    bounds = result.abandoned
    if bounds.any:
        found.append(
            f"Abandoned by the person: {bounds.sim} {pairing.sim.label} ({bounds.sim_rate:.1%}), {bounds.reference} "
            f"{pairing.reference.label} ({bounds.reference_rate:.1%}). Rule reward's gap with them counted as 0: "
            f"{signed(bounds.as_zero.estimate)} {span(bounds.as_zero)}; as 1: {signed(bounds.as_one.estimate)} "
            f"{span(bounds.as_one)}; at worst from {signed(bounds.lowest.estimate)} to "
            f"{signed(bounds.highest.estimate)}."
        )
    failures = result.failures
    if failures.any:
        sides = (
            f"{n} {side.label} ({rate:.1%}; success {low:.3f} with them as 0, {high:.3f} as 1)"
            for n, side, rate, (low, high) in (
                (failures.sim, pairing.sim, failures.sim_rate, failures.sim_success),
                (failures.reference, pairing.reference, failures.reference_rate, failures.reference_success),
            )
        )
        found.append(
            f"Failed episodes, whoever failed: {', '.join(sides)}. Rule reward's gap with them counted as 0: "
            f"{signed(failures.as_zero.estimate)} {span(failures.as_zero)}; as 1: {signed(failures.as_one.estimate)} "
            f"{span(failures.as_one)}; at worst from {signed(failures.lowest.estimate)} to "
            f"{signed(failures.highest.estimate)}."
        )
    hidden = [sum(map(hidden_of, side.traces)) for side in pairing.sides]
    if any(hidden):
        found.append(
            f"Behaviour: in {hidden[0]} {pairing.sim.label} and {hidden[1]} {pairing.reference.label} turns a curly "
            "apostrophe (’) hides a phrase such as “don’t” from the features, as it does in the reference scorer."
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
        table.add_row(name, *(_safe(cell) for cell in cells))
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
                rate_cell(success),
                "\n".join(side.terms),
            ]
        )
    heads = ("user side", "agent", "episodes", "failures", "abandoned", "tasks", "success", "terms")
    found: list[tuple[str, str, str]] = list(zip(heads, *rows, strict=True))
    if any(side.left_out for side in result.pairing.sides):
        sim, reference = (f"{side.left_out}, marked keep: false by their study" for side in result.pairing.sides)
        found.insert(3, ("left out", sim, reference))
    return found


def _gaps(result: GapResult, narrow: bool) -> Table:
    sim, reference = result.pairing.sides
    table = Table(title=f"Gap ({result.pairing.gap_words})", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("signal", no_wrap=True, overflow="ellipsis", max_width=26 if narrow else None)
    heads = ["gap", f"{percent(result.settings.level)} interval"]
    if not narrow:
        heads = [sim.label, reference.label, *heads, "p (Holm)", "tasks", "episodes"]
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("finding", min_width=len(NO_EVIDENCE))
    for row in result.gaps:
        gap = row.gap
        ends = span(gap)
        if narrow and gap.low is not None:
            ends = ends.removesuffix(f" ({gap.word})")  # the finding says it
        cells = [signed(gap.estimate), _safe(ends)]
        if not narrow:
            counts = [str(gap.n_tasks), f"{row.n_sim} + {row.n_reference}"]
            p = p_text(row.test.p_holm if row.test else None)
            cells = [f"{row.sim:.3f}", f"{row.reference:.3f}", *cells, p, *counts]
        name = row.signal.replace("survey.mean", "survey mean").removeprefix("survey.") if narrow else row.signal
        table.add_row(_safe(name), *cells, row.finding, style="bold" if row.stands else "")
    return table


def _section(part: Section, narrow: bool) -> Table:
    table = Table(title=part.title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for index, head in enumerate(part.heads):
        table.add_column(head, justify="right" if index else "left", no_wrap=head == "gap")
    for row in part.rows:
        # Of three intervals in a row only the gap's fits into 80 characters.
        cells = [cell.split(" [")[0] if narrow and index in (1, 2) else cell for index, cell in enumerate(row)]
        table.add_row(*(_safe(cell) for cell in cells))
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


def _safe(text: str) -> str:
    """A text of others for rich: no markup, and nothing that a terminal obeys."""
    return escape(visible(text))
