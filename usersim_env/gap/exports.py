"""A comparison as a CSV file of every number, and as Markdown for a paper's appendix."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from usersim_env.gap.result import GapResult
from usersim_env.gap.sections import Section, detectable_sentence, sections
from usersim_env.gap.tables import footnotes, side_rows
from usersim_env.gap.wording import p_text, percent, signal_label, signed, span
from usersim_env.visible import csv_cell, visible

_NO_NUMBERS = frozenset({"tasks", "cautions", "warnings", "not_compared", "estimand", "gap_is"})


def numbers_csv(result: GapResult) -> str:
    """Every number of `GapResult.as_dict`, one a line: section, name, quantity, value; ``missing`` where there is none.

    >>> next(csv.reader(["gaps,rule,gap.estimate,-0.25"]))
    ['gaps', 'rule', 'gap.estimate', '-0.25']
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("section", "name", "quantity", "value"))
    for section, content in result.as_dict().items():
        if section in _NO_NUMBERS:
            continue
        for path, value in _leaves(content):
            name, *rest = path
            cells = section, name, ".".join(rest), "missing" if value is None else value
            writer.writerow([csv_cell(cell) for cell in cells])
    counts = ("paired", "only_sim", "only_reference", "unscored")
    for name in counts:
        writer.writerow(("tasks", name, "count", len(result.as_dict()["tasks"][name])))
    return file.getvalue()


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], float | None]]:
    """Numbers and what is missing; texts are left out, truth values are 0 and 1."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _leaves(inner, (*path, str(index)))
    elif isinstance(value, bool):
        yield path, int(value)
    elif value is None or isinstance(value, int | float):
        yield path, value


def markdown(result: GapResult, headline: str, note: str | None = None) -> str:
    """The report without plots and without anybody's words, with every table as Markdown."""
    parts = [f"# Gap between two user sides: {result.pairing.gap_words}", *((f"**{_line(note)}**",) if note else ())]
    parts += [f"**{_line(text)}**" for text in result.cautions]
    parts += [f"> **Warning.** {_line(text)}" for text in result.warnings]
    parts += [_line(text) for text in (result.estimand, headline, detectable_sentence(result))]
    for section in (_gaps(result), *sections(result), _compared(result), _checks(result)):
        parts += [f"## {section.title}", _table(section), *(_line(text) for text in section.notes)]
    return "\n\n".join(parts) + "\n"


def _table(section: Section) -> str:
    align = ["---", *["---:"] * (len(section.heads) - 1)] if section.key != "sides" else ["---"] * len(section.heads)
    lines = [section.heads, tuple(align), *section.rows]
    return "\n".join("| " + " | ".join(_line(cell) for cell in line) + " |" for line in lines)


def _line(text: str) -> str:
    """One line in which nothing is taken for a mark of Markdown or HTML."""
    text = visible(text)
    for mark in "\\`*_{}<>|#":
        text = text.replace(mark, f"\\{mark}")
    text = text.replace("](", "]\\(")  # intervals keep their brackets, links are none
    return text.replace("\n", "; ")


def _gaps(result: GapResult) -> Section:
    sim, reference = result.pairing.sides
    interval = f"{percent(result.settings.level)} interval"
    heads = ("signal", "gap", interval, sim.label, reference.label, "p (Holm)", "tasks", "episodes", "finding")
    rows = tuple(
        (
            signal_label(row.signal), signed(row.gap.estimate), span(row.gap), f"{row.sim:.3f}", f"{row.reference:.3f}",
            p_text(row.test.p_holm if row.test else None), str(row.gap.n_tasks), f"{row.n_sim} + {row.n_reference}",
            row.finding,
        )
        for row in result.gaps
    )  # fmt: skip
    how = (
        f"Intervals: studentised bootstrap over tasks, {result.settings.replicates:,} replicates, seed "
        f"{result.settings.seed}; each signal on its own. p: sign-flip test, corrected for {len(rows)} signals."
    )
    return Section("gaps", "Gap per signal", heads, rows, (how, *footnotes(result)[2:]))


def _compared(result: GapResult) -> Section:
    sim, reference = result.pairing.sides
    return Section("sides", "What is compared", ("", sim.label, reference.label), tuple(side_rows(result)))


def _checks(result: GapResult) -> Section:
    sim, reference = result.pairing.sides
    rows = tuple((c.name, c.sim, c.reference, "yes" if c.same else "no") for c in result.pairing.checks)
    return Section("sides", "Checked first", ("", sim.label, reference.label, "same"), rows)
