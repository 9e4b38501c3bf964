"""`claimed`: one rollout at a time for one output file, so that no episode is played, paid for and written twice.

The claim is a lock on ``<file>.in-use``, beside the file. It is not the lock of `json_lines`, which is held for one
append: ``record=`` and vector envs may go on writing to the same file. The system lets a claim go when its process
ends, however it ends.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import warnings
from collections.abc import Iterator

from usersim_env.errors import UsageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_SIGN = b"usersim_env: the file beside this one is in use by process "


@contextlib.contextmanager
def claimed(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Keeps others that claim the same file out, in this process and in all others.

    Args:
        path: the file; it need not exist, its folder is made.
        what: who claims it, for the error: ``rollout``.

    Raises:
        UsageError: another one has it.

    Warns:
        UserWarning: files cannot be locked here (on Windows, on some network file systems, in a folder that may not be
            written to), so nobody is kept out.
    """
    beside = f"{os.path.realpath(path)}.in-use"  # one for all names of a file
    os.makedirs(os.path.dirname(beside), exist_ok=True)
    try:
        held = _lock(beside)
    except _Taken as error:
        raise UsageError(_taken(path, what, error.holder)) from None
    except OSError as error:
        why = error.strerror or str(error)
        warnings.warn(f"{path} cannot be locked: {why}. See that no other {what} writes to it.", stacklevel=3)
        held = None
    try:
        yield
    finally:
        if held is not None:
            _release(*held, beside)


class _Taken(Exception):
    """Another one has the lock; what it wrote into the file."""

    def __init__(self, holder: bytes) -> None:
        super().__init__()
        self.holder = holder


def _lock(beside: str) -> tuple[int, bool]:
    """A descriptor that has the lock, and whether the file is one of these and to be removed at the end."""
    if fcntl is None:
        raise OSError(errno.ENOSYS, "this system has no flock")
    while True:
        descriptor, made = _opened(beside)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(beside)):
                return descriptor, _signed(descriptor, made)
        except FileNotFoundError:  # whoever had it has removed it meanwhile
            pass
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0)
            os.close(descriptor)
            raise _Taken(holder) from None
        except BaseException:
            os.close(descriptor)
            if made:
                os.unlink(beside)
            raise
        os.close(descriptor)


def _opened(beside: str) -> tuple[int, bool]:
    try:
        return os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), True
    except FileExistsError:
        pass
    try:
        return os.open(beside, os.O_RDWR | os.O_NONBLOCK), False
    except FileNotFoundError:  # removed between the two
        return _opened(beside)


def _signed(descriptor: int, made: bool) -> bool:
    """Says who has it; not in somebody else's file of that name, which is locked all the same."""
    if not made and os.pread(descriptor, len(_SIGN), 0) != _SIGN:
        return False
    with contextlib.suppress(OSError):  # on a full disk the lock alone must do
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, _SIGN + f"{os.getpid()}\n".encode(), 0)
    return True


def _taken(path: str | os.PathLike[str], what: str, holder: bytes) -> str:
    found = re.match(re.escape(_SIGN) + rb"(\d+)", holder)
    who = "" if found is None else f" (process {int(found[1])})"
    if found is not None and int(found[1]) == os.getpid():
        who = " in this process (a stream ends when it is closed)"
    return (
        f"Another {what} is writing to {path}{who}. Wait until it has ended and start this one again: what is finished "
        "by then is not done twice. Or name another file."
    )


def _release(descriptor: int, ours: bool, beside: str) -> None:
    """Lets it go; the file is removed while it is still locked."""
    with contextlib.suppress(OSError):
        if ours:
            os.unlink(beside)
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)
