"""From a conversation to its trace."""

from __future__ import annotations

import math
from datetime import datetime, timezone

from usersim_env.conversation.machine import Conversation
from usersim_env.conversation.notes import known_cost
from usersim_env.feedback.scoring import SCORING_VERSION
from usersim_env.traces.recorded_task import differing
from usersim_env.traces.trace import Provenance, Seat, Terms, Trace, episode_id
from usersim_env.version import __version__


def make_trace(
    conversation: Conversation,
    agent: Seat,
    user: Seat,
    started: float,
    terms: Terms | None = None,
    seconds: float = 0.0,
) -> Trace:
    """The trace of a conversation; one that is not over is ``ended_by="cut"`` and not scored.

    Args:
        conversation: the episode, over or not.
        agent: who sat in the agent's seat.
        user: who sat in the user's seat, with the session's notes.
        started: when the episode began, in seconds since the epoch.
        terms: what may be done with the trace; our own terms by default.
        seconds: that it took, by a clock that nobody sets.
    """
    c = conversation
    outcome = c.outcome if c.over else None
    feedback = outcome.feedback if outcome is not None else None
    survey = feedback.survey if feedback is not None else None
    return Trace(
        id=episode_id(c.task, agent, user, c.seed, c.rules),
        task_id=c.task.id,
        task_hash=c.task.hash,
        domain=c.task.domain,
        agent=agent,
        user=user,
        seed=c.seed,
        max_steps=c.rules.max_steps,
        events=tuple(c.events),
        ended_by=outcome.ended_by if outcome is not None else "cut",
        reward=feedback.reward if feedback is not None else None,
        checks=dict(feedback.checks) if feedback is not None else {},
        survey=dict(survey.answers) if survey is not None else None,
        failure=outcome.failure if outcome is not None else None,
        effort=feedback.effort if feedback is not None else c.effort(),
        provenance=Provenance(
            package=__version__,
            upstream=dict(c.world.domain.source),
            started=datetime.fromtimestamp(started, timezone.utc).isoformat(timespec="seconds"),
            seconds=round(seconds, 3),
            cost=_cost(agent, user),
        ),
        behaviour=feedback.behaviour if feedback is not None else None,
        signals=dict(feedback.signals) if feedback is not None else {},
        terms=terms if terms is not None else Terms(),
        lazy_open=c.rules.lazy_open,
        asks_survey=c.rules.survey,
        scoring=SCORING_VERSION,
        recording=feedback.recording if feedback is not None else c.recording,
        task=differing(c.task, c.world.domain),
        max_chars=c.rules.max_chars,
    )


def _cost(*seats: Seat) -> float | None:
    """What the seats report together; a seat that reports no ``cost`` has called no model of ours."""
    costs = [known_cost(seat.notes["cost"]) for seat in seats if "cost" in seat.notes]
    known = [cost for cost in costs if cost is not None]
    return math.fsum(known) if known and len(known) == len(costs) else None
