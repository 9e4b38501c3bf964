"""A comparison as a page: one self-contained HTML file, with the plots and every number beside it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from usersim_env.errors import InstallError, UsageError
from usersim_env.feedback.behaviour import DIMENSIONS, RATES
from usersim_env.gap.episodes import AnyEpisode
from usersim_env.gap.examples import Example, most_different, shown
from usersim_env.gap.exports import markdown, numbers_csv
from usersim_env.gap.plot_style import PLOT_INSTALL, Draw, plot_files, require_matplotlib, write_plot
from usersim_env.gap.plots import calibration_plot, gap_plot, success_plot
from usersim_env.gap.profile_plots import behaviour_plot, survey_plot
from usersim_env.gap.result import GapResult
from usersim_env.gap.sections import detectable_sentence, sections
from usersim_env.gap.sides import describe_terms
from usersim_env.gap.tables import footnotes, side_rows
from usersim_env.gap.wording import MISSING, p_text, percent, signal_label, signed, span
from usersim_env.visible import visible

if TYPE_CHECKING:
    from jinja2 import Environment

PAGE = "index.html"
NUMBERS = "gap.json"
TABLE = "numbers.csv"
APPENDIX = "report.md"
PAIRS = 5
"""Pairs of conversations on the page."""
_LONGEST = 2_000  # characters of one turn that a page shows


def write_report(
    result: GapResult, out_dir: str | os.PathLike[str], note: str | None = None, excerpts: bool = False
) -> Path:
    """Writes the page, its numbers and its plots.

    ``index.html`` needs no other file; ``gap.json`` and ``numbers.csv`` hold every number, ``report.md`` the tables for
    an appendix; each plot is there as PNG (light and dark) and SVG.

    Args:
        result: of `compare`.
        out_dir: made if it is not there; an earlier report in it is replaced.
        note: a sentence for the banner on top, for example that the gap is planted.
        excerpts: show conversations on the page whose terms restrict passing them on, under a banner with the terms.
            The other files never hold text of conversations.

    Returns:
        Path of the page.

    Raises:
        InstallError: matplotlib or jinja2 is not installed.
        UsageError: the folder holds files of these names that are no report of ours; nothing is written.
    """
    folder = Path(out_dir)
    plots = _plots(result)
    _refuse_others(folder, plots)
    environment = _environment()
    require_matplotlib()
    folder.mkdir(parents=True, exist_ok=True)
    numbers = json.dumps(result.as_dict() | {"note": note}, indent=1, allow_nan=False)
    (folder / NUMBERS).write_text(numbers + "\n", encoding="utf-8")  # first: it tells a report that was broken off
    drawings = {name: write_plot(draw, name, folder) for name, draw in plots.items()}
    page = folder / PAGE
    examples = most_different(result.pairing, PAIRS, restricted=excerpts)
    text = _render(environment, result, drawings, note, examples)
    page.write_text(visible(text), encoding="utf-8")
    (folder / TABLE).write_text(numbers_csv(result), encoding="utf-8", errors="backslashreplace")
    (folder / APPENDIX).write_text(markdown(result, headline(result), note), encoding="utf-8")
    return page


def _refuse_others(folder: Path, plots: Iterable[str]) -> None:
    """A report is known by its numbers; without them, files of its other names are somebody else's."""
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads((folder / NUMBERS).read_bytes()) if (folder / NUMBERS).is_file() else None
        if isinstance(found, dict) and {"estimand", "sides", "gaps"} <= found.keys():
            return
    for name in (NUMBERS, PAGE, TABLE, APPENDIX, *(file for plot in plots for file in plot_files(plot))):
        if os.path.lexists(folder / name):
            raise UsageError(
                f"{folder / name} would be replaced, and there is no report beside it that it could be part of. "
                "It was left as it is. Name another folder."
            )


def _plots(result: GapResult) -> dict[str, Draw]:
    plots = {"gap": gap_plot(result), "success": success_plot(result), "behaviour": behaviour_plot(result)}
    plots["calibration"] = calibration_plot(result)
    if result.survey:
        plots["survey"] = survey_plot(result)
    return plots


def _environment() -> Environment:
    try:
        import jinja2
    except ImportError:
        raise InstallError(f"The page needs jinja2, which is not installed. Type: {PLOT_INSTALL}") from None
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"signed": signed, "span": span, "signal": signal_label, "percent": percent, "p": p_text}
    environment.filters["whole"] = _whole
    return environment


def _whole(cell: str) -> str:
    """A cell that breaks before its brackets only, and a minus that stays with its number."""
    start = max(cell.find(" ["), cell.find(" ("))
    return cell if start < 0 else cell[: start + 1] + cell[start + 1 :].replace(", ", ",\u00a0")


def _render(
    environment: Environment,
    result: GapResult,
    drawings: dict[str, str],
    note: str | None,
    examples: Sequence[Example],
) -> str:
    text = files("usersim_env.gap").joinpath("templates/report.html").read_text(encoding="utf-8")
    return environment.from_string(text).render(
        result=result,
        sim=result.pairing.sim,
        reference=result.pairing.reference,
        note=note,
        drawings=drawings,  # marked safe in the template: matplotlib escapes the text in them
        headline=headline(result),
        detectable=detectable_sentence(result),
        sections={section.key: section for section in sections(result)},
        side_rows=side_rows(result),
        footnotes=footnotes(result),
        provenance=[_provenance(side.traces) for side in result.pairing.sides],
        behaviour=_behaviour(result),
        examples=[_example(example) for example in examples],
        restricted=_restricted(examples),
    )


def headline(result: GapResult) -> str:
    """The rule reward's gap in a sentence."""
    row, pairing = result.rule, result.pairing
    numbers = f"{signed(row.gap.estimate)} {span(row.gap)}"
    if row.gap.covers_zero:
        return f"Rule reward: {numbers}, {row.finding}."
    side, other = (pairing.reference, pairing.sim) if row.gap.estimate > 0 else pairing.sides
    sentence = f"the agent succeeds more often with the {side.label} user side than with the {other.label} one"
    return f"Rule reward: {numbers}: {sentence}{f' ({row.gap.word})' if row.gap.word else ''}."


def _behaviour(result: GapResult) -> list[tuple[str, str, str, str]]:
    """Dimension, feature, and the two means as text."""
    found = []
    for dimension, names in DIMENSIONS.items():
        for name in names:
            unit = " %" if name in RATES else ""
            cells = [f"{row.values[name]:.1f}{unit}" if row.values else MISSING for row in result.behaviour]
            found.append((dimension.split("_")[0], name, cells[0], cells[1]))
    return found


def _provenance(traces: Sequence[AnyEpisode]) -> list[tuple[str, str]]:
    """When, with which software, at what cost the episodes of a side were recorded."""
    starts = sorted(trace.provenance.started[:16].replace("T", " ") for trace in traces)
    upstream = {" ".join(trace.provenance.upstream.values()) for trace in traces}
    return [
        ("recorded (UTC)", starts[0] if starts[0] == starts[-1] else f"{starts[0]} to {starts[-1]}"),
        ("usersim_env", ", ".join(sorted({trace.provenance.package for trace in traces}))),
        ("tasks from", ", ".join(sorted(upstream)) or MISSING),
        ("domains", ", ".join(sorted({trace.domain for trace in traces}))),
        ("time", f"{math.fsum(trace.provenance.seconds for trace in traces):.1f} s"),
        ("cost", _cost(traces)),
    ]


def _cost(traces: Sequence[AnyEpisode]) -> str:
    costs = [trace.provenance.cost for trace in traces if trace.provenance.cost is not None]
    if costs:
        return f"{math.fsum(costs):.2f} US dollars ({len(costs)} of {len(traces)} known)"
    asked = any("cost" in seat.notes for trace in traces for seat in (trace.agent, trace.user))
    return "unknown" if asked else "none reported"


def _restricted(examples: Sequence[Example]) -> list[str]:
    """Terms of the conversations shown that restrict passing them on."""
    traces = [trace for example in examples for trace in (example.sim, example.reference)]
    return sorted({describe_terms(trace.terms) for trace in traces if not shown(trace)})


def _example(example: Example) -> dict[str, object]:
    return {"task": example.task_id, "sides": [_transcript(trace) for trace in (example.sim, example.reference)]}


def _transcript(trace: AnyEpisode) -> dict[str, object]:
    turns = []
    for message in trace.messages:
        cut = len(message.content) - _LONGEST
        text = message.content[:_LONGEST] + (f" … ({cut} more characters)" if cut > 0 else "")
        turns.append((message.role, text))
    answers = sorted((trace.survey or {}).items())
    return {"id": trace.id, "reward": trace.reward, "ended_by": trace.ended_by, "turns": turns, "survey": answers}
