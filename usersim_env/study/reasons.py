"""What a person reads when their conversation was ended without them: why, and whose fault it was."""

from __future__ import annotations

from usersim_env.study.deadlines import INTERRUPTED, TOO_SLOW
from usersim_env.study.records import Sitting

_COUNTS = "We are sorry. This was not your fault, and your time counts all the same."


def apology(record: Sitting) -> str:
    """Why a sitting has failed; never the person's fault."""
    side, _, kind = (record.failure or "").partition(":")
    if side == "agent" and kind in (TOO_SLOW, "timeout"):
        what = "The AI system took too long to answer, so this conversation has been ended."
    elif side == "agent":
        what = "The AI system could not go on, so this conversation has been ended."
    elif kind == INTERRUPTED:
        what = "Our server could not be reached for a while, and this conversation was closed before you were back."
    else:
        what = "A technical problem on our side has ended this conversation."
    return f"{what} {_COUNTS}"
