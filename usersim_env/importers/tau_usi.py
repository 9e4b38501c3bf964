"""tau-usi's data file: ``{"<domain>_<i>[_ann2|_ann3]": {conversation, survey, reward, keep, …}}``.

Source: the data set of arXiv:2603.11245. It is gated and passed on only with its terms, which every trace carries. A
simulator's file has the same shape; its runs are marked ``_1``, ``_2`` … at the end of the key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from usersim_env.errors import TermsError, TraceError
from usersim_env.feedback.behaviour import behaviour_features
from usersim_env.feedback.survey import FIELDS
from usersim_env.importers import native
from usersim_env.importers.chat import STOP
from usersim_env.importers.episode import UNKNOWN, ImportSettings, Record, trace_of
from usersim_env.importers.fields import SHOWN, Fields, plain, unit_number
from usersim_env.importers.layout import pack
from usersim_env.importers.markup import PANELS, arguments_of, as_markup, pieces
from usersim_env.importers.place import Place, by_id
from usersim_env.importers.recording import Event, Recorder
from usersim_env.traces.trace import JsonDict, Seat, Terms, Trace

NAME = "tau-usi"
TERMS = Terms(
    "tau-usi data set (gated): for research only, no commercial use, not for training language models, to be passed on "
    "only with these terms",
    training=False,
)
HUMAN_STOP = "/stop"
_KEY = re.compile(r"(?P<domain>.+?)_(?P<index>\d+)(?:_ann(?P<batch>\d+)|_(?P<run>\d+))?", re.ASCII)
_HEADER = re.compile(
    r"\\tau\s.*?task_index:(?P<domain>\w+)-(?P<index>\d+)(?:.*?\bmodel:(?P<model>\S+))?", re.ASCII | re.S
)
_COMMANDS = ("\\tau ", "\\reward")


class _Key(NamedTuple):
    """What the key of an entry says; the test split is meant."""

    task_id: str
    batch: int | None
    run: int | None


def recognise(content: Any) -> bool:
    """Whether a JSON value looks like such a file."""
    return isinstance(content, dict) and any(isinstance(v, dict) and "conversation" in v for v in content.values())


def records(content: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Key and entry of every session."""
    for key, entry in Fields(content, where).value.items():
        yield f"{where}, record {key!r:.{SHOWN}}", (key, entry)


def read(item: tuple[str, Any], where: str, settings: ImportSettings) -> tuple[Trace, list[str]]:
    """One session as a trace, with notes on what a reader should know.

    Raises:
        TraceError: file, record and field of what is wrong.
        TermsError: the caller gives terms; those of this data cannot be changed.
    """
    if settings.terms is not None:
        raise TermsError(
            f"{where}: the terms of {NAME} data cannot be replaced: {TERMS.licence}. Leave the licence options out."
        )
    key, entry = item
    entry = Fields(plain(entry, where), where)
    names = _named(key, where)
    place = by_id(names.task_id)
    recorder = Recorder(place.terminal, where)
    ours = entry.maybe(native.KEY)
    who = ours.maybe("user").find("kind", str) or settings.user or "human"
    kind: Literal["human", "llm"] = "human" if who.startswith("human") else "llm"
    conversation = list(entry.each("conversation"))
    if not conversation:
        raise entry.error("conversation", "it is empty")
    for message in conversation:
        _read_message(recorder, message, place, kind, bool(ours.value))
    recorder.close()
    if ours.value:
        native.end_as(recorder, ours)
        rest = entry.without("conversation", native.KEY)
        return native.restored(ours, recorder, pack(recorder, as_message), rest), recorder.notes
    if unit_number(entry, "reward") is not None and recorder.ended_by is None and recorder.events:
        recorder.stop(implied=True)
        recorder.notes.append("it has a reward and no stop: taken as ended by the user side")
    recorder.finish()
    record = _record(entry, key, names, place, recorder, settings)
    return trace_of(record, recorder, pack(recorder, as_message)), recorder.notes


def _named(key: str, where: str) -> _Key:
    match = _KEY.fullmatch(key)
    if match is None:
        raise TraceError(f"{where}: the key is not <domain>_<number>, with or without _ann2 (got {key!r:.{SHOWN}})")
    batch, run = match["batch"], match["run"]
    task_id = f"{match['domain']}/test/{int(match['index'])}"
    return _Key(task_id, int(batch) if batch else None, int(run) if run else None)


# -- messages ----------------------------------------------------------------------------------------------------------


def _read_message(recorder: Recorder, message: Fields, place: Place, kind: Literal["human", "llm"], ours: bool) -> None:
    role = message.get("role", str)
    if role not in ("user", "assistant", "system", "tool"):
        raise message.error("role", f"expected user, assistant, system or tool, got {role!r:.{SHOWN}}")
    content = message.find("content", str) or ""
    recorder.begin(message.value)
    if role == "user":
        _read_user(recorder, content, message, place, kind)
    elif role in ("assistant", "tool"):
        _read_agent(recorder, content, message, place, ours)


def _read_user(recorder: Recorder, content: str, message: Fields, place: Place, kind: Literal["human", "llm"]) -> None:
    header = _HEADER.match(content)
    if header is not None:
        meant = f"{header['domain']}/test/{int(header['index'])}"
        if meant != place.task_id:
            raise message.error("content", f"it names the task {meant}, the key {place.task_id}")
    elif kind == "llm" and STOP in content:
        recorder.stop(content.replace(STOP, "").strip())
    elif kind == "human" and content.strip() == HUMAN_STOP:
        recorder.stop()
    elif kind == "llm" or not (content.startswith(_COMMANDS) or any(f"<|{panel}|>" in content for panel in PANELS)):
        recorder.say(content)


def _read_agent(recorder: Recorder, content: str, message: Fields, place: Place, ours: bool) -> None:
    """What the agent did; markup in a record of ``ours`` may be its words, and the record says what it was."""
    if message.value["role"] == "tool" and "<|tool|>" not in content:
        _result(recorder, content, message)
        return
    found = list(pieces(content))
    for piece in found:
        if piece.kind == "text":
            recorder.respond(piece.text if len(found) == 1 else piece.text.strip())
        elif piece.kind == "think":
            recorder.think(piece.text)
        elif piece.kind == "tool":
            _result(recorder, piece.text, message)
        elif piece.kind == "call":
            if not piece.name and not ours:
                raise message.error("content", f"a <function= without a name (got {piece.text[:SHOWN]!r})")
            recorder.call(piece.name, arguments_of(piece.text, place.parameter_types(piece.name)))


def _result(recorder: Recorder, content: str, message: Fields) -> None:
    if not recorder.result(content) and recorder.ended_by is None:
        recorder.notes.append(f"{message.where.rpartition(': ')[2]}: a tool result without a call")


def as_message(role: str, events: Any) -> JsonDict:
    """A message from its numbered events."""
    found: list[Event] = [event for _, event in events]
    if role == "assistant":
        return {"role": role, "content": as_markup(found)}
    if role == "user" and found:
        bare = found[0]["event"] == "stop" and not found[0]["content"]
        return {"role": role, "content": HUMAN_STOP if bare else found[0].get("content", "")}
    return {"role": role}


# -- what stands beside the conversation -------------------------------------------------------------------------------


def _record(entry: Fields, key: str, names: _Key, place: Place, recorder: Recorder, settings: ImportSettings) -> Record:
    survey = _survey(entry, recorder)
    reward = unit_number(entry, "reward")
    notes = {
        "batch": names.batch or (1 if names.run is None else None),
        "run": names.run,
        "instance_id": entry.value.get("instance_id"),
        "keep": entry.find("keep", bool),
    }
    seat = settings.seat("human", "human", {name: value for name, value in notes.items() if value is not None})
    messages = [message.value for message in entry.each("conversation")]
    return Record(
        format=NAME,
        key=key,
        place=place,
        agent=_agent(entry, messages),
        user=seat,
        ended_by=recorder.ended_by or "cut",
        reward=reward if recorder.ended_by in ("user", "transfer") else None,
        terms=TERMS,
        rest=entry.without("conversation"),
        survey=survey,
        behaviour=behaviour_features(messages, "human" if seat.kind == "human" else "llm"),
        failure=recorder.failure,
    )


def _agent(entry: Fields, messages: list[JsonDict]) -> Seat:
    header = _HEADER.match(str(messages[0].get("content")))
    model = header["model"] if header is not None else None
    name = entry.find("agent_id", str, int)
    settings = {} if model is None or model == name else {"model": model}
    return Seat("agent", str(name if name is not None else model or UNKNOWN), settings)


def _survey(entry: Fields, recorder: Recorder) -> dict[str, str] | None:
    """The answers that the form has; others stay in source and are noted."""
    found: dict[str, str] = {}
    if entry.find("survey", dict) is None:
        return None
    survey = entry.inside("survey")
    for name in survey.value:
        if name not in FIELDS:
            continue
        answer = survey.inside(name).find("answer", str, int, float)
        if answer is None:
            continue
        if answer in FIELDS[name].answers:
            found[name] = str(answer)
        else:
            recorder.notes.append(f"survey: {name}: unknown answer {answer!r:.{SHOWN}}, kept in source alone")
    return {name: found[name] for name in FIELDS if name in found} or None
