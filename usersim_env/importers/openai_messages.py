"""Plain chat-completion messages: one conversation, a list of ``{"messages": […]}``, or those as JSON Lines.

A record may say more: ``task_id`` (an id of ours), ``reward``; and one that was exported from here says everything, in
its field ``usersim_env``. A conversation without a stop word or a transfer never ended: it is cut and not scored.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from usersim_env.feedback import Failure
from usersim_env.importers import native
from usersim_env.importers.chat import as_message, read_message
from usersim_env.importers.episode import NOT_STATED, UNKNOWN, ImportSettings, Record, trace_of
from usersim_env.importers.fields import Fields, plain, unit_number
from usersim_env.importers.layout import pack
from usersim_env.importers.place import Place, by_id
from usersim_env.importers.recording import Recorder
from usersim_env.trace import Seat, Trace

NAME = "openai"


def recognise(content: Any) -> bool:
    """Whether a JSON value looks like such a file."""
    if isinstance(content, list):
        return any(isinstance(item, dict) and ("messages" in item or "role" in item) for item in content)
    return isinstance(content, dict) and "messages" in content


def records(content: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Every conversation, with its place in the file."""
    if isinstance(content, dict):
        content = [content]
    found = Fields({"the file": content}, where).get("the file", list)
    if any(isinstance(item, dict) and "role" in item for item in found):
        found = [{"messages": found}]
    for index, record in enumerate(found):
        yield f"{where}, record {index}", (index, record)


def read(item: tuple[int, Any], where: str, settings: ImportSettings) -> tuple[Trace, list[str]]:
    """One conversation as a trace. Who sat in the user's seat is ``unknown`` unless the caller or the record says it.

    Raises:
        TraceError: file, record and field of what is wrong.
    """
    index, content = item
    record = Fields(plain(content, where), where)
    known = record.maybe(native.KEY)
    task_id = known.find("task_id", str) or record.find("task_id", str, int) or ""
    place = by_id(task_id) if isinstance(task_id, str) and "/" in task_id else Place()
    recorder = Recorder(place.terminal, where)
    if not record.get("messages", list):
        raise record.error("messages", "it is empty")
    for message in record.each("messages"):
        read_message(recorder, message)
    recorder.close()
    if known.value:
        native.end_as(recorder, known)
        rest = record.without("messages", native.KEY)
        return native.restored(known, recorder, pack(recorder, as_message), rest), recorder.notes
    recorder.finish()
    failed = recorder.events[-1] if recorder.ended_by == "failure" else None
    found = Record(
        format=NAME,
        key=str(record.value.get("id", index)),
        place=place,
        agent=Seat("agent", record.find("model", str) or UNKNOWN),
        user=settings.seat(UNKNOWN),
        ended_by=recorder.ended_by or "cut",
        reward=unit_number(record, "reward") if recorder.ended_by in ("user", "transfer") else None,
        terms=settings.terms or NOT_STATED,
        rest=record.without("messages"),
        failure=Failure(failed["side"], failed["kind"], failed["message"]) if failed is not None else None,
    )
    return trace_of(found, recorder, pack(recorder, as_message)), recorder.notes
