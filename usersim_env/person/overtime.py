"""What a person reads when their time was over."""

from __future__ import annotations


def out_of_time(used: float, turn_timeout: float, session_timeout: float) -> str:
    """Why a conversation was closed in which the person did not answer any more.

    Args:
        used: seconds of all their turns together.
        turn_timeout: seconds that one turn may take.
        session_timeout: seconds that all of them together may take.
    """
    if used >= session_timeout:
        what = f"Your time for this conversation, {_minutes(session_timeout)}, was over"
    else:
        what = f"There was no answer for {_minutes(turn_timeout)}"
    return f"{what}, so this conversation has been closed."


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes"
