"""Files of traces: JSON Lines that survive a crash, appended to by one write per episode."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn

from pydantic import TypeAdapter, ValidationError

from usersim_env.errors import TraceError
from usersim_env.messages import RESPOND
from usersim_env.trace import SCHEMA, Trace

try:
    import fcntl
except ImportError:  # Windows: one process at a time
    fcntl = None  # type: ignore[assignment]

EVENT_FIELDS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "act": {"name": str, "arguments": dict},
    "say": {"content": str},
    "stop": {"content": str},
    "survey": {"answers": (dict, type(None))},
    "fail": {"side": str, "kind": str, "message": str},
}
"""What each event of a line holds at least."""


_BEGINS = b'{"'


@cache
def _adapter() -> TypeAdapter[Trace]:
    return TypeAdapter(Trace)


class TraceWriter:
    """Appends traces to a file; safe to share between processes, and after a crash.

    A last line that was cut in the middle is moved to ``<file>.cut`` with a warning, so that nothing is lost and
    every line of the file is whole.

    Raises:
        TraceError: the file holds something else; it is left as it is.
        OSError: it cannot be opened for writing.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _refuse_others(self.path)
        _repair(self.path)
        self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - closed by close()

    def write(self, trace: Trace) -> None:
        """One line, handed to the system in one write before this returns: a killed process loses nothing.

        Raises:
            OSError: the line is not on disk whole.
        """
        line = trace.to_line()
        with locked(self._file):
            written = self._file.write(line)
        if written != len(line):
            raise OSError(f"{self.path}: only {written} of {len(line)} bytes were written. Is the disk full?")

    def close(self) -> None:
        """Closes the file; writing again is an error."""
        self._file.close()

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def _refuse_others(path: Path) -> None:
    """A file that does not begin like a line of traces is somebody's; a cut line still begins like one."""
    if path.is_file():
        with open(path, "rb") as file:
            start = file.read(len(_BEGINS)).lstrip()
        if not (start.startswith(_BEGINS) or _BEGINS.startswith(start)):
            raise TraceError(f"{path} is no file of traces: it begins with {start!r}. Name another file to append to.")


def _repair(path: Path) -> None:
    if not path.exists() or path.stat().st_size == 0:
        return
    with open(path, "rb+") as file, locked(file):
        file.seek(-1, os.SEEK_END)
        if file.read(1) == b"\n":
            return
        content = path.read_bytes()
        keep = content.rfind(b"\n") + 1
        if _whole(content[keep:]):
            file.seek(0, os.SEEK_END)
            file.write(b"\n")
            return
        rest = path.with_name(path.name + ".cut")
        with open(rest, "ab") as cut:
            cut.write(content[keep:] + b"\n")
        file.truncate(keep)
    warnings.warn(f"{path}: the last line was cut in the middle; it was moved to {rest}.", stacklevel=3)


@contextmanager
def locked(file: IO[bytes]) -> Iterator[None]:
    """One process at a time in this file, or a line that another is writing would be taken for one that was cut."""
    if fcntl is None:
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _whole(line: bytes) -> bool:
    try:
        json.loads(line)
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
    """Traces of a file, one at a time. A cut last line is left out with a warning.

    Raises:
        TraceError: the file is not there, or a line is not a trace: which line, which field, what came.
    """
    if not Path(path).is_file():
        if Path(path).is_dir():
            raise TraceError(f"{path} is a folder; expected a file of traces, such as {path}/traces.jsonl.")
        raise TraceError(f"No file of traces at {path}. Make one with: usersim-env rollout … --out {path}")
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n") and not _whole(line):
                if number == 1 and not line.startswith(_BEGINS[: len(line)]):
                    raise TraceError(f"{path} is no file of traces: it begins with {line[:40]!r}.")
                warnings.warn(f"{path}: line {number} was cut in the middle and is left out.", stacklevel=2)
                return
            if line.strip():
                yield parse(line, f"{path}, line {number}")


def read_traces(path: str | os.PathLike[str]) -> list[Trace]:
    """The traces of a file, without failed episodes that a later line has run again; see `iter_traces`."""
    return latest(iter_traces(path))


def latest(traces: Iterable[Trace]) -> list[Trace]:
    """Traces without those not scored that a later one of the same id replaces (a retry, or after a broken-off run)."""
    found: list[Trace] = []
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
        # Not pydantic's own JSON reader: it refuses the lone surrogates that a model may have written.
        content = json.loads(line, parse_constant=_no_constant)
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
    return trace


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
