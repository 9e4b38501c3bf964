"""OdysSim's results: ``{"results": [{"instance_id", "domain", "task_index", "conversation", "survey", "reward"}]}``.

The sessions have the shape of tau-usi's, in a list. Their user side is a simulator, and their terms are not those of
the human study.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from usersim_env.importers import tau_usi
from usersim_env.importers.episode import NOT_STATED, ImportSettings
from usersim_env.traces.trace import Trace

NAME = "odyssim"


def recognise(content: Any) -> bool:
    """Whether a JSON value looks like such a file."""
    listed = content.get("results") if isinstance(content, dict) else None
    return (
        isinstance(listed, list)
        and bool(listed)
        and all(isinstance(entry, dict) and {"instance_id", "conversation"} <= entry.keys() for entry in listed)
    )


def by_key(content: Any) -> Any:
    """The sessions by key, as tau-usi's files have them; a second one of a task is a further run."""
    if not recognise(content):
        return content
    counts: Counter[str] = Counter()
    found = {}
    for entry in content["results"]:
        key = str(entry["instance_id"])
        counts[key] += 1
        found[key if counts[key] == 1 else f"{key}_{counts[key]}"] = entry
    return found


def records(content: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Key and entry of every session."""
    return tau_usi.records(by_key(content), where)


def read(item: tuple[str, Any], where: str, settings: ImportSettings) -> tuple[Trace, list[str]]:
    """One session as a trace.

    Raises:
        TraceError: file, record and field of what is wrong.
    """
    trace, notes = tau_usi.read(item, where, replace(settings, terms=None, user=settings.user or "llm"))
    return replace(trace, terms=settings.terms or NOT_STATED), notes
