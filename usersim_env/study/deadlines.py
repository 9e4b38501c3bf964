"""When a sitting has taken too long, and whose fault that is."""

from __future__ import annotations

from usersim_env.feedback.values import Failure
from usersim_env.person.clock import SittingClock
from usersim_env.person.session import Phase
from usersim_env.person.settings import StudySettings

TOO_SLOW, INTERRUPTED = "too_slow", "interrupted"
"""Kinds of failures: the agent has used up its time; the person did not come back to a server that had been away."""


def overdue(clock: SittingClock, phase: Phase, missed: bool, settings: StudySettings) -> Failure | None:
    """Why a sitting is over; ``None`` while there is time left.

    Args:
        clock: of the sitting.
        phase: what the person's page shows.
        missed: the server was away while the person had the page open, and they have not been seen since.
        settings: of the study.
    """
    if phase == "agent" and clock.served > settings.session_timeout:
        return Failure("agent", TOO_SLOW, f"The agent took more than {settings.session_timeout:g} s in all.")
    if phase not in ("you", "survey"):
        return None
    if clock.used > settings.session_timeout:
        message = f"The person was not done within {settings.session_timeout:g} s of their own turns."
    elif clock.silent > settings.turn_timeout:
        message = f"The person did not answer within {settings.turn_timeout:g} s."
    else:
        return None
    if missed:
        return Failure("study", INTERRUPTED, "The server was away, and the person did not come back to it.")
    return Failure("user", "abandoned", message)
