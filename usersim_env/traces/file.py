"""Files of traces: JSON Lines that survive a crash, appended to by one write per episode."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from usersim_env.errors import TraceError
from usersim_env.jsonl.kind import LineKind
from usersim_env.jsonl.lines import JsonLines
from usersim_env.messages import RESPOND
from usersim_env.traces.looks_like import hint, looks_like
from usersim_env.traces.trace import SCHEMA, Trace
from usersim_env.traces.values import check_values

EVENT_FIELDS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "act": {"name": str, "arguments": dict},
    "say": {"content": str},
    "stop": {"content": str},
    "survey": {"answers": (dict, type(None))},
    "fail": {"side": str, "kind": str, "message": str},
}
"""What each event of a line holds at least."""


TRACES = LineKind(
    "file of traces",
    re.compile(rb'\{"id":"[0-9a-f]{16}","task_id":"'),
    (frozenset({"id", "task_id", "task_hash", "events"}),),
    TraceError,
)
"""Lines of `Trace.to_line`."""

_BEGINS = b'{"'


@cache
def _adapter() -> TypeAdapter[Trace]:
    return TypeAdapter(Trace)


class TraceWriter:
    """Appends traces to a file; safe to share between processes and threads, and after a crash: see `json_lines`.

    A last line that was cut in the middle is moved to ``<file>.cut`` with a warning, so that nothing is lost and
    every line of the file is whole.

    Raises:
        TraceError: the file holds something else; it is left as it is.
        OSError: it cannot be opened for writing.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lines = JsonLines(path, TRACES)
        self._lines.repair()
        self._closed = False

    def __reduce__(self) -> tuple[type[TraceWriter], tuple[Path]]:
        """In a copy or another process: the same file, opened anew."""
        return TraceWriter, (self.path,)

    def write(self, trace: Trace) -> None:
        """One line, in the file when this returns: a killed process loses nothing, a power failure the last seconds.

        Raises:
            ValueError: the writer is closed.
            TraceError: the file has been replaced by one that holds something else.
            OSError: the line was not written, for instance because the disk is full. It may be tried again.
        """
        if self._closed:
            raise ValueError(f"write to a closed file: {self.path}")
        self._lines.append(trace.to_line())

    def close(self) -> None:
        """Ends the writing; writing again is an error."""
        self._closed = True

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def _whole(line: bytes) -> bool:
    try:
        _loads(line)
    except ValueError:
        return False
    return True


def holds_traces(path: str | os.PathLike[str]) -> bool:
    """Whether the first line of a file is one of our traces, and not a recording in another format."""
    with open(path, "rb") as file:
        first = next((line for line in file if line.strip()), b"")
    if b'"task_hash"' not in first:  # other formats may be one line of megabytes
        return False
    try:
        content = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and {"events", "task_hash"} <= content.keys()


def iter_traces(path: str | os.PathLike[str]) -> Iterator[Trace]:
    """Traces of a file, one at a time; see `located`, which also says where they are."""
    for _, trace in located(path):
        yield trace


def trace_at(path: str | os.PathLike[str], offset: int) -> Trace:
    """The trace at an offset that `located` gave.

    Raises:
        TraceError: there is none any more.
    """
    with open(path, "rb") as file:
        file.seek(offset)
        line = file.readline()
    return parse(TRACES.rest(line) or line, f"{path}, at byte {offset}")


def located(path: str | os.PathLike[str]) -> Iterator[tuple[int, Trace]]:
    """Traces of a file, one at a time, each with the offset of its line in bytes. What was cut is left out with
    a warning, and so is its line's beginning where an older version has glued the next line to it.

    Raises:
        TraceError: the file is not there, or a line is not a trace: which line, which field, what came.
    """
    if not Path(path).is_file():
        if Path(path).is_dir():
            raise TraceError(f"{path} is a folder; expected a file of traces, such as {path}/traces.jsonl.{hint(path)}")
        if Path(path).exists():
            raise TraceError(f"{path} is a pipe, a device or a socket; expected a file of traces.")
        raise TraceError(f"No file of traces at {path}. Make one with: usersim-env rollout … --out {path}")
    offset = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            start, offset = offset, offset + len(line)
            if not line.endswith(b"\n") and not _whole(line):
                if number == 1 and not line.startswith(_BEGINS[: len(line)]):
                    raise TraceError(f"{path} is no file of traces: it begins with {line[:40]!r}.{hint(path)}")
                warnings.warn(f"{path}: line {number} was cut in the middle and is left out.", stacklevel=2)
                return
            if line.strip():
                try:
                    trace = _read_line(line, f"{path}, line {number}")
                except TraceError as error:
                    raise (error if number > 1 else _no_traces(path, error)) from None
                if trace is not None:
                    yield start, trace


def _no_traces(path: str | os.PathLike[str], error: TraceError) -> TraceError:
    """The error of a first line: what the whole file is says more, where it is something else that is known."""
    if (found := looks_like(path)) is None:
        return error
    return TraceError(f"{path} is no file of traces. It looks like {found}")


def _read_line(line: bytes, where: str) -> Trace | None:
    """The trace of a line; of one that was cut in the middle, the whole one that was glued to it, or ``None``."""
    try:
        return parse(line, where)
    except TraceError:
        rest = TRACES.rest(line)
        if rest is None and not TRACES.torn(line):
            raise
    what = "is left out" if rest is None else "another is glued to it, which is read"
    warnings.warn(f"{where} was cut in the middle; {what}.", stacklevel=3)
    return None if rest is None else parse(rest, where)


def read_traces(path: str | os.PathLike[str]) -> list[Trace]:
    """The traces of a file, without failed episodes that a later line has run again; see `iter_traces`."""
    return latest(iter_traces(path))


class _Episode(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def valid(self) -> bool: ...


E = TypeVar("E", bound=_Episode)


def latest(traces: Iterable[E]) -> list[E]:
    """Traces without those not scored that a later one of the same id replaces (a retry, or after a broken-off run)."""
    found: list[E] = []
    unscored: dict[str, int] = {}
    for trace in traces:
        at = unscored.pop(trace.id, None)
        if at is None:
            at = len(found)
            found.append(trace)
        else:
            found[at] = trace
        if not trace.valid:
            unscored[trace.id] = at
    return found


def parse(line: bytes, where: str) -> Trace:
    """One line as a `Trace`; what is wrong with it is a `TraceError` that begins with ``where``."""
    try:
        content = _loads(line)
        _check_schema(content, where)
        trace = _adapter().validate_python(content)
    except TraceError:
        raise
    except ValueError as error:
        if not isinstance(error, ValidationError):
            raise TraceError(f"{where}: not JSON: {error} (got {line[:80]!r}). Is it a file of traces?") from None
        first = error.errors()[0]
        at = ".".join(str(part) for part in first["loc"]) or "the line"
        raise TraceError(f"{where}: {at}: {first['msg']} (got {str(first['input'])[:80]!r}). Is it a trace?") from None
    for number, event in enumerate(trace.events):
        _check_event(event, f"{where}: events.{number}")
    check_values(trace, where)
    return trace


def _loads(line: bytes) -> Any:
    """The JSON of a line; what is too large for a number is found by `check_values`."""
    try:
        return from_json(line, allow_inf_nan=False)  # three times as fast as the standard library's
    except ValueError:  # it refuses lone surrogates, which a model may have written, and says little of the rest
        pass
    try:
        return json.loads(line, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _check_schema(content: Any, where: str) -> None:
    """Before the fields, which a newer schema may have changed."""
    schema = content.get("schema", SCHEMA) if isinstance(content, dict) else SCHEMA
    if isinstance(schema, int) and schema > SCHEMA:
        raise TraceError(f"{where}: schema {schema} is newer than {SCHEMA}. Type: pip install -U usersim_env")


def _check_event(event: dict[str, Any], where: str) -> None:
    kind = event.get("event")
    fields = EVENT_FIELDS.get(kind) if isinstance(kind, str) else None
    if fields is None:
        raise TraceError(f"{where}.event: expected {', '.join(EVENT_FIELDS)} (got {str(kind)[:80]!r})")
    for name, expected in fields.items():
        if not isinstance(event.get(name), expected) or name not in event:
            raise TraceError(f"{where}.{name}: missing or of the wrong type (got {str(event.get(name))[:80]!r})")
    if kind == "act" and not isinstance(event.get("result"), str):
        words = event["arguments"].get("content") if event["name"] == RESPOND else None
        if "result" in event or not isinstance(words, str):
            raise TraceError(f"{where}.result: missing or no str, and no respond with a str content")
