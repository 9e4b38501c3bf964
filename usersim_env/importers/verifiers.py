"""What verifiers saves: ``traces.jsonl`` (from version 0.3 on) and ``results.jsonl`` (before).

Source: github PrimeIntellect-ai/verifiers. A line of the first is an episode with the trace of each agent, whose
messages are a graph; the last branch is read. A line of the second is a prompt with its completion.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from usersim_env.domains.tau_bench import content_hash
from usersim_env.feedback.values import Failure
from usersim_env.importers.chat import as_message, read_talk
from usersim_env.importers.episode import NOT_STATED, UNKNOWN, ImportSettings, Record, crashed, trace_of
from usersim_env.importers.fields import Fields, load_json, plain
from usersim_env.importers.layout import pack
from usersim_env.importers.place import Place
from usersim_env.importers.recording import Recorder
from usersim_env.traces.trace import Trace

NAME = "verifiers"
LIMITS = ("max_turns", "max_input_tokens", "max_output_tokens", "max_total_tokens", "compaction_failed")
"""Values of ``stop_condition`` that are limits."""

_ROW = frozenset({"prompt", "completion", "reward"})


def recognise(content: Any) -> bool:
    """Whether a JSON value looks like such a file."""
    items = content if isinstance(content, list) else [content]
    return any(isinstance(item, dict) and (_is_episode(item) or item.keys() >= _ROW) for item in items)


def _is_episode(item: Mapping[str, Any]) -> bool:
    traces = item.get("traces")
    return isinstance(traces, list) and isinstance(item.get("task"), dict)


def records(content: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Every row, and of every episode the traces of the agents that are evaluated (``trainable``)."""
    for number, item in enumerate(content if isinstance(content, list) else [content]):
        place = f"{where}, record {number}"
        if not isinstance(item, dict) or not _is_episode(item):
            yield place, (item, None)
            continue
        played = [trace for trace in item["traces"] if _evaluated(trace)] or item["traces"] or [{}]
        for at, trace in enumerate(played):
            yield (place if len(played) == 1 else f"{place}, trace {at}"), (item, trace)


def _evaluated(trace: Any) -> bool:
    agent = trace.get("agent") if isinstance(trace, dict) else None
    return isinstance(agent, dict) and agent.get("trainable", True) is True


def read(item: tuple[Any, Any], where: str, settings: ImportSettings) -> tuple[Trace, list[str]]:
    """One row or one agent's trace; one that failed is not scored, whatever reward stands in the file.

    Raises:
        TraceError: file, record and field of what is wrong.
    """
    found = Fields(plain(item[0], where), where)
    if item[1] is None:
        return _read_row(found, where, settings)
    return _read_trace(found, Fields(plain(item[1], where), f"{where}: traces"), where, settings)


# -- prompt and completion ---------------------------------------------------------------------------------------------


def _read_row(row: Fields, where: str, settings: ImportSettings) -> tuple[Trace, list[str]]:
    messages = [*_listed(row, "prompt", "user"), *_listed(row, "completion", "assistant")]
    recorder = _recorded(messages, where)
    content = {name: row.value.get(name) for name in ("prompt", "answer", "info")}
    domain = settings.domain or ""
    example = row.find("example_id", str, int)
    place = Place(f"{domain}/verifiers/{example if example is not None else content_hash(content)[:16]}", "", domain)
    if domain:
        place = Place(place.task_id, content_hash(content), domain)
    error = row.value.get("error")
    stopped = row.find("stop_condition", str) or ""
    limit = row.find("is_truncated", bool) or stopped.startswith("max_")
    cut = row.find("is_completed", bool) is False
    ended_by, failure = _end(recorder, _said(error), limit, cut)
    reward = _unit(row.find("reward", int, float), recorder.notes)
    record = Record(
        format=NAME,
        key=f"{example}/{content_hash(row.value)[:8]}/{_number(where)}",
        place=place,
        agent=settings.agent_seat(),
        user=settings.seat(UNKNOWN),
        ended_by=ended_by,
        reward=None if ended_by in ("failure", "cut") else reward,
        terms=settings.terms or NOT_STATED,
        rest=row.without("prompt", "completion"),
        failure=failure,
    )
    return trace_of(record, recorder, pack(recorder, as_message)), recorder.notes


def _number(where: str) -> str:
    """Line and record, which tell equal rows of a file apart wherever the file is."""
    found = re.search(r"(?:, line \d+)?, record \d+$", where)
    return "" if found is None else found[0]


def _listed(row: Fields, name: str, role: str) -> list[Any]:
    """Messages; a text is one message. An episode that failed at once has no completion."""
    found = row.find(name, str, list)
    if isinstance(found, str):
        return [{"role": role, "content": found}]
    return [] if found is None else list(found)


# -- an episode of agents ----------------------------------------------------------------------------------------------


def _read_trace(episode: Fields, trace: Fields, where: str, settings: ImportSettings) -> tuple[Trace, list[str]]:
    nodes = list(trace.each("nodes")) if trace.find("nodes", list) else []
    path = _last_branch(nodes)
    recorder = _recorded([node.get("message", dict) for node in path], where)
    leaves = len(nodes) - len({node.find("parent", int) for node in nodes} - {None})
    if leaves > 1:
        recorder.notes.append(f"{leaves} branches of messages: the last one is read, the others are not kept")
    errors = [*(trace.find("errors", list) or ()), *(episode.find("errors", list) or ())]
    failed = None if trace.find("ok", bool) and episode.find("ok", bool) is not False else _said(errors[-1:])
    limit = (trace.find("stop_condition", str) or "") in LIMITS
    ended_by, failure = _end(recorder, failed, limit, trace.find("is_completed", bool) is False)
    reward = _unit(_sum(trace), recorder.notes)
    agent = trace.maybe("agent")
    span = trace.maybe("timing")
    started = span.find("start", int, float)
    record = Record(
        format=NAME,
        key=str(trace.value.get("id") or episode.value.get("id")),
        place=_place(episode, settings),
        agent=settings.agent_seat(_model(trace) or agent.find("name", str)),
        user=settings.seat(UNKNOWN),
        ended_by=ended_by,
        reward=None if ended_by in ("failure", "cut") else reward,
        terms=settings.terms or NOT_STATED,
        rest={**episode.without("traces"), "trace": trace.without("nodes", "calls", "tools")},
        failure=failure,
        started=None if started is None else _time(started),
    )
    return trace_of(record, recorder, pack(recorder, as_message)), recorder.notes


def _last_branch(nodes: list[Fields]) -> list[Fields]:
    """The messages from the root to the last node, each of which names the one before it."""
    found: list[Fields] = []
    at: int | None = len(nodes) - 1 if nodes else None
    while at is not None:
        found.append(nodes[at])
        parent = nodes[at].find("parent", int)
        if parent is not None and not 0 <= parent < at:
            raise nodes[at].error("parent", f"expected the number of an earlier node, got {parent}")
        at = parent
    return found[::-1]


def _place(episode: Fields, settings: ImportSettings) -> Place:
    """By the task's own key and hash."""
    task = episode.inside("task")
    data = task.maybe("data")
    if isinstance(data.value.get("settings"), dict) and "env_id" in data.value["settings"]:
        raise data.error(
            "settings",
            "an episode of this package's own environment, in which calls and results are written as talk. Give the "
            "taskset keywords={'record': 'FILE.jsonl'} and read that file, which is one of traces",
        )
    domain = settings.domain or episode.maybe("env").find("id", str) or ""
    content = task.find("hash", str) or content_hash(data.value)
    return Place(f"{domain}/verifiers/{task.find('key', str) or content[:16]}", content if domain else "", domain)


def _model(trace: Fields) -> str | None:
    calls = trace.find("calls", list) or ()
    return next((str(call["model"]) for call in calls if isinstance(call, dict) and call.get("model")), None)


def _sum(trace: Fields) -> float | None:
    """The reward as verifiers adds it up, weighted, from those that were computed; ``None`` where none was."""
    rewards = trace.maybe("rewards")
    parts = [rewards.inside(name) for name, value in rewards.value.items() if value is not None]
    values = [part.get("score", int, float) * _weight(part) for part in parts]
    return math.fsum(values) if values else None


# -- both --------------------------------------------------------------------------------------------------------------


def _recorded(messages: list[Any], where: str) -> Recorder:
    recorder = Recorder((), where)
    read_talk(recorder, [_readable(m, recorder) for m in Fields({"messages": messages}, where).each("messages")])
    recorder.close()
    recorder.finish()
    return recorder


def _readable(message: Fields, recorder: Recorder) -> Fields:
    """A call whose arguments are no JSON was answered by its env and lost the agent something: it is kept as it is."""
    calls = message.value.get("tool_calls")
    if not isinstance(calls, list):
        return message
    found = []
    for call in calls:
        text = call.get("arguments") if isinstance(call, dict) else None
        if isinstance(text, str) and text.strip() and not _is_json(text):
            recorder.notes.append(f"{message.where}: arguments that are no JSON: {text:.40}")
            call = {**call, "arguments": {"unparsed": text}}
        found.append(call)
    return Fields({**message.value, "tool_calls": found}, message.where)


def _is_json(text: str) -> bool:
    try:
        return isinstance(load_json(text), dict)
    except ValueError:
        return False


def _weight(part: Fields) -> float:
    found = part.find("weight", int, float)
    return 1.0 if found is None else float(found)


def _end(recorder: Recorder, error: str | None, limit: bool, cut: bool) -> tuple[str, Failure | None]:
    if error is not None:
        return crashed(recorder, f"The rollout failed: {error:.300}")
    if recorder.failure is not None:
        return "failure", recorder.failure
    return ("limit" if limit else recorder.ended_by or ("cut" if cut else "agent")), None


def _said(error: Any) -> str | None:
    """What an error says, in whatever shape a version of verifiers has written it."""
    if isinstance(error, list):
        return _said(error[0]) if error else "not ok, without a reason"
    if isinstance(error, dict):
        return ": ".join(str(error[name]) for name in ("type", "error", "message") if error.get(name))
    return None if error is None else str(error)


def _unit(value: float | None, notes: list[str]) -> float | None:
    if value is None or 0 <= value <= 1:
        return None if value is None else float(value)
    notes.append(f"the reward {value:.6g} is not between 0 and 1: not scored, kept in source")
    return None


def _time(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return ""
