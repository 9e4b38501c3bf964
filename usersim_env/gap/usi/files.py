"""Reads sessions and surveys from tau-usi's format or from our traces.

In tau-usi's files the key names the task and the batch (``airline_0``, ``airline_0_ann2``) or the run
(``airline_0_1``). The authors' scorer looks at the number of a run only in files of more than 170 entries; here it
counts wherever it stands.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from usersim_env.errors import TraceError
from usersim_env.feedback.behaviour import Source as Speaker
from usersim_env.feedback.behaviour import features_of_turns, hidden_turns, user_turns
from usersim_env.gap.episodes import AnyEpisode, hidden_of, read_episodes
from usersim_env.gap.task_means import behaviour_of
from usersim_env.gap.usi.sessions import Session, Sessions, answers_of, check_ids, ordered, task_key
from usersim_env.importers import ImportSettings, native, odyssim, tau_usi
from usersim_env.importers.fields import Fields, load_json, unit_number
from usersim_env.traces.file import holds_traces
from usersim_env.traces.looks_like import hint

Source: TypeAlias = str | os.PathLike[str] | Mapping[str, Any] | Iterable[AnyEpisode]
"""A file, the content of one in tau-usi's format, or traces."""

NOT_KEPT = "marked keep: false"
NOT_SCORED = "not scored"
_KEY = re.compile(r"(?P<task>.+?_\d+)(?:_ann(?P<batch>\d+)|_(?P<run>\d+))?", re.ASCII)


def read_sessions(source: Source, speaker: Speaker, where: str) -> Sessions:
    """The sessions of a file.

    Args:
        source: what to read.
        speaker: who spoke in the user's seat; decides which control messages are left out.
        where: what messages call it where it is no file.

    Raises:
        TraceError: it is not there, empty or of another format, or a session is broken: which, and what came.
    """
    content, where = _content(source, where)
    if isinstance(content, Mapping):
        kept, left_out = _split(_entry_session(key, entry, speaker, where) for key, entry in content.items())
        kinds = {_stated(entry, "user", "kind", "") for entry in content.values()} - {""}
        terms = {_stated(entry, "terms", "licence", tau_usi.TERMS.licence) for entry in content.values()}
    else:
        check_ids(content, where)
        kept, left_out = _split(_trace_session(t) for t in sorted(content, key=lambda t: t.seed))
        kinds = {trace.user.kind for trace in content}
        terms = {trace.terms.licence for trace in content}
    if not kept:
        why = ", ".join(f"{n} {reason}" for reason, n in left_out.items())
        raise TraceError(f"{where}: no session is left of {left_out.total()} ({why}). Give a file with finished ones.")
    return Sessions(where, ordered(kept, where), left_out, tuple(sorted(terms)), frozenset(kinds))


def read_surveys(source: Source, where: str) -> dict[int, dict[str, Session]]:
    """Surveys alone, by batch and task: of a rater who read the sessions, or a person's own.

    Raises:
        TraceError: as `read_sessions`; conversations need not be there.
    """
    content, where = _content(source, where)
    if not isinstance(content, Mapping):
        return ordered([session for session, _ in map(_trace_session, content)], where)
    found = []
    for key, entry in content.items():
        task, batch, _ = _names(key, where)
        at = f"{where}, record {key!r}"
        found.append(Session(key, task, batch or 1, survey=answers_of(Fields(entry, at).value.get("survey"), at)))
    return ordered(found, where)


def read_object(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The JSON object in a file, or a `TraceError` that says what is there instead."""
    content = _bytes(path)
    try:
        value = load_json(content)
    except ValueError as error:
        raise TraceError(f"{path}: not JSON: {error} (got {content[:80]!r}).{hint(path)}") from None
    if not isinstance(value, dict):
        raise TraceError(f"{path}: expected a JSON object, got {value!r:.80}")
    return value


def _bytes(path: str | os.PathLike[str]) -> bytes:
    if not Path(path).is_file():
        raise TraceError(
            f"No file at {path}. Give one in tau-usi's format, or traces that rollout or import made.{hint(path)}"
        )
    content = Path(path).read_bytes()
    if not content.strip():
        raise TraceError(f"{path}: the file is empty. Give one with at least one session.")
    return content


def _content(source: Source, where: str) -> tuple[Mapping[str, Any] | Sequence[AnyEpisode], str]:
    found: Mapping[str, Any] | Sequence[AnyEpisode]
    if isinstance(source, str | os.PathLike):
        where = str(source)
        ours = Path(source).is_file() and holds_traces(source)
        found = read_episodes(source) if ours else odyssim.by_key(read_object(source))
        if isinstance(found, Mapping) and found and not any(_KEY.fullmatch(key) for key in found):
            first = next(iter(found))
            keys = f"none of its keys is <domain>_<number>, the first is {first!r:.80}"
            raise TraceError(f"{where}: no sessions: {keys}.{hint(source)}")
    else:
        found = source if isinstance(source, Mapping) else list(source)
    if not found:
        raise TraceError(f"{where}: there is no session in it. Give one with at least one session.")
    return found, where


def _split(found: Iterable[tuple[Session, str]]) -> tuple[list[Session], Counter[str]]:
    kept, left_out = [], Counter[str]()
    for session, reason in found:
        if reason:
            left_out[reason] += 1
        else:
            kept.append(session)
    return kept, left_out


def _names(key: str, where: str) -> tuple[str, int | None, int | None]:
    match = _KEY.fullmatch(key)
    if match is None:
        raise TraceError(
            f"{where}: the key {key!r:.80} is not <domain>_<number>, with or without _ann2 (a batch of people) or _2 "
            "(a simulator's run). Rename it, or import the file first: usersim-env import FILE --out FILE.jsonl"
        )
    domain, _, index = match["task"].rpartition("_")
    return f"{domain}_{int(index)}", *(int(n) if n else None for n in (match["batch"], match["run"]))  # type: ignore[return-value]


def _stated(entry: Mapping[str, Any], seat: str, name: str, default: str) -> str:
    """What an entry exported by this package says of itself, else the default."""
    ours = Fields(entry.get(native.KEY) or {}, native.KEY)
    return ours.maybe(seat).find(name, str) or default


def _entry_session(key: str, entry: Any, speaker: Speaker, where: str) -> tuple[Session, str]:
    """A session of tau-usi's format, and why it is left out."""
    task, batch, run = _names(key, where)
    where = f"{where}, record {key!r}"
    fields = Fields(entry, where)
    if fields.find("keep", bool) is False:
        return Session(key, task, None), NOT_KEPT
    if speaker == "human" and run is not None:
        raise TraceError(f"{where}: _{run} marks a run of a simulator; people's batches are _ann2, _ann3. Use --sim.")
    copy = batch or run or 1
    if native.KEY in entry:  # an export of ours, whose conversation holds lines that nobody said
        session, reason = _trace_session(tau_usi.read((key, entry), where, ImportSettings())[0])
        return dataclasses.replace(session, id=key, task=task, copy=copy), reason
    features, hidden = _behaviour(fields, speaker)
    survey = answers_of(fields.value.get("survey"), where)
    return Session(key, task, copy, features, unit_number(fields, "reward"), survey, hidden), ""


def _behaviour(entry: Fields, speaker: Speaker) -> tuple[dict[str, float] | None, int]:
    """The features, and how many turns curly apostrophes hide phrases in."""
    messages = [message.value for message in entry.each("conversation")]
    try:
        texts, n_turns = user_turns(messages, speaker)
        return features_of_turns(texts, n_turns), hidden_turns(texts)
    except (TypeError, ValueError) as error:
        raise TraceError(f"{entry.where}: conversation: {error}") from None


def _trace_session(trace: AnyEpisode) -> tuple[Session, str]:
    """A session of ours, and why it is left out. An imported one is read as it stood in its file."""
    if not (trace.domain or trace.task_hash):
        raise TraceError(
            f"trace {trace.id} names neither a domain nor a task, so it cannot be compared with others. "
            "Import it again with --domain."
        )
    notes = trace.user.notes
    record = trace.source.get("record", {}) if trace.source.get("format") == tau_usi.NAME else {}
    reward = trace.reward if "reward" not in record else unit_number(Fields(record, trace.id), "reward")
    survey = answers_of(record.get("survey", trace.survey), f"trace {trace.id}")
    copy = notes.get("batch") or notes.get("run")
    session = Session(
        str(trace.source.get("key", trace.id)) if record else trace.id,
        task_key(trace.task_id),
        copy if isinstance(copy, int) else (1 if record else None),
        behaviour_of(trace),
        reward,
        survey,
        hidden_of(trace),
    )
    reason = NOT_KEPT if notes.get("keep") is False else NOT_SCORED if reward is None and not record else ""
    return session, reason
