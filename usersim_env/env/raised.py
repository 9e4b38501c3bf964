"""What somebody's agent or user side has raised: a failure of the episode, and for its author a traceback.

An episode that fails must not end the others, so the exception is kept as a `Failure`. Whoever wrote the seat needs to
see where it came from: the first of each kind is logged with its traceback, and `let_through` raises it.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path, PureWindowsPath

from usersim_env.errors import UserSideError, UsersimError, told
from usersim_env.feedback.values import Failure

_HERE = Path(__file__).parents[1]
_DEEPEST, _LONGEST = 20, 200  # frames, and characters of one

log = logging.getLogger(__name__)

LET_THROUGH: ContextVar[bool] = ContextVar("let_through", default=False)
"""Whether what a seat raises ends the run; of this thread or task."""

_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)

_MOST = 100  # kinds that are remembered
_seen: set[tuple[str, type[BaseException], str, int]] = set()


@contextmanager
def let_through() -> Iterator[None]:
    """Inside, an exception of a seat is raised as it is, to be debugged."""
    token = LET_THROUGH.set(True)
    try:
        yield
    finally:
        LET_THROUGH.reset(token)


@contextmanager
def on_purpose() -> Iterator[None]:
    """Inside, nothing is logged: a check makes seats raise, to see what follows."""
    token = _QUIET.set(True)
    try:
        yield
    finally:
        _QUIET.reset(token)


def agent_failure(error: Exception, kind: str = "error") -> Failure:
    """What a driver tells the conversation when the agent raised; ``kind`` where the error has none of its own."""
    if not isinstance(error, UsersimError):
        _show("agent", error)
    own = getattr(error, "kind", None)
    return Failure("agent", own if isinstance(own, str) else kind, told(error), frames_of(error))


def user_failure(error: Exception) -> Failure:
    """What a driver tells the conversation when the user side raised."""
    if isinstance(error, UserSideError):
        return Failure("agent" if error.side == "agent" else "user", str(error.kind), str(error))
    if not isinstance(error, UsersimError):
        _show("user side", error)
    return Failure("user", "error", told(error), frames_of(error))


def frames_of(error: BaseException) -> tuple[str, ...]:
    """Where somebody else's exception came from, without this package's part of the way and without local folders."""
    if isinstance(error, UsersimError):
        return ()
    found = ((frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__))
    places = [(_place(code.co_filename), line, code.co_name) for code, line in found]
    foreign = [f"{place}:{line} in {name}"[:_LONGEST] for place, line, name in places if place]
    return tuple(foreign[-_DEEPEST:])


def _place(filename: str) -> str:
    """An installed file from its package on, of any other its name alone; empty for a file of this package."""
    if Path(filename).is_relative_to(_HERE):
        return ""
    parts = (PureWindowsPath(filename) if "\\" in filename else Path(filename)).parts
    for root in ("site-packages", "dist-packages"):
        if root in parts:
            return "/".join(parts[len(parts) - parts[::-1].index(root) :])
    return parts[-1] if parts else filename


def _show(seat: str, error: Exception) -> None:
    if LET_THROUGH.get():
        raise error
    if _QUIET.get():
        return
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = ("", 0) if frame is None else (frame.tb_frame.f_code.co_filename, frame.tb_lineno)
    kind = (seat, type(error), *place)
    if kind not in _seen and len(_seen) < _MOST:
        _seen.add(kind)
        log.error(
            "The %s raised an exception, so this episode has failed; the kind is shown once.", seat, exc_info=error
        )
