"""A sitting that is over: what the store keeps of it, its trace, and what the page says."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

from usersim_env.conversation.machine import Conversation, Event
from usersim_env.domains import Task
from usersim_env.messages import Message
from usersim_env.person.overtime import out_of_time
from usersim_env.person.session import Ending, Phase
from usersim_env.person.settings import StudySettings
from usersim_env.study.effort_checks import effort_flags
from usersim_env.study.reasons import apology
from usersim_env.study.records import Sitting, State
from usersim_env.traces.provenance import make_trace
from usersim_env.traces.trace import Seat, Terms, Trace


def closed(record: Sitting, conversation: Conversation, task: Task, state: State | None) -> Sitting:
    """The record of a sitting whose conversation is over.

    Args:
        record: as it was.
        conversation: over.
        task: what the person played.
        state: how it ended; ``None`` to tell it from the conversation.
    """
    outcome = conversation.outcome
    failure, survey = outcome.failure, outcome.feedback.survey
    if state is None:
        finished: State = "done" if survey is not None else "no_survey"
        state = finished if failure is None else "abandoned" if failure.side == "user" else "failed"
    flags = effort_flags(conversation.messages, task.instruction, survey, record.seconds)
    return dataclasses.replace(
        record,
        ended=time.time(),
        state=state,
        flags=flags if failure is None else (),
        reward=outcome.feedback.reward,
        overall=survey.answers.get("overall_score") if survey is not None else None,
        failure=f"{failure.side}:{failure.kind}" if failure is not None else None,
    )


def trace_of(
    record: Sitting, conversation: Conversation, agent: Seat, seconds: Sequence[float], title: str, terms: Terms
) -> Trace:
    """The trace of a sitting.

    Args:
        record: of the sitting.
        conversation: the episode.
        agent: who served, with the notes of this episode.
        seconds: that the person took for each turn.
        title: of the study.
        terms: that the person agreed to.
    """
    # A place that is handed out again has its number for whoever takes it.
    notes: dict[str, Any] = {"batch": record.batch} if record.state == "done" else {}
    notes |= {
        "participant": record.person,
        "study": title,
        "flags": list(record.flags),
        "seconds_per_turn": [round(one, 1) for one in seconds],
    }
    if record.state == "no_survey":
        notes["survey"] = "left"
    person = Seat("human", "browser", {}, notes=notes)
    return make_trace(conversation, agent, person, record.started, terms, record.seconds)


def ended(
    record: Sitting, messages: tuple[Message, ...], settings: StudySettings
) -> tuple[Phase, tuple[Message, ...], int, Ending]:
    """What the page shows of a sitting that is over."""
    if record.state == "done":
        text = "Thank you! Your answers have been saved."
        return "done", messages, 0, Ending(text, record.code, settings.redirect)
    if record.state == "no_survey":  # the conversation is whole, and so is the person's work on it
        text = "The questions at the end were not answered. Your conversation has been kept without them."
        return "closed", messages, 0, Ending(text, record.code, settings.redirect)
    if record.state == "failed":  # not the person's fault: they get their code
        return "closed", messages, 0, Ending(apology(record), record.code, settings.redirect)
    text = {
        "abandoned": out_of_time(record.used, settings.turn_timeout, settings.session_timeout),
        "withdrawn": "You have left the study. You can close this page.",
    }[record.state]
    return "closed", messages, 0, Ending(text)


def waits(started: float, stored: Sequence[tuple[float, Event]], seconds: Sequence[float | None]) -> list[float]:
    """Seconds that the person took for each turn.

    Args:
        started: when the sitting began.
        stored: its events, and when they were stored.
        seconds: as they were counted, for each event; where they were not, by older versions, the times tell it.
    """
    found, before = [], started
    for (at, event), counted in zip(stored, seconds, strict=True):
        if event["event"] in ("say", "stop", "survey"):
            found.append(max(at - before, 0.0) if counted is None else counted)
        before = at
    return found
