"""Every error of the package; each says what came, what was expected and what to type next.

::

    UsersimError
    ├── UsageError (also ValueError)      the caller's mistake; nothing was changed or lost
    │   ├── InvalidAction                 an action that is not {"name": str, "arguments": dict}
    │   ├── UnknownName                   a task, split, domain, tool, persona or agent that does not exist
    │   ├── TraceError                    a file of traces: which file, line and field
    │   └── TermsError                    the terms of a trace forbid what was asked for
    ├── OutOfTurn                         a driver told the conversation something it had not asked for
    ├── ContractError                     an env or a user side breaks contracts; every one is listed
    ├── InstallError                      something is not installed, or is not what we verified
    ├── NotScored                         a loop that knows numbers only asked a failed episode for its reward
    ├── ModelError                        a language model did not answer, whichever seat asked it
    ├── WorkerLost                        processes of a cluster were lost, also when they were tried again
    └── UserSideError                     the user side failed: becomes a Failure, never a reward of 0
        ├── Abandoned                     the person left
        └── BadReply                      the user side answered with something that is not a turn
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Literal


class UsersimError(Exception):
    """Base of every error that this package raises on purpose."""


class UsageError(UsersimError, ValueError):
    """The caller's mistake; nothing was changed or lost."""


class InvalidAction(UsageError):
    """An action that is not a dict with a str ``name`` and a dict ``arguments``."""


class UnknownName(UsageError):
    """A name that does not exist; the message lists or suggests those that do."""


class TraceError(UsageError):
    """A file of traces could not be read: which file, which line, which field."""


class TermsError(UsageError):
    """The terms of a trace forbid what was asked for."""


class OutOfTurn(UsersimError):
    """A driver told the conversation something that it had not asked for."""


class ContractError(UsersimError):
    """What `usersim_env.checking` was given breaks contracts; the message lists every one.

    Args:
        what: that was checked.
        broken: one line per broken contract: what was done, what came, what was expected, what to do.
    """

    def __init__(self, what: str, broken: Sequence[str]) -> None:
        super().__init__(f"{what} breaks {len(broken)} contract{'s' * (len(broken) != 1)}:\n" + "\n".join(broken))
        self.broken = tuple(broken)


class InstallError(UsersimError):
    """Something is missing, or its content differs from what was verified."""


class NotScored(UsersimError):
    """A loop that knows numbers only asked for the reward of an episode that has none; 0 would be a lie."""


class ModelError(UsersimError):
    """A language model did not answer usably; the seat that asked turns it into its failure.

    Args:
        message: one sentence, without keys.
        kind: ``outage``, ``timeout``, ``rate_limit``, ``quota``, ``auth``, ``refused_request``, ``context_length``,
            ``content_policy``, ``bad_reply`` or ``cassette``.
        passes: whether another try can help.
        retry_after: seconds that the server asked to wait.
        billed: whether the provider may have charged for the call, so that its tokens and cost are unknown, not 0.
    """

    def __init__(
        self,
        message: str,
        kind: str = "error",
        passes: bool = False,
        retry_after: float | None = None,
        billed: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.passes = passes
        self.retry_after = retry_after
        self.billed = billed


class WorkerLost(UsersimError):
    """Processes of a cluster were lost, also when they were tried again; says which episodes are missing."""


class UserSideError(UsersimError):
    """The user side could not take its turn.

    Args:
        message: one sentence for the reader of the trace.
        kind: what failed, as a short word that summaries group by (``"outage"``, ``"timeout"`` …).
        side: whose failure it is: ``"user"``, or ``"agent"`` where the agent's words brought it about.
    """

    kind = "error"
    side: Literal["user", "agent"] = "user"

    def __init__(self, message: str, kind: str | None = None, side: Literal["user", "agent"] | None = None) -> None:
        super().__init__(message)
        if kind is not None:
            self.kind = kind
        if side is not None:
            self.side = side


class Abandoned(UserSideError):
    """The person left before the episode was over."""

    kind = "abandoned"


class BadReply(UserSideError):
    """The user side answered with something that is neither words nor a stop."""

    kind = "bad_reply"


def told(error: BaseException) -> str:
    """``Type: message`` of any error; a foreign one whose text cannot be made gives its type alone."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


def unknown(what: str, got: object, known: Iterable[str], more: str = "") -> UnknownName:
    """Builds an `UnknownName` that suggests the nearest known name, or lists them all when they are few."""
    names = list(known)
    near = difflib.get_close_matches(str(got), names, n=1)
    if near:
        hint = f"Did you mean {near[0]!r}?"
    elif len(names) <= 20:
        hint = f"Known: {', '.join(names) or 'none'}."
    else:
        hint = f"There are {len(names)}, for example {names[0]!r} and {names[-1]!r}."
    return UnknownName(f"Unknown {what} {got!r}. {hint}{' ' + more if more else ''}")
