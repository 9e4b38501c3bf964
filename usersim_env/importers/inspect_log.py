"""Logs of Inspect (``.json`` and ``.eval``): one record for each sample and epoch.

Source: inspect.aisi.org.uk, the log format of version 2. A log may hold any task; what is read is a conversation, the
score and who sat there. The ``events`` of a sample repeat its messages and are not kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from usersim_env.domains.tau_bench import content_hash
from usersim_env.feedback.values import Failure
from usersim_env.importers.chat import as_message, read_talk
from usersim_env.importers.episode import NOT_STATED, UNKNOWN, ImportSettings, Record, crashed, trace_of
from usersim_env.importers.fields import Fields, NotJsonHere, plain
from usersim_env.importers.layout import pack
from usersim_env.importers.place import Place
from usersim_env.importers.recording import Recorder
from usersim_env.traces.trace import Seat, Trace

NAME = "inspect"
LETTERS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
"""Inspect's scores that are no numbers: correct, incorrect, partly correct, no answer."""

_ATTACHED = "attachment://"
_REPEATED = ("events", "events_data", "output", "timelines")
"""Fields of a sample that hold its messages again."""


def recognise(content: Any) -> bool:
    """Whether a JSON value looks like such a log."""
    return isinstance(content, dict) and isinstance(content.get("eval"), dict) and "task" in content["eval"]


def records(content: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Every sample, with the head of its log."""
    log = Fields(content, where)
    head = log.get("eval", dict)
    for number, sample in enumerate(log.get("samples", list)):
        known = _trimmed(sample) if isinstance(sample, dict) else {}
        yield f"{where}, sample {known.get('id', number)}, epoch {known.get('epoch', 1)}", (known or sample, head)


def _trimmed(sample: dict[str, Any]) -> dict[str, Any]:
    """Without what is not read; a score that is no number is the word for it."""
    found = {name: value for name, value in sample.items() if name not in _REPEATED}
    scores = found.get("scores")
    for score in scores.values() if isinstance(scores, dict) else ():
        if isinstance(score, dict) and isinstance(score.get("value"), NotJsonHere):
            score["value"] = "NaN"  # how Inspect says that it has not scored
    return found


def read(item: tuple[Any, Any], where: str, settings: ImportSettings) -> tuple[Trace, list[str]]:
    """One sample as a trace; one that broke off is not scored, whatever score stands in the log.

    Raises:
        TraceError: log, sample and field of what is wrong.
    """
    whole, head = Fields(plain(item[0], where), where), Fields(plain(item[1], where), f"{where}: eval")
    sample = Fields(_attached(whole.without("attachments"), whole.maybe("attachments").value), where)
    recorder = Recorder((), where)
    messages = list(sample.each("messages"))
    read_talk(recorder, messages)
    lost = sum(json.dumps(message.value).count(_ATTACHED) for message in messages)
    if lost:
        recorder.notes.append(
            f"texts that are attachments which the log does not have: {lost}. The names of the attachments stand there."
        )
    recorder.close()
    recorder.finish()
    reward = _reward(sample, recorder.notes)
    ended_by, failure = _end(sample, recorder)
    place = _place(sample, head, settings)
    found = Record(
        format=NAME,
        key="/".join(
            str(part) for part in (_run(sample, head), sample.value.get("id"), sample.find("epoch", int) or 1)
        ),
        place=place,
        agent=settings.agent_seat(head.find("model", str), **_solver(head)),
        user=_user(head.maybe("model_roles"), settings),
        ended_by=ended_by,
        reward=None if ended_by in ("failure", "cut") else reward,
        terms=settings.terms or NOT_STATED,
        rest={
            **sample.without("messages"),
            "eval": {name: head.value.get(name) for name in ("task", "run_id", "model")},
        },
        failure=failure,
        started=sample.find("started_at", str),
        seconds=sample.find("total_time", int, float),
    )
    return trace_of(found, recorder, pack(recorder, as_message)), recorder.notes


def _user(roles: Fields, settings: ImportSettings) -> Seat:
    """The model with the role ``user``; Inspect does not say who else may have spoken for the user."""
    name = roles.maybe("user").find("model", str)
    return settings.seat(UNKNOWN) if name is None else settings.seat("llm", name)


def _run(sample: Fields, head: Fields) -> Any:
    """What tells a sample from the same one in another log."""
    names = (head.value.get(name) for name in ("eval_id", "run_id", "model"))
    return next(filter(None, (sample.value.get("uuid"), *names)), "")


def _solver(head: Fields) -> dict[str, object]:
    return {"solver": head.value["solver"]} if head.find("solver", str) else {}


def _place(sample: Fields, head: Fields, settings: ImportSettings) -> Place:
    """Inspect's task is the set of tasks; the sample's input and target are the content of one."""
    domain = settings.domain or head.get("task", str)
    task_hash = content_hash([sample.value.get("input"), sample.value.get("target")])
    return Place(f"{domain}/inspect/{sample.get('id', str, int)}", task_hash, domain)


def _end(sample: Fields, recorder: Recorder) -> tuple[str, Failure | None]:
    error, limit = sample.find("error", dict), sample.find("limit", dict)
    if error is not None:
        return crashed(recorder, f"The sample broke off: {error.get('message')!s:.300}")
    if sample.value.get("invalidation") is not None:
        return crashed(recorder, f"The sample was declared invalid: {sample.value['invalidation']!s:.300}")
    if recorder.failure is not None:
        return "failure", recorder.failure
    if limit is not None:
        return ("cut" if limit.get("type") == "operator" else "limit"), None
    return recorder.ended_by or ("agent" if sample.find("scores", dict) else "cut"), None


def _reward(sample: Fields, notes: list[str]) -> float | None:
    """The score as a reward; of several scorers the first."""
    scores = sample.maybe("scores")
    for name in scores.value:
        if len(scores.value) > 1:
            notes.append(f"several scores ({', '.join(scores.value)}): {name} is the reward, all are kept in source")
        value = scores.inside(name).value.get("value")
        value = LETTERS.get(value, value) if isinstance(value, str) else value
        if isinstance(value, int | float) and 0 <= value <= 1:
            return float(value)
        notes.append(f"the score {name} is {value!r:.60}, no number from 0 to 1: not scored, kept in source")
        return None
    return None


def _attached(value: Any, attachments: dict[str, Any]) -> Any:
    """The same with long texts in their places, which Inspect keeps apart."""
    if isinstance(value, str) and value.startswith(_ATTACHED):
        return attachments.get(value.removeprefix(_ATTACHED), value)
    if isinstance(value, list):
        return [_attached(part, attachments) for part in value]
    if isinstance(value, dict):
        return {name: _attached(part, attachments) for name, part in value.items()}
    return value
