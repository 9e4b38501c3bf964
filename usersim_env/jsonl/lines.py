"""`JsonLines`: files of JSON lines that are only ever appended to, by any number of processes.

Traces, cassettes, the progress of ratings and a monitor's history are such files. What all of them promise:

* A file is looked at before it is touched, at every append. One that holds something else, and whatever is no regular
  file, is refused and stays as it is, byte for byte.
* A line is in the file, whole, when `JsonLines.append` returns: nobody's death takes it away again. Where the disk is
  full, the part that was written is taken out again, and an `OSError` says so; the next append may succeed.
* A line that was torn all the same (its writer was killed, or the machine lost power) is moved to ``<file>.cut`` by
  whoever appends next, with a warning. No line is ever glued to another.
* Writers exclude each other by ``flock`` on the file, for the time of one append. Without it (on Windows, and on some
  network file systems) let only one process at a time write to a file.
* A line is handed to the operating system, which is enough for the death of a process. A power failure can take the
  last seconds with it, unless the kind of file is ``synced``: then each line is forced to the disk.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from usersim_env.jsonl.kind import LineKind

try:
    import fcntl
except ImportError:  # Windows: one process at a time
    fcntl = None  # type: ignore[assignment]

_HEAD = 512  # bytes; by then a line of ours can be told
_LONGEST = 1 << 26  # bytes of a first line in another layout that are read to see whose it is
_BLOCK = 1 << 16
_BINARY = getattr(os, "O_BINARY", 0)


class JsonLines:
    """One file of JSON lines, to append to. It is opened for each append, so nothing has to be closed.

    Args:
        path: the file; it need not exist.
        kind: of its lines.
    """

    def __init__(self, path: str | os.PathLike[str], kind: LineKind) -> None:
        self.path = Path(path)
        self._at = os.path.abspath(path)  # the same file after a chdir
        self._kind = kind

    def check(self) -> None:
        """Looks whether lines may be appended; changes nothing and makes no file.

        Raises:
            UsageError: the file holds something else, or is no regular file. Of the class that the kind names.
        """
        if os.path.exists(self._at):
            with self._opened(os.O_RDONLY) as descriptor:
                self._refuse_others(descriptor)

    def repair(self) -> int:
        """Makes the file if there is none, and moves a torn last line aside; returns the size in bytes.

        Raises:
            UsageError: as `check`.
            OSError: the file cannot be written to.
        """
        return self.append(b"")

    def append(self, line: bytes, if_empty: bytes | None = None, size: int | None = None) -> int:
        """Appends one line, which is in the file when this returns; returns the size in bytes.

        Args:
            line: JSON that ends with a newline and has no other.
            if_empty: lines that are written in its place where the file is empty or not there.
            size: bytes that the file may have at most; it has more if somebody else has written to it meanwhile.

        Raises:
            UsageError: as `check`, or the file has grown. It is unchanged.
            OSError: the line was not written; what was in the file before is whole.
        """
        with self._opened(os.O_RDWR | os.O_APPEND | os.O_CREAT) as descriptor:
            self._refuse_others(descriptor)
            missing, end = self._repaired(descriptor)
            if size is not None and end > size:
                raise self._kind.error(
                    f"{self.path} has grown since it was last read or written here: another process writes to it too. "
                    "Nothing was added. Name another file for one of them."
                )
            content = missing + (if_empty if end == 0 and if_empty is not None else line)
            self._write(descriptor, content, end)
            if self._kind.synced and content:
                os.fsync(descriptor)
        if self._kind.synced and content and end == 0:
            self._sync_folder()
        return end + len(content)

    # -- opening and locking -------------------------------------------------------------------------------------------

    @contextmanager
    def _opened(self, flags: int) -> Iterator[int]:
        """A descriptor of the file that has the path now, which is this process's alone while it is open."""
        while True:
            self._refuse_special()
            descriptor = self._open(flags | _BINARY)
            locked = False
            try:
                locked = self._lock(descriptor, shared=flags == os.O_RDONLY)
                if self._moved(descriptor):  # while this was waiting for the lock
                    continue
                yield descriptor
                return
            finally:
                if locked:  # closing is not enough: a process that was forked meanwhile has the descriptor, too
                    fcntl.flock(descriptor, fcntl.LOCK_UN)
                os.close(descriptor)

    def _open(self, flags: int) -> int:
        try:
            return os.open(self._at, flags, 0o666)
        except FileNotFoundError:
            if not flags & os.O_CREAT:
                raise
        os.makedirs(os.path.dirname(self._at), exist_ok=True)
        return os.open(self._at, flags, 0o666)

    def _moved(self, descriptor: int) -> bool:
        try:
            return not os.path.samestat(os.fstat(descriptor), os.stat(self._at))
        except FileNotFoundError:
            return True

    def _lock(self, descriptor: int, shared: bool) -> bool:
        """Waits until no other process writes; whether that can be known here."""
        if fcntl is None:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        except OSError as error:
            text = f"{self.path} cannot be locked: {error.strerror}. Let only one process at a time write to it."
            warnings.warn(text, stacklevel=6)
            return False
        return True

    # -- looking -------------------------------------------------------------------------------------------------------

    def _refuse_special(self) -> None:
        """Before it is opened: a named pipe would wait for its other end, and a device may do anything."""
        try:
            mode = os.stat(self._at).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "a pipe, a device or a socket"
            raise self._kind.error(f"{self.path} is {what}; expected a {self._kind.name}, or a name that is free.")

    def _refuse_others(self, descriptor: int) -> None:
        head = _read(descriptor, 0, _HEAD)
        if self._kind.begins.match(head) or not head:
            return
        start = head.lstrip()
        blank = not start and len(head) < _HEAD and head.endswith(b"\n")
        if not blank and not (start.startswith(b"{") and self._kind.holds(_first_line(descriptor))):
            raise self._kind.error(
                f"{self.path} is no {self._kind.name}: it begins with {head[:40]!r}. It was left as it is. "
                "Name another file, or remove this one if nobody needs it."
            )

    # -- repairing and writing -----------------------------------------------------------------------------------------

    def _repaired(self, descriptor: int) -> tuple[bytes, int]:
        """What the last line lacks, and where the next one begins."""
        size = os.fstat(descriptor).st_size
        if size == 0 or _read(descriptor, size - 1, 1) == b"\n":
            return b"", size
        start = _last_line(descriptor, size)
        last = _read(descriptor, start, size - start)
        if self._kind.holds(last):
            return b"\n", size
        aside = self._set_aside(last, stat.S_IMODE(os.fstat(descriptor).st_mode))
        os.ftruncate(descriptor, start)
        text = f"{self.path}: the last line was cut in the middle; it was moved to {aside}."
        warnings.warn(text, stacklevel=4)
        return b"", start

    def _set_aside(self, content: bytes, mode: int) -> str:
        """Writes what was cut into a new file beside this one; readable for nobody who could not read it before."""
        for number in itertools.count(1):
            name = f"{self.path}.cut{number if number > 1 else ''}"
            at = f"{self._at}.cut{number if number > 1 else ''}"
            try:
                descriptor = os.open(at, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode)
            except FileExistsError:  # of an earlier crash, or of somebody else
                continue
            try:
                with open(descriptor, "wb") as file:
                    file.write(content + b"\n")
            except BaseException:
                os.unlink(at)
                raise
            return name
        raise AssertionError("unreachable")

    def _write(self, descriptor: int, content: bytes, end: int) -> None:
        """All of the content or nothing of it."""
        written = 0
        try:
            while written < len(content):
                count = os.write(descriptor, content[written:] if written else content)
                if count == 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                written += count
        except BaseException as error:
            with suppress(OSError):
                # Otherwise somebody has written without the lock; what is torn is then moved aside by the next append.
                if written and os.fstat(descriptor).st_size == end + written:
                    os.ftruncate(descriptor, end)
            if isinstance(error, OSError):
                text = f"{error.strerror}; the line was not written, and what was in the file before is whole"
                raise OSError(error.errno, text, str(self.path)) from error
            raise

    def _sync_folder(self) -> None:
        """The name of a new file is kept by its folder."""
        with suppress(OSError):  # Windows opens no folders
            descriptor = os.open(os.path.dirname(self._at), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _read(descriptor: int, start: int, count: int) -> bytes:
    os.lseek(descriptor, start, os.SEEK_SET)
    found = os.read(descriptor, count)
    while len(found) < count and (more := os.read(descriptor, count - len(found))):
        found += more
    return found


def _first_line(descriptor: int) -> bytes:
    """The first line that is not blank."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    with open(descriptor, "rb", closefd=False) as file:
        return next((line for line in iter(lambda: file.readline(_LONGEST), b"") if line.strip()), b"")


def _last_line(descriptor: int, size: int) -> int:
    """Where the last line begins, of a file that does not end with a newline."""
    end = size
    while end:
        start = max(0, end - _BLOCK)
        if (found := _read(descriptor, start, end - start).rfind(b"\n")) >= 0:
            return start + found + 1
        end = start
    return 0
