"""τ-bench's result files: ``[{"task_id", "reward", "info": {"task", …}, "traj": [chat messages], "trial"}]``.

Source: github sierra-research/tau-bench. A record carries its own task, which may be older than the one with the same
number here. Only runs of tool-calling agents can be read: the text agents (ReAct) leave no tool calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from usersim_env.domains import Domain, Task, get_domain
from usersim_env.errors import TraceError
from usersim_env.feedback.behaviour import behaviour_features
from usersim_env.feedback.values import Failure
from usersim_env.importers.chat import as_message, read_message
from usersim_env.importers.episode import NOT_STATED, ImportSettings, Record, trace_of
from usersim_env.importers.fields import Fields, plain, text_of, unit_number
from usersim_env.importers.layout import pack
from usersim_env.importers.place import Place, by_content
from usersim_env.importers.recording import Recorder
from usersim_env.messages import ToolCall
from usersim_env.traces.trace import Terms, Trace

NAME = "tau-bench"
DOMAINS = ("retail", "airline")
STEP_LIMIT = 30
"""Agent steps after which τ-bench's own agents give up (``max_num_steps`` of its tool-calling agent)."""
TRANSFER = "transfer_to_human_agents"
_TEXT_AGENT = "API output:"
"""What a text agent is shown in the user's role."""


def recognise(content: Any) -> bool:
    """Whether a JSON value looks like such a file."""
    found = content if isinstance(content, list) else [content]
    return any(isinstance(record, dict) and "traj" in record for record in found)


def records(content: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Every record, with its place in the file."""
    if isinstance(content, dict):
        content = [content]  # one record as an object
    if not isinstance(content, list):
        raise TraceError(f"{where}: expected a list of τ-bench results, got {type(content).__name__}.")
    for index, record in enumerate(content):
        yield f"{where}, record {index}", record


def read(item: Any, where: str, settings: ImportSettings) -> tuple[Trace, list[str]]:
    """One run as a trace; one that never ended is cut and not scored, whatever reward stands in the file.

    One with `STEP_LIMIT` agent steps has ended: upstream lets the agent act so often, and counts what came of it.

    Raises:
        TraceError: file, record and field of what is wrong.
    """
    run = Fields(plain(item, where), where)
    key = f"{run.get('task_id', int)}/{run.find('trial', int) or 0}"
    run.get("reward", int, float)
    info = run.inside("info")
    recorder = Recorder((TRANSFER,), where)
    messages = list(run.each("traj"))
    for message in messages:
        if message.value.get("role") == "user" and text_of(message.value).startswith(_TEXT_AGENT):
            raise message.error("content", "a run of a text agent (ReAct), which has no tool calls; it cannot be read")
        read_message(recorder, message, first_call_only=True)
    recorder.close()
    recorder.finish()
    crashed = "error" in info.value  # upstream writes such a record when its run crashed
    place = Place() if crashed else by_content(_task(info.inside("task"), run, settings))
    failure = None
    if crashed and recorder.ended_by is None:
        failure = Failure("file", "crashed", f"The run crashed: {info.value['error']!s:.300}")
        recorder.fail(failure.side, failure.kind, failure.message)
    else:
        failure = recorder.failure
    steps = sum(message.value.get("role") == "assistant" for message in messages)
    ended_by = recorder.ended_by or ("limit" if steps >= STEP_LIMIT else "cut")
    scored = ended_by in ("user", "transfer", "limit")
    talk = [{**message.value, "content": text_of(message.value)} for message in messages]
    record = Record(
        format=NAME,
        key=key,
        place=place,
        agent=settings.agent_seat(),
        user=settings.seat("llm"),
        ended_by=ended_by,
        reward=unit_number(run, "reward") if scored else None,
        terms=settings.terms or Terms(f"{NOT_STATED.licence} (tasks: tau-bench, MIT)", NOT_STATED.training),
        rest=run.without("traj"),
        checks=_checks(info) if scored else {},
        behaviour=behaviour_features(talk, "llm"),
        failure=failure,
        max_steps=STEP_LIMIT if ended_by == "limit" else None,
    )
    return trace_of(record, recorder, pack(recorder, as_message)), recorder.notes


def _checks(info: Fields) -> dict[str, bool]:
    """The parts of the verdict that upstream wrote down."""
    found = info.maybe("reward_info").maybe("info")
    checks: dict[str, bool] = {}
    actions = found.find("r_actions", int, float, bool)
    if actions is not None:
        checks["database"] = bool(actions)
    for index, said in enumerate(found.maybe("outputs").value.values()):
        checks[f"output_{index}"] = bool(said)
    return checks


def _task(fields: Fields, run: Fields, settings: ImportSettings) -> Task:
    """The task that a record carries, under its number."""
    expected = tuple(
        ToolCall(action.get("name", str), action.inside("kwargs").value) for action in fields.each("actions")
    )
    domain = _domain(fields, {call.name for call in expected} | set(_called(run)))
    outputs = tuple(str(output) for output in fields.get("outputs", list))
    task_id = f"{domain.name}/{settings.split}/{run.value['task_id']}"
    return Task(task_id, domain.name, settings.split, fields.get("instruction", str), expected, outputs)


def _called(run: Fields) -> Iterator[str]:
    for message in run.each("traj"):
        for call in message.each("tool_calls") if message.find("tool_calls", list) else ():
            yield call.inside("function").get("name", str)


def _domain(fields: Fields, names: set[str]) -> Domain:
    """The domain by the tools that only one of them has, else by the user of the task."""
    retail, airline = domains = [get_domain(name) for name in DOMAINS]
    only_retail, only_airline = (
        names & (set(retail.tools) - set(airline.tools)),
        names & (set(airline.tools) - set(retail.tools)),
    )
    if bool(only_retail) != bool(only_airline):
        return retail if only_retail else airline
    user = fields.get("user_id", str)
    for domain in domains:
        if user in domain.data["users"]:
            return domain
    tools = ", ".join(sorted(names)) or "none"
    raise TraceError(
        f"{fields.where}: neither retail's nor airline's: its tools are {tools:.200}, its user is {user!r:.80}"
    )
