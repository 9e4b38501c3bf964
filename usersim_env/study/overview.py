"""What whoever runs a study wants to see: how far it is, what failed, and any conversation to read."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any, get_args

from usersim_env.conversation.machine import Event
from usersim_env.conversation.transcript import render_events
from usersim_env.domains import get_task
from usersim_env.errors import UsersimError
from usersim_env.person.faults import fault
from usersim_env.study import database
from usersim_env.study.reading import Unreadable, checked_event
from usersim_env.study.records import HOLDING, Sitting, State
from usersim_env.study.study import Study


def overview(study: Study) -> dict[str, Any]:
    """Progress per task and batch, failures, median time, and every sitting, as JSON values."""
    sittings, settings = list(study.sittings()), study.settings
    minutes = [s.seconds / 60 for s in sittings if s.state == "done"]
    return {
        "study": {
            "title": settings.title,
            "domain": settings.domain,
            "split": settings.split,
            "agent": study.agent.seat.name,
            "per_task": settings.per_task,
            "started": _iso(min((s.started for s in sittings), default=None)),
        },
        "counts": {state: sum(s.state == state for s in sittings) for state in get_args(State)},
        "trouble": study.store.saving.trouble,
        "median_minutes": round(statistics.median(minutes), 1) if minutes else None,
        "failures": dict(Counter(s.failure for s in sittings if s.failure is not None)),
        "batches": _batches(sittings, settings.per_task, len(study.tasks)),
        "tasks": _tasks(sittings, study.tasks, settings.per_task),
        "consents": study.agreements(),
        "sessions": [_row(study, sitting) for sitting in reversed(sittings)],
    }


def conversation(study: Study, sitting: str) -> dict[str, Any] | None:
    """One conversation to read; ``None`` if there is no such sitting."""
    found = next((s for s in study.sittings() if s.id == sitting), None)
    if found is None:
        return None
    events = [_entry(*row) for row in database.read_rows(study.store.connection, sitting)]
    try:
        instruction = get_task(found.task).instruction
    except UsersimError as error:
        instruction = f"({error})"
    return _row(study, found) | {"instruction": instruction, "events": events}


def _batches(sittings: Iterable[Sitting], per_task: int, tasks: int) -> list[dict[str, Any]]:
    counts = Counter((s.batch, s.state) for s in sittings)
    return [
        {"batch": batch, "done": counts[batch, "done"], "open": counts[batch, "open"], "of": tasks}
        for batch in range(1, per_task + 1)
    ]


def _tasks(sittings: Iterable[Sitting], tasks: Iterable[str], per_task: int) -> list[dict[str, Any]]:
    counts = Counter((s.task, s.state) for s in sittings if s.state in HOLDING)
    return [
        {"task_id": task, "done": counts[task, "done"], "open": counts[task, "open"], "wanted": per_task}
        for task in tasks
    ]


def _row(study: Study, sitting: Sitting) -> dict[str, Any]:
    live = study.live.get(sitting.id)
    return {
        "id": sitting.id,
        "participant": sitting.person,
        "task_id": sitting.task,
        "batch": sitting.batch,
        "state": sitting.state,
        "phase": live.session.phase if live is not None else "over",
        "turns": sitting.turns,
        "started": _iso(sitting.started),
        "minutes": round(sitting.seconds / 60, 1) if sitting.ended is not None else None,
        "connected": live is not None and bool(live.session.connections),
        "flags": list(sitting.flags),
        "failure": sitting.failure,
        "problem": sitting.problem,
        "reward": sitting.reward,
        "overall": sitting.overall,
        "consent": sitting.consent,
        "agreed": _iso(sitting.agreed),
        "agreed_to": study.consents.of(sitting).line(),
    }


def _entry(number: Any, at: Any, text: Any) -> dict[str, Any]:
    """An event to read: who, and what was said or done; also one that cannot be read is shown, as a note."""
    try:
        return _shown(at, checked_event(number, text))
    except Exception as error:
        what = str(error) if isinstance(error, Unreadable) else f"Event {number} cannot be shown ({fault(error)})."
        return {"who": "note", "text": what, "at": None}


def _shown(at: float, event: Event) -> dict[str, Any]:
    kind = event["event"]
    if kind in ("say", "stop"):
        return {"who": "user", "text": event["content"] or "(ends the conversation)", "at": _iso(at)}
    if kind == "act":
        tool = "result" in event
        text = render_events([event]) if tool else event["arguments"]["content"]
        return {"who": "tool" if tool else "agent", "text": text, "at": _iso(at)}
    return {"who": "note", "text": render_events([event]), "at": _iso(at)}


def _iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="seconds")
