"""The formats by name, and files of them as traces."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usersim_env.errors import TraceError, UsageError, unknown
from usersim_env.importers import (
    inspect_archive,
    inspect_log,
    odyssim,
    openai_messages,
    simulation_run,
    tau2_folder,
    tau_bench,
    tau_usi,
    verifiers,
)
from usersim_env.importers.episode import ImportSettings
from usersim_env.importers.fields import NotJsonHere, load_json, load_records, problem_in
from usersim_env.traces.file import TraceWriter
from usersim_env.traces.looks_like import hint
from usersim_env.traces.trace import Trace
from usersim_env.traces.values import check_values

AUTO = "auto"


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        recognise: whether the JSON value of a file looks like it.
        records: the records of that value, each with file and place.
        read: one record as a trace, with notes.
    """

    name: str
    recognise: Callable[[Any], bool]
    records: Callable[[Any, str], Iterator[tuple[str, Any]]]
    read: Callable[[Any, str, ImportSettings], tuple[Trace, list[str]]]


FORMATS: dict[str, Format] = {
    module.NAME: Format(module.NAME, module.recognise, module.records, module.read)
    for module in (inspect_log, odyssim, tau_usi, tau_bench, simulation_run, verifiers, openai_messages)
}
"""In the order in which `AUTO` tries them."""


_CONTAINERS = (
    (FORMATS[simulation_run.NAME], tau2_folder.holds, tau2_folder.whole),
    (FORMATS[inspect_log.NAME], inspect_archive.holds, inspect_archive.whole),
)
"""Formats that a folder or an archive may hold, what tells it, and what reads it as one value."""


@dataclass(frozen=True)
class ImportResult:
    """What came out of some files.

    Attributes:
        traces: in the order of the files.
        broken: why a record was left out, one line each.
        notes: what a reader should know about a trace, one line each.
    """

    traces: tuple[Trace, ...]
    broken: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Counts, and the lines, as JSON values."""
        return {
            "imported": len(self.traces),
            "scored": sum(trace.valid for trace in self.traces),
            "not_kept": sum(trace.user.notes.get("keep") is False for trace in self.traces),
            "terms": sorted({trace.terms.licence for trace in self.traces}),
            "broken": list(self.broken),
            "notes": list(self.notes),
        }


def import_files(
    paths: Iterable[str | os.PathLike[str]],
    format_name: str = AUTO,
    settings: ImportSettings | None = None,
) -> ImportResult:
    """Reads foreign recordings as traces.

    Args:
        paths: files of one format, or of several with ``auto``.
        format_name: a name in `FORMATS`, or ``auto``: by what the file holds.
        settings: what the caller knows and the files do not say; with ``skip_broken`` a broken record is listed and
            left out. A file that is no JSON at all is always an error.

    Raises:
        UnknownName: no such format.
        TraceError: which file, which record, which field, what came.
    """
    if format_name != AUTO and format_name not in FORMATS:
        raise unknown("format", format_name, (AUTO, *FORMATS))
    settings = settings if settings is not None else ImportSettings()
    traces: list[Trace] = []
    broken: list[str] = []
    notes: list[str] = []
    for path in paths:
        for outcome in read_file(path, format_name, settings):
            if isinstance(outcome, TraceError):
                broken.append(str(outcome))
                continue
            traces.append(outcome[0])
            notes += outcome[1]
    nowhere = sum(not (trace.domain or trace.task_hash) for trace in traces)
    if nowhere:
        notes.append(
            f"{nowhere} of {len(traces)} episodes name neither a domain nor a task, so nobody can tell whether another "
            "file has the same tasks, and gap compares none of them. If you know the domain, import with --domain."
        )
    return ImportResult(tuple(traces), tuple(broken), tuple(notes))


def import_to_file(
    paths: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    format_name: str = AUTO,
    settings: ImportSettings | None = None,
) -> ImportResult:
    """The same, written to a new file of traces; nothing is written unless at least one record could be read.

    Raises:
        UsageError: the file exists.
        TraceError: as `import_files`, or no record could be read.
    """
    if Path(out).exists():
        raise UsageError(f"{out} exists. Remove it or name another file.")
    result = import_files(paths, format_name, settings)
    if not result.traces:
        first = f" The first is {result.broken[0]}" if result.broken else ""
        raise TraceError(f"Nothing could be imported: {len(result.broken)} broken records.{first}")
    with TraceWriter(out) as writer:
        for trace in result.traces:
            writer.write(trace)
    return result


def read_file(
    path: str | os.PathLike[str],
    format_name: str,
    settings: ImportSettings,
) -> Iterator[tuple[Trace, list[str]] | TraceError]:
    """Every record of a file in order: its trace with notes, or with ``skip_broken`` what is wrong with it."""
    for found, where, record in _records(Path(path), format_name):
        try:
            if isinstance(record, TraceError):
                raise record
            if (problem := problem_in(record)) is not None:
                raise TraceError(f"{where}: not JSON: {problem}")
            trace, notes = found.read(record, where, settings)
            check_values(trace, where)
        except TraceError as error:
            if not settings.skip_broken:
                raise
            yield error
        else:
            yield trace, [f"{where}: {note}" for note in notes]


def recognised(path: str | os.PathLike[str]) -> str | None:
    """The format of a file or folder; ``None`` where it is none of these.

    Raises:
        TraceError: it begins like a list and is no JSON.
    """
    for found, holds, _ in _CONTAINERS:
        if holds(Path(path)):
            return found.name
    content = Path(path).read_bytes()
    try:
        value = load_records(content)
    except ValueError as error:
        if content.lstrip()[:1] == b"[":
            raise TraceError(f"{path}: not JSON: {error}") from None
        value = [found for _, found in _lines(Path(path), content)]
    return next((found.name for found in FORMATS.values() if found.recognise(value)), None)


def _records(path: Path, name: str) -> Iterator[tuple[Format, str, Any]]:
    """Format, place and content of every record; a line that is no JSON is a `TraceError` as content."""
    for found, holds, whole in _CONTAINERS:
        if name in (AUTO, found.name) and path.exists() and holds(path):
            yield from ((found, where, record) for where, record in found.records(whole(path), str(path)))
            return
    if not path.is_file():
        raise TraceError(f"No file at {path}: expected one of the formats {', '.join(FORMATS)}.")
    content = path.read_bytes()
    try:
        value = load_records(content)
    except ValueError as error:
        lines = list(_lines(path, content))
        values = [value for _, value in lines if not isinstance(value, TraceError)]
        if not values:
            raise TraceError(f"{path}: not JSON: {error}") from None
        found = _format(path, name, values)
        for where, value in lines:
            if isinstance(value, TraceError):
                yield found, where, value
            else:
                yield from ((found, at, record) for at, record in found.records([value], where))
        return
    if isinstance(value, NotJsonHere):
        raise TraceError(f"{path}: not JSON: {value.problem}")
    found = _format(path, name, value)
    yield from ((found, where, record) for where, record in found.records(value, str(path)))


def _lines(path: Path, content: bytes) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(content.splitlines(), 1):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            value = load_json(line)
        except ValueError as error:
            yield where, TraceError(f"{where}: not JSON: {error} (got {line[:80]!r})")
        else:
            # A number or a text alone is a piece of a broken file, not a record.
            yield where, value if isinstance(value, dict | list) else TraceError(f"{where}: no object: {line[:80]!r}")


def _format(path: Path, name: str, value: Any) -> Format:
    first = value[0] if isinstance(value, list) and value else value
    if isinstance(first, dict) and {"events", "task_hash"} <= first.keys():
        raise TraceError(f"{path}: these are traces of ours already; every command reads them as they are.")
    if name != AUTO:
        return FORMATS[name]
    for found in FORMATS.values():
        if found.recognise(value):
            return found
    raise TraceError(
        f"{path}: none of the formats {', '.join(FORMATS)}. Name one with --format to see what is wrong.{_more(path)}"
    )


def _more(path: Path) -> str:
    """What the file is, unless that is something that an import reads, which has just been tried."""
    told = hint(path)
    return "" if "usersim-env import" in told else told
