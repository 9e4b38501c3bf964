"""Traces out to other people's formats: chat-completion messages for fine-tuning, and tau-usi's JSON."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Literal

from usersim_env.domains import LOADERS, get_domain
from usersim_env.errors import TermsError, UsageError, unknown
from usersim_env.feedback.survey import FIELDS
from usersim_env.importers import chat, native, openai_messages, tau_bench, tau_usi
from usersim_env.importers.episode import ImportSettings
from usersim_env.importers.layout import unpack
from usersim_env.importers.markup import as_markup
from usersim_env.importers.recording import Event
from usersim_env.traces.trace import JsonDict, Trace

Purpose = Literal["training", "evaluation"]
TARGETS = (openai_messages.NAME, tau_usi.NAME)


def export_file(
    traces: Iterable[Trace],
    format_name: str,
    path: str | os.PathLike[str],
    purpose: Purpose = "training",
) -> int:
    """Writes traces in another format; returns how many.

    Args:
        traces: all are looked at before anything is written.
        format_name: ``openai`` (JSON Lines) or ``tau-usi`` (one JSON object).
        path: a file that does not exist yet.
        purpose: what chat messages are for; traces whose terms forbid training are refused for ``training``.

    Raises:
        UnknownName: no such format.
        TermsError: the terms of some traces forbid it; nothing is written.
        UsageError: the file exists, or a trace has no place in the format.
    """
    if format_name not in TARGETS:
        raise unknown("format", format_name, TARGETS)
    target = Path(path)
    if target.exists():
        raise UsageError(f"{target} exists. Remove it or name another file.")
    found = list(traces)
    if format_name == tau_usi.NAME:
        text = json.dumps(to_tau_usi(found), indent=1)
    else:
        text = "".join(json.dumps(record) + "\n" for record in to_openai(found, purpose))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return len(found)


def refuse_training(traces: Iterable[Trace]) -> None:
    """A `TermsError` that names the terms if those of any trace forbid training."""
    forbidden = Counter(trace.terms.licence for trace in traces if not trace.terms.training)
    if forbidden:
        named = "; ".join(f"{count} of them: {licence}" for licence, count in forbidden.items())
        raise TermsError(f"The terms of {forbidden.total()} traces forbid training. {named}. Leave these traces out.")


# -- chat-completion messages ------------------------------------------------------------------------------------------


def to_openai(traces: Sequence[Trace], purpose: Purpose = "training") -> list[JsonDict]:
    """One ``{"messages", "tools", "usersim_env"}`` per trace; raises `TermsError` as `export_file`.

    Messages that were imported as chat come out as they were, with the other fields of their record. Others begin with
    the domain's policy where the domain is one of ours. Terms and provenance are in ``usersim_env``.
    """
    if purpose == "training":
        refuse_training(traces)
    return [_chat_record(trace) for trace in traces]


def _chat_record(trace: Trace) -> JsonDict:
    source = trace.source.get("format")
    record: JsonDict = {}
    if source in (openai_messages.NAME, tau_bench.NAME) and "messages" in trace.source:
        record["messages"] = unpack(trace.source["messages"], trace.events, chat.as_message)
    else:
        policy = get_domain(trace.domain).policy if trace.domain in LOADERS else None
        record["messages"] = list(chat.messages_of(trace.events, policy))
        if trace.domain in LOADERS:
            record["tools"] = get_domain(trace.domain).schemas()
    if source == openai_messages.NAME:
        record = {**trace.source.get("record", {}), **record}
    record[native.KEY] = native.described(trace, trace.events)
    again, _ = openai_messages.read((0, record), "export", ImportSettings())
    record[native.KEY] = native.described(trace, again.events)
    return record


# -- tau-usi -----------------------------------------------------------------------------------------------------------


def to_tau_usi(traces: Sequence[Trace]) -> JsonDict:
    """One JSON object of all traces; entries that were imported from such a file come out as they were.

    Raises:
        UsageError: a task is not of a test split, or an imported key occurs twice.
    """
    found: JsonDict = {}
    imported = [t for t in traces if t.source.get("format") == tau_usi.NAME and "messages" in t.source]
    for trace in imported:
        key = trace.source["key"]
        if key in found:
            raise UsageError(f"Two traces have the key {key!r} in {tau_usi.NAME}'s file. Export them apart.")
        conversation = unpack(trace.source["messages"], trace.events, tau_usi.as_message)
        found[key] = {**trace.source["record"], "conversation": conversation}
    ours = [trace for trace in traces if trace.source.get("format") != tau_usi.NAME or "messages" not in trace.source]
    repeated = len({trace.task_id for trace in ours}) < len(ours)
    for trace in ours:
        key = _free_key(trace, found, repeated)
        found[key] = _session(trace, key)
    return found


def _free_key(trace: Trace, taken: Container[str], repeated: bool) -> str:
    """People are batches (``_ann2``), programs are runs (``_1``), as tau-usi has it."""
    domain, split, index = [*trace.task_id.split("/"), "", ""][:3]
    if split != "test" or not index.isdecimal():
        raise UsageError(f"Trace {trace.id}: {tau_usi.NAME} numbers the tasks of test splits; got {trace.task_id!r}.")
    plain = f"{domain}_{index}"
    keys: Iterable[str]
    if trace.human:
        keys = (plain if n == 1 else f"{plain}_ann{n}" for n in count(1))
    else:
        keys = (f"{plain}_{n}" for n in count(1)) if repeated else (plain, f"{plain}_1")
    return next(key for key in keys if key not in taken)


def _session(trace: Trace, key: str) -> JsonDict:
    domain, _, index = trace.task_id.split("/")
    name = trace.agent.name
    model = f" model:{name}" if name and not any(c.isspace() for c in name) else ""
    header = {"role": "user", "content": f"\\tau task_index:{domain}-{index}{model}"}
    answers = trace.survey or {}
    record: JsonDict = {
        "task_id": trace.task_id,
        "agent_id": name,
        "conversation": [header, *_turns(trace)],
        "survey": {field: {"question": FIELDS[field].text, "answer": label} for field, label in answers.items()}
        or None,
        "reward": trace.reward,
        "keep": trace.valid,
        native.KEY: native.described(trace, trace.events),
    }
    again, _ = tau_usi.read((key, record), "export", ImportSettings())
    record[native.KEY] = native.described(trace, again.events)
    return record


def _turns(trace: Trace) -> Iterator[JsonDict]:
    acts: list[Event] = []
    for event in trace.events:
        if event["event"] == "act":
            acts.append(event)
            continue
        if acts:
            yield {"role": "assistant", "content": as_markup(acts)}
            acts = []
        if event["event"] in ("say", "stop") and event["content"]:
            stopped = f" {chat.STOP}" if event["event"] == "stop" and not trace.human else ""
            yield {"role": "user", "content": event["content"] + stopped}
        if event["event"] == "stop" and (trace.human or not event["content"]):
            yield {"role": "user", "content": tau_usi.HUMAN_STOP if trace.human else chat.STOP}
        if event["event"] == "say" and not event["content"]:
            yield {"role": "user", "content": ""}
    if acts:
        yield {"role": "assistant", "content": as_markup(acts)}
