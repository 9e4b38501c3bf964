"""τ²-bench's ``SimulationRun`` results: a whole results file, a list of runs, or one run.

Source: github sierra-research/tau2-bench, ``data_model/simulation.py`` and ``message.py``. Its tasks and worlds are not
τ-bench's, so its task ids are ``<domain>/tau2/<id>`` unless the content of the task is ours to the letter. Tool calls
of the user side (telecom) are kept in the layout alone; voice runs without messages cannot be read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from usersim_env.domains import Task
from usersim_env.feedback.behaviour import behaviour_features
from usersim_env.feedback.values import Failure
from usersim_env.importers.chat import as_message as as_chat
from usersim_env.importers.chat import read_user
from usersim_env.importers.episode import NOT_STATED, UNKNOWN, ImportSettings, Record, trace_of
from usersim_env.importers.fields import Fields, plain, text_of, unit_number
from usersim_env.importers.layout import pack
from usersim_env.importers.place import Place, by_content
from usersim_env.importers.recording import Recorder
from usersim_env.messages import ToolCall
from usersim_env.traces.trace import JsonDict, Seat, Trace

NAME = "simulation-run"
STOPS = ("###STOP###", "###TRANSFER###", "###OUT-OF-SCOPE###")
"""Words with which τ²'s user side ends an episode."""

NOBODY = "dummy_user"
"""Implementation of the user's seat in runs where nobody sits there."""
USUAL = ("llm_agent", "user_simulator")
"""Implementations that need no mention; others, such as ``llm_agent_gt``, which is told the solution, are settings."""

ENDS: Mapping[str, tuple[str, str]] = {
    "user_stop": ("user", ""),
    "agent_stop": ("agent", ""),
    "max_steps": ("limit", ""),
    "too_many_errors": ("limit", ""),
    "agent_error": ("agent", ""),  # upstream counts it as it stands in the file: 0
    "timeout": ("failure", "file"),
    "user_error": ("failure", "user"),
    "infrastructure_error": ("failure", "file"),
    "context_window_exceeded": ("failure", "file"),
    "unexpected_error": ("failure", "file"),
}
"""``termination_reason`` → our ``ended_by``, and the side of a failure (``file``: the run does not say whose)."""


def recognise(content: Any) -> bool:
    """Whether a JSON value looks like such a file."""
    if isinstance(content, dict):
        return "simulations" in content or _is_run(content)
    return isinstance(content, list) and any(_is_run(run) for run in content)


def _is_run(content: Any) -> bool:
    if not isinstance(content, dict):
        return False
    found = content["result"] if _is_nemo(content) else content
    return "termination_reason" in found or {"reward_info", "messages"} <= found.keys()


def _is_nemo(content: Mapping[str, Any]) -> bool:
    """Whether it is a line of NeMo Gym's, whose ``result`` is the run and whose ``config`` says who sat there."""
    return isinstance(content.get("result"), dict) and isinstance(content.get("config"), dict)


def _nemo_info(config: Mapping[str, Any]) -> JsonDict:
    seats = {
        f"{seat}_info": {"implementation": config.get(seat), "llm": config.get(f"llm_{seat}")}
        for seat in ("agent", "user")
    }
    found: JsonDict = {**seats, "environment_info": {"domain_name": config.get("domain")}}
    return found | ({"max_steps": config["max_steps"]} if "max_steps" in config else {})


def records(content: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Every run, with the info and the task of its file."""
    info: Any = {}
    tasks: dict[str, Any] = {}
    if isinstance(content, dict) and "simulations" in content:
        file = Fields(content, where)
        info = file.maybe("info").value
        tasks = {
            str(task.value.get("id")): task.value for task in (file.each("tasks") if file.find("tasks", list) else ())
        }
        content = file.get("simulations", list)
    elif isinstance(content, dict):
        content = [content]
    for index, run in enumerate(Fields({"the file": content}, where).get("the file", list)):
        place = f"{where}, record {index}"
        if isinstance(run, dict) and _is_nemo(run):
            yield place, (run["result"], _nemo_info(run["config"]), _whole_task(run.get("task")))
            continue
        task = tasks.get(str(run.get("task_id"))) if isinstance(run, dict) else None
        yield place, (run, info, task)


def _whole_task(task: Any) -> Any:
    return task if isinstance(task, dict) and "user_scenario" in task else None


def read(item: tuple[Any, Any, Any], where: str, settings: ImportSettings) -> tuple[Trace, list[str]]:
    """One run as a trace; a run that failed is not scored, whatever reward stands in the file.

    Raises:
        TraceError: file, record and field of what is wrong.
    """
    run, info = Fields(plain(item[0], where), where), Fields(plain(item[1], where), f"{where}: info")
    reason = _reason(run)
    if reason not in ENDS:
        raise run.error("termination_reason", f"expected {', '.join(ENDS)}, got {reason!r:.80}")
    ended_by, side = ENDS[reason]
    if run.value.get("messages") is None and run.value.get("ticks") is not None:
        raise run.error("messages", "a voice run, which has ticks instead; it cannot be read")
    domain = info.maybe("environment_info").find("domain_name", str) or settings.domain or ""
    place = _place(run, domain, item[2], where)
    recorder = Recorder((), where)
    messages = [part for message in run.each("messages") for part in _flat(message)]
    for message in messages:
        _read_message(recorder, message)
    recorder.close()
    recorder.finish()
    failure = Failure(side, reason, f"τ² ended the run: {reason}.") if ended_by == "failure" else None
    if recorder.failure is not None:
        ended_by, failure = "failure", recorder.failure
    elif failure is not None and recorder.ended_by is None:
        recorder.fail(failure.side, failure.kind, failure.message)
    record = _record(run, info, place, settings, (ended_by, failure))
    return trace_of(record, recorder, pack(recorder, as_message)), recorder.notes


def _reason(run: Fields) -> str:
    """Why a run ended; also as Python prints the enumeration, or by the stop word where nothing is said."""
    found: str | None = run.find("termination_reason", str)
    if found is not None:
        return found.removeprefix("TerminationReason.").lower()
    words = [text_of(message.value) for message in run.each("messages") if message.value.get("role") == "user"]
    if words and any(stop in words[-1] for stop in STOPS):
        return "user_stop"
    return str(run.get("termination_reason", str))  # which says that it is missing


def _flat(message: Fields) -> Iterator[Fields]:
    """Several tool results in one message are several messages."""
    if message.value.get("role") == "tool" and "tool_messages" in message.value:
        yield from message.each("tool_messages")
    else:
        yield message


def _read_message(recorder: Recorder, message: Fields) -> None:
    role = message.get("role", str)
    text = message.find("content", str) or ""
    calls = list(message.each("tool_calls")) if message.find("tool_calls", list) else []
    recorder.begin(message.value)
    if role == "user" and not calls:
        read_user(recorder, text, STOPS)
    elif role == "assistant" and not calls:
        recorder.respond(text)
    elif role == "assistant":
        for number, call in enumerate(calls):
            beside = text if text and number == 0 else None
            recorder.call(call.get("name", str), call.inside("arguments").value, call.find("id", str), beside)
    elif role == "tool" and message.value.get("requestor", "assistant") == "assistant":
        error = message.find("error", bool)
        if not recorder.result(text, message.find("id", str), error) and recorder.ended_by is None:
            recorder.notes.append(f"{message.where.rpartition(': ')[2]}: a tool result without a call")
    elif role not in ("user", "tool", "system"):
        raise message.error("role", f"expected system, user, assistant or tool, got {role!r:.80}")


def as_message(role: str, events: Any) -> JsonDict:
    """A message from its numbered events, in τ²'s shape."""
    shown = as_chat(role, events)
    if "tool_call_id" in shown:
        shown["id"] = shown.pop("tool_call_id")
    if "tool_calls" in shown:
        shown["tool_calls"] = [
            {
                "id": event.get("call_id", ""),
                "name": event["name"],
                "arguments": event["arguments"],
                "requestor": "assistant",
            }
            for _, event in events
            if "result" in event
        ]
    return shown


def _place(run: Fields, domain: str, task: Any, where: str) -> Place:
    task_id = f"{domain}/tau2/{run.get('task_id', str, int)}"
    if task is None:
        return Place(task_id, domain=domain)
    found = Fields(plain(task, where), f"{where}: task")
    scenario = found.maybe("user_scenario").value.get("instructions")
    criteria = found.maybe("evaluation_criteria")
    calls = tuple(
        ToolCall(action.get("name", str), action.inside("arguments").value)
        for action in (criteria.each("actions") if criteria.find("actions", list) else ())
    )
    outputs = tuple(str(output) for output in criteria.find("communicate_info", list) or ())
    instruction = scenario if isinstance(scenario, str) else json.dumps(scenario, sort_keys=True, ensure_ascii=False)
    place = by_content(Task(task_id, domain, "tau2", instruction, calls, outputs))
    # The task cannot be scored in a world of ours, so it is not attached; its hash tells versions apart.
    return Place(place.task_id, place.task_hash, place.domain)


def _record(
    run: Fields, info: Fields, place: Place, settings: ImportSettings, end: tuple[str, Failure | None]
) -> Record:
    agent, user = info.maybe("agent_info"), info.maybe("user_info")
    verdict = run.maybe("reward_info")
    ended_by, failure = end
    scored = ended_by in ("user", "agent", "limit")
    costs = [run.find(name, int, float) for name in ("agent_cost", "user_cost")]
    rest = run.without("messages")
    if info.value:
        rest = {**rest, "file_info": info.value}
    talk = [{"role": m.value["role"], "content": text_of(m.value)} for m in run.each("messages") if _is_talk(m)]
    return Record(
        format=NAME,
        key=str(run.value.get("id") or f"{run.value['task_id']}/{run.find('trial', int) or 0}"),
        place=place,
        agent=settings.agent_seat(agent.find("llm", str) or agent.find("implementation", str), **_settings(agent)),
        user=_user(user, settings),
        ended_by=ended_by,
        reward=unit_number(verdict, "reward") if scored else None,
        terms=settings.terms or NOT_STATED,
        rest=rest,
        checks=_checks(verdict) if scored else {},
        behaviour=behaviour_features(talk, "llm"),
        failure=failure,
        started=run.find("start_time", str),
        seconds=run.find("duration", int, float),
        cost=None if None in costs else sum(costs),
        seed=run.find("seed", int),
        max_steps=info.find("max_steps", int),
    )


def _is_talk(message: Fields) -> bool:
    return message.value.get("role") in ("user", "assistant") and not message.value.get("tool_calls")


def _user(user: Fields, settings: ImportSettings) -> Seat:
    """Who sat in the user's seat; a run without a user side (``llm_agent_solo``) has no language model there."""
    if user.find("implementation", str) == NOBODY:
        return settings.seat("none", NOBODY)
    return settings.seat("llm", user.find("llm", str) or UNKNOWN, **_settings(user))


def _settings(seat: Fields) -> JsonDict:
    """What tells a seat from another of the same model: how it was called, and what it knew."""
    found: JsonDict = {}
    if arguments := seat.find("llm_args", dict):
        found["llm_args"] = arguments
    if (made := seat.find("implementation", str)) not in (None, *USUAL):
        found["implementation"] = made
    return found


def _checks(verdict: Fields) -> dict[str, bool]:
    """The parts of the verdict that have a counterpart here and count for the reward."""
    found: dict[str, bool] = {}
    basis = verdict.find("reward_basis", list)
    matched = verdict.maybe("db_check").find("db_match", bool)
    if matched is not None and (basis is None or "DB" in basis):
        found["database"] = matched
    if basis is None or "COMMUNICATE" in basis:
        for index, check in enumerate(
            verdict.each("communicate_checks") if verdict.find("communicate_checks", list) else ()
        ):
            met = check.find("met", bool)
            if met is not None:
                found[f"output_{index}"] = met
    return found
