"""What every driver does with a user side: checks it, begins a session, and names it in the trace."""

from __future__ import annotations

import warnings
from typing import Any

from usersim_env.conversation.notes import kept_notes
from usersim_env.conversation.scene import Scene
from usersim_env.errors import BadReply, UsageError, told
from usersim_env.traces.trace import Seat
from usersim_env.users.base import KINDS, User, UserSession


def begun(user: User, scene: Scene) -> UserSession:
    """A session of the user side.

    Raises:
        BadReply: what `User.begin` gave is none.
    """
    session: object = user.begin(scene)
    if not isinstance(session, UserSession):
        raise BadReply(f"begin() of the user side gave a {type(session).__name__}, not a UserSession.")
    return session


def user_seat(user: User, notes: dict[str, Any] | None = None) -> Seat:
    """The user side as traces name it."""
    return Seat(user.kind, user.name, user.describe(), notes=notes or {})


def session_notes(session: UserSession | None) -> dict[str, Any]:
    """What the session wants in the trace, as JSON whatever came: bad notes must not cost the episode."""
    return kept_notes(session, f"The user side ({type(session).__name__})")


def checked_user(user: object) -> User:
    """The same user side.

    Raises:
        UsageError: it is none, or of a kind that traces do not know.
    """
    if not isinstance(user, User):
        got = f"the class {user.__name__}: make one of it" if isinstance(user, type) else type(user).__name__
        raise UsageError(f"user is a usersim_env.users.User, got {got}.")
    if getattr(user, "kind", None) not in KINDS:
        kind = getattr(user, "kind", None)
        raise UsageError(f"kind of {type(user).__name__} is one of {', '.join(KINDS)}, got {kind!r}.")
    return user


def released(user: User) -> None:
    """Releases the user side of an env that is closed; what it raises is a warning, for everything is on disk."""
    try:
        user.release()
    except Exception as error:
        warnings.warn(f"The user side could not be closed. {told(error)}", stacklevel=3)
