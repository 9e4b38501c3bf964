"""Plain chat-completion messages: one conversation, a list of ``{"messages": […]}``, or those as JSON Lines.

Content may be a text or blocks (OpenAI's and Anthropic's), and ``{"conversations": [{"from", "value"}]}`` (ShareGPT) is
read as well.

A record may say more: ``task_id`` (an id of ours), ``reward``; and one that was exported from here says everything, in
its field ``usersim_env``. A conversation without a stop word or a transfer never ended: it is cut and not scored.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from usersim_env.importers import native
from usersim_env.importers.chat import as_message, read_message
from usersim_env.importers.episode import NOT_STATED, UNKNOWN, ImportSettings, Record, trace_of
from usersim_env.importers.fields import Fields, plain, unit_number
from usersim_env.importers.layout import pack
from usersim_env.importers.place import Place, by_id
from usersim_env.importers.recording import Recorder
from usersim_env.traces.trace import Trace

NAME = "openai"


SHAREGPT = {"system": "system", "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}
"""``from`` of a ShareGPT message → the role."""


def recognise(content: Any) -> bool:
    """Whether a JSON value looks like such a file."""
    items = content if isinstance(content, list) else [content]
    names = ("messages", "conversations", "role") if isinstance(content, list) else ("messages", "conversations")
    return any(isinstance(item, dict) and any(name in item for name in names) for item in items)


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
    listed = "messages" if "messages" in record.value else "conversations"
    if not record.get(listed, list):
        raise record.error(listed, "it is empty")
    for message in record.each(listed):
        read_message(recorder, _from_sharegpt(message) if "from" in message.value else message)
    recorder.close()
    if known.value:
        native.end_as(recorder, known)
        rest = record.without(listed, native.KEY)
        return native.restored(known, recorder, pack(recorder, as_message), rest), recorder.notes
    recorder.finish()
    found = Record(
        format=NAME,
        key=str(record.value.get("id", index)),
        place=place,
        agent=settings.agent_seat(record.find("model", str)),
        user=settings.seat(UNKNOWN),
        ended_by=recorder.ended_by or "cut",
        reward=unit_number(record, "reward") if recorder.ended_by in ("user", "transfer") else None,
        terms=settings.terms or NOT_STATED,
        rest=record.without(listed),
        failure=recorder.failure,
    )
    return trace_of(found, recorder, pack(recorder, as_message)), recorder.notes


def _from_sharegpt(message: Fields) -> Fields:
    """A message of ``{"from", "value"}``; one of a tool is refused, as it does not say of which call."""
    speaker = message.get("from", str)
    if speaker not in SHAREGPT:
        raise message.error("from", f"expected {', '.join(SHAREGPT)}, got {speaker!r:.40}")
    return Fields({"role": SHAREGPT[speaker], "content": message.get("value", str)}, message.where)
