"""Out and in again: nothing changes on the way, and terms that forbid training stop at the door."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from usersim_env.conversation.machine import AgentTurn, Conversation, Ended, SurveyTurn
from usersim_env.conversation.rules import Rules
from usersim_env.domains import World, get_domain, get_task
from usersim_env.errors import TermsError, UnknownName, UsageError
from usersim_env.feedback.survey import QUESTIONS, Survey
from usersim_env.feedback.values import Failure
from usersim_env.importers import export_file, import_files, openai_messages, tau_usi, to_openai, to_tau_usi
from usersim_env.importers.episode import ImportSettings
from usersim_env.messages import ToolCall
from usersim_env.traces.provenance import make_trace
from usersim_env.traces.trace import Seat, Terms, Trace

# No test may depend on the time or on what earlier runs found.
steady = settings(deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
MARKS = ["<|think|>", "<|/think|>", "<function=f>", "</function>", "<parameter=k>", "</parameter>", "<|tool|>"]
MARKS += ["<|/tool|>", "<|canvas|>", "###STOP###", "/stop", "\\reward", "Error", "\n", " ", "[1]", "\ud800"]
texts = st.one_of(st.text(max_size=12), st.lists(st.sampled_from(MARKS) | st.text(max_size=5), max_size=6).map("".join))
scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=5
)
names = st.sampled_from(["move_ticket", "list_tickets", "respond", "transfer_to_human_agents", "nothing", "a b"])
arguments = st.dictionaries(st.sampled_from(["ticket_id", "day", "content"]) | texts, values, max_size=3)
answers = st.dictionaries(st.sampled_from(range(8)), st.integers(0, 2), min_size=1).map(
    lambda found: Survey({QUESTIONS[q].field: list(QUESTIONS[q].answers)[n] for q, n in found.items()})
)


@st.composite
def episodes(draw: st.DrawFn) -> Trace:
    """A native trace of the mock domain: any talk, any call, any end."""
    rules = Rules(draw(st.integers(1, 8)), survey=draw(st.booleans()), lazy_open=draw(st.booleans()))
    task = get_task(f"mock/test/{draw(st.integers(0, 3))}")
    conversation = Conversation(task, World(get_domain("mock")), rules, draw(st.integers(0, 99)))
    for _ in range(draw(st.integers(0, 14))):
        turn = conversation.turn
        if isinstance(turn, Ended):
            break
        if draw(st.integers(0, 19)) == 0:
            conversation.fail(Failure("user", "outage", draw(texts)))
        elif isinstance(turn, SurveyTurn):
            conversation.survey(draw(st.none() | answers))
        elif isinstance(turn, AgentTurn):
            talk = draw(st.booleans())
            conversation.act(
                ToolCall("respond", {"content": draw(texts)}) if talk else ToolCall(draw(names), draw(arguments))
            )
        elif draw(st.integers(0, 4)) == 0:
            conversation.stop(draw(texts))
        else:
            conversation.say(draw(texts))
    kind = draw(st.sampled_from(["human", "llm", "agenda"]))
    terms = draw(st.sampled_from([Terms(), Terms("no training please", training=False)]))
    return make_trace(conversation, Seat("agent", draw(texts)), Seat(kind, "someone", notes={"a": 1}), 0.0, terms)


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


@steady
@given(episodes())
def test_any_trace_comes_back_from_chat_messages(trace: Trace) -> None:
    (record,) = through_json(to_openai([trace], purpose="evaluation"))
    again, _ = openai_messages.read((0, record), "here", ImportSettings())
    assert again == trace


@steady
@given(st.lists(episodes(), max_size=4))
def test_any_traces_come_back_from_tau_usi(traces: list[Trace]) -> None:
    found = through_json(to_tau_usi(traces))
    again = [tau_usi.read(item, "here", ImportSettings())[0] for item in found.items()]
    assert again == traces


@pytest.mark.parametrize(
    "call",
    [
        ToolCall("move_ticket", {"<function=": "x"}),
        ToolCall("move_ticket", {"day": "<function="}),
        ToolCall("respond", {"content": "<function="}),
    ],
)
def test_markup_without_a_name_in_our_own_words_comes_back(call: ToolCall) -> None:
    conversation = Conversation(get_task("mock/test/0"), World(get_domain("mock")))
    conversation.say("hi")
    conversation.act(call)
    trace = make_trace(conversation, Seat("agent", "a"), Seat("agenda", "someone"), 0.0)
    (item,) = through_json(to_tau_usi([trace])).items()
    assert tau_usi.read(item, "here", ImportSettings())[0] == trace


# Foreign records

roles = st.sampled_from(["user", "assistant"])
sessions = st.fixed_dictionaries(
    {
        "conversation": st.lists(
            st.fixed_dictionaries({"role": roles, "content": texts}, optional={"extra": values}), min_size=1, max_size=8
        ),
        "reward": st.sampled_from([0, 1, None]),
    },
    optional={"keep": st.booleans(), "survey": st.none(), "instance_id": values, "more": values},
)


@steady
@given(st.dictionaries(st.sampled_from(["airline_1", "retail_2_ann3", "mock_1", "telecom_5"]), sessions))
def test_any_tau_usi_sessions_come_out_as_they_were(content: dict[str, Any]) -> None:
    traces = [tau_usi.read(item, "here", ImportSettings())[0] for item in content.items()]
    for trace in traces:
        if trace.task_hash:
            replay(trace)
    assert to_tau_usi(traces) == content


calls = st.builds(
    lambda name, given: {"id": "c", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}},
    names,
    arguments,
)
messages = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "developer"]), "content": texts}),
    st.fixed_dictionaries({"role": roles, "content": texts | st.none()}, optional={"name": texts}),
    st.fixed_dictionaries(
        {"role": roles, "content": st.lists(st.builds(lambda t: {"type": "text", "text": t}, texts))}
    ),
    st.fixed_dictionaries(
        {"role": st.just("assistant"), "content": texts | st.none(), "tool_calls": st.lists(calls, max_size=3)}
    ),
    st.fixed_dictionaries({"role": st.just("tool"), "content": texts}, optional={"tool_call_id": st.just("c")}),
)


@steady
@given(st.lists(messages, min_size=1, max_size=8), st.sampled_from(["mock/test/1", "", 7]))
def test_any_chat_comes_out_as_it_was_however_often(chat: list[Any], task_id: Any) -> None:
    record = {"messages": chat, "task_id": task_id, "more": [1]}
    for _ in range(3):
        trace, _ = openai_messages.read((0, record), "here", ImportSettings())
        if trace.task_hash:
            replay(trace)
        (record,) = through_json(to_openai([trace]))
        assert record["messages"] == chat
        assert (record["task_id"], record["more"]) == (task_id, [1])


def replay(trace: Trace) -> None:
    """What was imported is a conversation that the machine takes."""
    task = get_task(trace.task_id)
    conversation = Conversation.restore(task, World(get_domain(trace.domain)), trace.events, trace.rules, trace.seed)
    assert (conversation.ended_by or "cut") == trace.ended_by
    assert [(m.role, m.content) for m in conversation.messages] == [(m.role, m.content) for m in trace.messages]
    assert conversation.effort().agent_words == trace.effort.agent_words


# Files and terms


def finished(terms: Terms | None = None, task: int = 0) -> Trace:
    conversation = Conversation(get_task(f"mock/test/{task}"), World(get_domain("mock")))
    conversation.say("Hello.")
    conversation.act(ToolCall("list_tickets", {}))
    conversation.act(ToolCall("respond", {"content": "Hm."}))
    conversation.stop("Bye.")
    conversation.survey(Survey({"overall_score": "4 (Good)"}))
    return make_trace(conversation, Seat("agent", "a"), Seat("agenda", "b"), 0.0, terms)


@pytest.mark.parametrize(("name", "suffix"), [("openai", "jsonl"), ("tau-usi", "json")])
def test_files_go_out_and_in(name: str, suffix: str, tmp_path: Path) -> None:
    traces = [finished(task=number) for number in range(4)]
    path = tmp_path / "deep" / f"out.{suffix}"
    assert export_file(traces, name, path) == 4
    assert import_files([path]).traces == tuple(traces)
    with pytest.raises(UsageError, match=r"exists\. Remove it"):
        export_file(traces, name, path)


def test_the_chat_is_what_a_trainer_wants() -> None:
    (record,) = to_openai([finished()])
    assert [message["role"] for message in record["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]
    assert record["messages"][0]["content"] == get_domain("mock").policy
    assert record["tools"] == get_domain("mock").schemas()
    assert record["usersim_env"]["terms"] == dataclasses.asdict(Terms())
    assert "events" not in record["usersim_env"]


def test_terms_that_forbid_training_are_named_and_nothing_is_written(tmp_path: Path) -> None:
    traces = [finished(), finished(Terms("gated, research only", training=False))]
    with pytest.raises(TermsError, match=r"The terms of 1 traces forbid training\. 1 of them: gated, research only"):
        export_file(traces, "openai", tmp_path / "out.jsonl")
    assert not list(tmp_path.iterdir())
    assert export_file(traces, "openai", tmp_path / "look.jsonl", purpose="evaluation") == 2
    again = import_files([tmp_path / "look.jsonl"]).traces
    assert [trace.terms for trace in again] == [trace.terms for trace in traces]
    assert export_file(traces, "tau-usi", tmp_path / "out.json") == 2
    assert [trace.terms for trace in import_files([tmp_path / "out.json"]).traces] == [trace.terms for trace in traces]


def test_what_has_no_place_in_a_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"Unknown format 'csv'\. Known: openai, tau-usi"):
        export_file([], "csv", tmp_path / "x")
    with pytest.raises(UsageError, match="numbers the tasks of test splits; got 'mock/train/0'"):
        to_tau_usi([dataclasses.replace(finished(), task_id="mock/train/0")])
