"""tau-usi's data file: sessions of several domains, with the markup in all its forms, come in without loss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from usersim_env.conversation.machine import Conversation
from usersim_env.domains import World, get_domain, get_task
from usersim_env.errors import TermsError, TraceError
from usersim_env.feedback.behaviour import behaviour_features
from usersim_env.importers import ImportResult, ImportSettings, import_files, to_tau_usi
from usersim_env.importers.tau_usi import TERMS
from usersim_env.messages import ToolCall
from usersim_env.traces.file import TraceWriter, read_traces
from usersim_env.traces.trace import Terms, Trace

Session = dict[str, Any]
TASKS = [*get_domain("retail").tasks(), *get_domain("airline").tasks()]


def user(content: str | None) -> dict[str, Any]:
    return {"role": "user", "content": content}


def agent(content: str) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def session(*conversation: dict[str, Any], **fields: Any) -> Session:
    return {"task_id": 0, "instance_id": "p-17", "agent_id": "a-1", "conversation": [*conversation], **fields}


def header(task: str) -> list[dict[str, Any]]:
    return [user(f"\\tau task_index:{task} model:gpt-x"), agent("<|canvas|>You are Ada. Call about the bike.")]


def load(tmp_path: Path, sessions: dict[str, Session], **settings: Any) -> ImportResult:
    path = tmp_path / "human.json"
    path.write_text(json.dumps(sessions), encoding="utf-8")
    return import_files([path], settings=ImportSettings(**settings))


def one(tmp_path: Path, content: Session, key: str = "mock_0", **settings: Any) -> Trace:
    (trace,) = load(tmp_path, {key: content}, **settings).traces
    return trace


def calls(trace: Trace) -> list[tuple[str, Any, str]]:
    return [(e["name"], e["arguments"], e["result"]) for e in trace.events if "result" in e]


def restored(trace: Trace) -> Conversation:
    world = World(get_domain(trace.domain))
    return Conversation.restore(get_task(trace.task_id), world, trace.events, trace.rules, trace.seed)


# Whole sessions on real tasks


def played(task_id: str, wrapped: bool) -> tuple[Session, list[ToolCall]]:
    """The expected calls as a session, results from a real world, written by hand rather than by the exporter."""
    task = get_task(task_id)
    domain, _, index = task_id.split("/")
    world = World(get_domain(domain))
    text = "<|think|>I act.<|/think|>"
    for call in task.expected_calls:
        text += f"<function={call.name}>"
        for name, value in call.arguments.items():
            shown = value if isinstance(value, str) else json.dumps(value)
            text += (
                f"\n<parameter={name}>\n{shown}\n</parameter>" if wrapped else f"<parameter={name}>{shown}</parameter>"
            )
        text += f"</function><|tool|>{world.call(call).content}<|/tool|>"
    text += "Done: " + ", ".join(task.required_outputs)
    conversation = [*header(f"{domain}-{index}"), user("Hello, I need help."), agent(text), user("/stop")]
    return session(*conversation, reward=1, keep=True), list(task.expected_calls)


@pytest.mark.parametrize("wrapped", [True, False])
def test_the_calls_of_every_test_task_come_in_with_their_types(wrapped: bool, tmp_path: Path) -> None:
    made = {task.id: played(task.id, wrapped) for task in TASKS}
    sessions = {f"{task.split('/')[0]}_{task.split('/')[2]}": content for task, (content, _) in made.items()}
    result = load(tmp_path, sessions)
    assert len(result.traces) == len(TASKS) == 165
    assert result.broken == ()
    assert all("after the end of the episode" in note for note in result.notes)
    for trace in result.traces:
        if any(call.name == "transfer_to_human_agents" for call in made[trace.task_id][1][:-1]):
            continue  # what follows a transfer is after the end of the episode
        expected = made[trace.task_id][1]
        assert [(name, arguments) for name, arguments, _ in calls(trace)] == [(c.name, c.arguments) for c in expected]
        conversation = restored(trace)
        assert conversation.over and conversation.outcome.ended_by == trace.ended_by
        assert [e.get("result") for e in conversation.events if "result" in e] == [c[2] for c in calls(trace)]
        if trace.ended_by == "user":
            assert conversation.outcome.feedback.reward == trace.reward == 1.0
    assert to_tau_usi(result.traces) == sessions


# The markup, form by form

MOVE = "<function=move_ticket><parameter=ticket_id>T-1001</parameter><parameter=day>friday</parameter></function>"
MOVED = ("move_ticket", {"ticket_id": "T-1001", "day": "friday"})
FORMS = {
    "closed": (MOVE + "<|tool|>ok<|/tool|>Done.", [(*MOVED, "ok")], "Done."),
    "thought before": ("<|think|>Hm <b>.<|/think|>" + MOVE + "<|tool|>ok<|/tool|>Done.", [(*MOVED, "ok")], "Done."),
    "thought unclosed": ("<|think|>Hm" + MOVE + "<|tool|>ok<|/tool|>Done.", [(*MOVED, "ok")], "Done."),
    "blanks between": ("\n" + MOVE + "\n\n<|tool|>ok<|/tool|>\n\nDone.\n", [(*MOVED, "ok")], "Done."),
    "breaks inside": (
        MOVE.replace("<p", "\n<p").replace("</f", "\n</f").replace("T-1001", "\nT-1001\n") + "<|tool|>ok<|/tool|>Done.",
        [(*MOVED, "ok")],
        "Done.",
    ),
    "JSON inside": (
        '<function=move_ticket>{"ticket_id": "T-1001", "day": "friday"}</function><|tool|>ok<|/tool|>Done.',
        [(*MOVED, "ok")],
        "Done.",
    ),
    "parameter unclosed": (
        "<function=move_ticket><parameter=ticket_id>T-1001<parameter=day>friday</function><|tool|>ok<|/tool|>Done.",
        [(*MOVED, "ok")],
        "Done.",
    ),
    "function unclosed before the result": (
        MOVE.replace("</function>", "<|tool|>ok<|/tool|>Done."),
        [(*MOVED, "ok")],
        "Done.",
    ),
    "two calls": (
        MOVE + "<|tool|>1<|/tool|>" + MOVE + "<|tool|>2<|/tool|>Done.",
        [(*MOVED, "1"), (*MOVED, "2")],
        "Done.",
    ),
    "words before and between": (
        "One moment." + MOVE + "<|tool|>1<|/tool|>And again." + MOVE + "<|tool|>2<|/tool|>Done.",
        [(*MOVED, "1"), (*MOVED, "2")],
        "One moment.\n\nAnd again.\n\nDone.",
    ),
    "no arguments": (
        "<function=list_tickets></function><|tool|>[]<|/tool|>Done.",
        [("list_tickets", {}, "[]")],
        "Done.",
    ),
    "result with markup inside": (
        MOVE + "<|tool|>see <function=x> and </function><|/tool|>Done.",
        [(*MOVED, "see <function=x> and </function>")],
        "Done.",
    ),
    "an error": (MOVE + "<|tool|>Error: no<|/tool|>Done.", [(*MOVED, "Error: no")], "Done."),
    "a tool of another place": (
        '<function=f><parameter=zip>07001</parameter><parameter=ids>["a", 1]</parameter></function><|tool|>x<|/tool|>.',
        [("f", {"zip": "07001", "ids": ["a", 1]}, "x")],
        ".",
    ),
    "stray closing marks": ("a </function> b <|/tool|> c", [], "a </function> b <|/tool|> c"),
    "blank": ("  ", [], "  "),
    "a highlighted panel": ("<|highlight|>look<|/highlight|>Done.", [], "Done."),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_of_the_markup(form: str, tmp_path: Path) -> None:
    content, wanted, said = FORMS[form]
    talk = (*header("mock-0"), user("Hello."), agent(content), user("Thanks."), agent("Bye."), user("/stop"))
    trace = one(tmp_path, session(*talk, reward=0))
    assert calls(trace) == wanted
    assert [(m.role, m.content) for m in trace.messages] == [
        ("user", "Hello."),
        ("agent", said),
        ("user", "Thanks."),
        ("agent", "Bye."),
    ]
    assert restored(trace).outcome.ended_by == trace.ended_by == "user"
    assert to_tau_usi([trace]) == {"mock_0": session(*talk, reward=0)}


def test_a_call_that_is_never_closed_runs_to_the_end_and_has_no_result(tmp_path: Path) -> None:
    talk = (user("Hello."), agent("<function=move_ticket><parameter=ticket_id>T-1001"), user("/stop"))
    result = load(tmp_path, {"mock_0": session(*talk, reward=0)})
    assert calls(result.traces[0]) == [("move_ticket", {"ticket_id": "T-1001"}, "")]
    assert [e for e in result.traces[0].events if e.get("no_result")]
    assert "the call of move_ticket has no result" in result.notes[0]
    assert to_tau_usi(result.traces) == {"mock_0": session(*talk, reward=0)}


def test_thoughts_are_kept_and_never_said(tmp_path: Path) -> None:
    text = f"<|think|>secret one<|/think|>{MOVE}<|tool|>ok<|/tool|><|think|>secret two<|/think|>Done."
    trace = one(tmp_path, session(user("Hello."), agent(text), user("/stop"), reward=1))
    assert [e["thoughts"] for e in trace.events if "thoughts" in e] == [["secret one"], ["secret two"]]
    assert "secret" not in "".join(m.content for m in trace.messages)


def test_results_in_messages_of_their_own(tmp_path: Path) -> None:
    talk = (
        user("Hi."),
        agent(MOVE),
        {"role": "tool", "content": "a"},
        agent(MOVE),
        agent("<|tool|>b<|/tool|>"),
        agent("Done."),
    )
    trace = one(tmp_path, session(*talk, user("/stop"), reward=1))
    assert calls(trace) == [(*MOVED, "a"), (*MOVED, "b")]
    assert restored(trace).over


# Turns that the machine does not know


def test_a_seat_that_speaks_twice_has_one_turn_and_every_part_is_kept(tmp_path: Path) -> None:
    talk = (
        user("Hi."),
        user("It is Ada."),
        agent("Hello."),
        agent("What is it?"),
        user("A bike."),
        agent("Fine."),
        user("/stop"),
    )
    trace = one(tmp_path, session(*talk, reward=0))
    assert [e.get("parts") for e in trace.events[:2]] == [["Hi.", "It is Ada."], ["Hello.", "What is it?"]]
    assert restored(trace).over
    assert to_tau_usi([trace])["mock_0"]["conversation"] == list(talk)


def test_a_user_who_speaks_while_the_agent_works(tmp_path: Path) -> None:
    talk = (user("Hi."), agent(MOVE + "<|tool|>ok<|/tool|>"), user("Well?"), agent("Done."), user("/stop"))
    trace = one(tmp_path, session(*talk, reward=0))
    assert [e.get("implied", False) for e in trace.events] == [False, False, True, False, False, False]
    assert restored(trace).over
    assert to_tau_usi([trace])["mock_0"]["conversation"] == list(talk)


def test_an_agent_that_greets_first(tmp_path: Path) -> None:
    trace = one(
        tmp_path, session(*header("mock-0"), agent("Hello!"), user("Hi."), agent("Yes?"), user("/stop"), reward=0)
    )
    assert trace.lazy_open
    assert restored(trace).over


def test_what_follows_a_transfer_is_no_part_of_the_episode(tmp_path: Path) -> None:
    transfer = "<function=transfer_to_human_agents><parameter=summary>x</parameter></function><|tool|>ok<|/tool|>"
    talk = (user("Hi."), agent("I transfer you." + transfer + "Bye."), user("/stop"))
    result = load(tmp_path, {"mock_0": session(*talk, reward=1)})
    (trace,) = result.traces
    assert (trace.ended_by, trace.reward, trace.events[-1]["text"]) == ("transfer", 1.0, "I transfer you.")
    assert "2 turns after the end" in result.notes[0]
    assert restored(trace).over
    assert to_tau_usi([trace])["mock_0"]["conversation"] == list(talk)


def test_a_reward_without_a_stop_is_taken_as_the_end_and_noted(tmp_path: Path) -> None:
    talk = (user("Hi."), agent("Yes?"), user("\\reward"), agent("<|survey|>Please rate."))
    result = load(tmp_path, {"mock_0": session(*talk, reward=1), "mock_1": session(*talk)})
    ended, cut = result.traces
    assert (ended.ended_by, ended.reward, ended.events[-1]["implied"]) == ("user", 1.0, True)
    assert (cut.ended_by, cut.reward) == ("cut", None)
    assert ["no stop" in note for note in result.notes] == [True]


def test_a_stop_at_the_opening_is_a_failure_not_a_zero(tmp_path: Path) -> None:
    trace = one(tmp_path, session(*header("mock-0"), user("/stop"), reward=0))
    assert trace.reward is None and trace.failure is not None and trace.failure.kind == "stopped_at_open"
    assert restored(trace).outcome.failure == trace.failure
    assert trace.source["record"]["reward"] == 0


# What stands beside the conversation

SURVEY = {
    "efficiency": {"question": "How?", "answer": "Very efficient"},
    "overall_score": {"question": "All in all?", "answer": "4 (Good)"},
    "reuse": {"question": "Again?", "answer": "Perhaps"},
    "human_like": {"question": "Human?", "answer": None},
    "comment": {"question": "Anything else?", "answer": "It was slow."},
}
TALK = (*header("airline-3"), user("Hi."), agent("Yes?"), user("/stop"))


def test_survey_batch_keep_and_the_rest_are_kept(tmp_path: Path) -> None:
    sessions = {
        "airline_3": session(*TALK, reward=1, keep=True, survey=SURVEY),
        "airline_3_ann2": session(*TALK, reward=0.0, keep=False, survey=None, extra={"a": [1, None]}),
        "airline_3_ann3": session(*TALK, reward=None, keep=None),
        "telecom_7": session(
            user("Hi."), agent("<function=reboot></function><|tool|>ok<|/tool|>Yes?"), user("/stop"), reward=1
        ),
    }
    result = load(tmp_path, sessions)
    first, second, third, foreign = result.traces
    assert first.survey == {"efficiency": "Very efficient", "overall_score": "4 (Good)"}
    assert first.signals["survey.overall_score"] == 0.75 and first.signals["rule"] == 1.0
    assert first.events[-1] == {"event": "survey", "answers": first.survey}
    assert second.survey is None and third.survey is None and third.signals == {}
    assert [t.user.notes.get("batch") for t in result.traces] == [1, 2, 3, 1]
    assert [t.user.notes.get("keep") for t in result.traces] == [True, False, None, None]
    assert [t.reward for t in result.traces] == [1.0, 0.0, None, 1.0]
    assert [t.task_hash == get_task("airline/test/3").hash for t in result.traces] == [True, True, True, False]
    assert (foreign.task_id, foreign.task_hash, foreign.domain) == ("telecom/test/7", "", "telecom")
    assert all(t.human and t.user.notes["instance_id"] == "p-17" for t in result.traces)
    assert (first.agent.name, first.agent.settings) == ("a-1", {"model": "gpt-x"})
    assert first.source["assumed"] == ["started", "seconds", "seed", "max_steps"]
    assert first.source["record"]["survey"] == SURVEY
    assert result.as_dict()["not_kept"] == 1
    assert [note.split(": ", 1)[1] for note in result.notes] == [
        "survey: reuse: unknown answer 'Perhaps', kept in source alone"
    ]
    assert to_tau_usi(result.traces) == sessions
    for trace in (first, second, third):
        assert restored(trace).over


def test_the_features_are_those_of_the_index(tmp_path: Path) -> None:
    talk = (*TALK[:-1], user(None), agent("<|canvas|>x"), {"role": "user"}, agent("?"), user("/stop"))
    trace = one(tmp_path, session(*talk, reward=1), "airline_3")
    expected = behaviour_features(talk, "human") or {}
    assert trace.behaviour == expected | {"n_turns": len(trace.messages)}
    assert to_tau_usi([trace])["airline_3"]["conversation"] == list(talk)


def test_a_simulators_file(tmp_path: Path) -> None:
    talk = (user("Hi."), agent("Yes?"), user("I want a plan. Thanks! ###STOP###"))
    sessions = {f"airline_3_{run}": session(*talk, reward=1) for run in (1, 2)}
    result = load(tmp_path, sessions, user="llm:gpt-4o")
    assert [t.user.notes["run"] for t in result.traces] == [1, 2]
    assert {(t.user.kind, t.user.name, t.human) for t in result.traces} == {("llm", "gpt-4o", False)}
    assert result.traces[0].messages[-1].content == "I want a plan. Thanks!"
    expected = behaviour_features(talk, "llm") or {}
    assert result.traces[0].behaviour == expected | {"n_turns": len(result.traces[0].messages)}
    assert to_tau_usi(result.traces) == sessions


def test_terms_are_attached_and_cannot_be_replaced(tmp_path: Path) -> None:
    trace = one(tmp_path, session(*TALK, reward=1), "airline_3")
    assert trace.terms == TERMS and not trace.terms.training
    for words in ("research only", "no commercial use", "not for training language models", "passed on only with"):
        assert words in trace.terms.licence
    with pytest.raises(TermsError, match="cannot be replaced"):
        one(tmp_path, session(*TALK, reward=1), "airline_3", terms=Terms("CC0"))


def test_the_trace_survives_its_file(tmp_path: Path) -> None:
    trace = one(tmp_path, session(*TALK, reward=1, survey=SURVEY, note="\ud800"), "airline_3")
    with TraceWriter(tmp_path / "t.jsonl") as writer:
        writer.write(trace)
    assert read_traces(tmp_path / "t.jsonl") == [trace]


# Broken entries

BROKEN: dict[str, tuple[str, Any]] = {
    "airline": ("key is not <domain>_<number>", session(*TALK)),
    "airline_4": ("conversation.0: content: it names the task airline/test/3, the key airline/test/4", session(*TALK)),
    "airline_5": ("the field 'conversation' is missing", {"reward": 1}),
    "airline_6": ("conversation: it is empty", session()),
    "airline_7": ("conversation: expected list, got str", {"conversation": "Hi."}),
    "airline_8": ("conversation.1: expected an object, got str", {"conversation": [user("Hi."), "x"]}),
    "airline_9": ("conversation.0: the field 'role' is missing", {"conversation": [{"content": "Hi."}]}),
    "airline_10": (
        "conversation.0: role: expected user, assistant",
        {"conversation": [{"role": "bot", "content": ""}]},
    ),
    "airline_11": (
        "conversation.0: content: expected str, got list",
        {"conversation": [{"role": "user", "content": []}]},
    ),
    "airline_12": ("reward: expected int or float, got str", session(user("Hi."), reward="1")),
    "airline_13": ("reward: expected a number from 0 to 1, got 3", session(user("Hi."), reward=3)),
    "airline_14": ("reward: expected int or float, got bool", session(user("Hi."), reward=True)),
    "airline_15": ("keep: expected bool, got str", session(user("Hi."), keep="yes")),
    "airline_16": ("survey: expected dict, got list", session(user("Hi."), survey=[])),
    "airline_17": ("survey: reuse: expected dict, got str", session(user("Hi."), survey={"reuse": "Yes"})),
    "airline_18": ("conversation.1: content: a <function= without a name", session(user("Hi."), agent("<function=>"))),
    "airline_19": ("expected an object, got NoneType", None),
}


@pytest.mark.parametrize("key", BROKEN)
def test_a_broken_entry_names_file_record_and_field(key: str, tmp_path: Path) -> None:
    message, content = BROKEN[key]
    with pytest.raises(TraceError) as error:
        load(tmp_path, {"airline_3": session(*TALK), key: content})
    assert f"human.json, record '{key}': " in str(error.value)
    assert message in str(error.value)


def test_the_others_are_imported_when_asked(tmp_path: Path) -> None:
    sessions = {"airline_3": session(*TALK, reward=1), **{key: content for key, (_, content) in BROKEN.items()}}
    result = load(tmp_path, sessions, skip_broken=True)
    assert [trace.task_id for trace in result.traces] == ["airline/test/3"]
    assert len(result.broken) == len(BROKEN)
    for line, (key, (message, _)) in zip(result.broken, BROKEN.items(), strict=True):
        assert f"record '{key}'" in line and message in line
