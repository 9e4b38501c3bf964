"""Files as other programs write them: small ones of our own making, each with what it has to become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from usersim_env.cli import main
from usersim_env.errors import TraceError, UsageError
from usersim_env.gap import ComparisonWarning, GapSettings, compare
from usersim_env.importers import ImportResult, ImportSettings, import_files
from usersim_env.traces.trace import Trace

FEW = GapSettings(replicates=100)
TALK = [
    {"role": "assistant", "content": "Hi! How can I help you today?"},
    {"role": "user", "content": "My parcel is late."},
    {"role": "assistant", "content": "I have sent it again."},
    {"role": "user", "content": "###STOP###"},
]


def run(task: int = 0, reward: float = 1.0, **changes: Any) -> dict[str, Any]:
    """A run as τ² writes it."""
    made = {"id": f"s{task}-{reward}", "task_id": str(task), "termination_reason": "user_stop", "messages": TALK}
    return made | {"reward_info": {"reward": reward}} | changes


def results(*runs: dict[str, Any], agent: str = "llm_agent", user: str = "user_simulator") -> dict[str, Any]:
    info = {
        "environment_info": {"domain_name": "telecom"},
        "agent_info": {"implementation": agent, "llm": "m"},
        "user_info": {"implementation": user, "llm": "m"},
        "max_steps": 200,
    }
    return {"info": info, "tasks": [], "simulations": list(runs)}


def load(tmp_path: Path, content: Any, name: str = "file.json", **settings: Any) -> ImportResult:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return import_files([path], settings=ImportSettings(**settings))


def one(tmp_path: Path, content: Any, **settings: Any) -> Trace:
    (trace,) = load(tmp_path, content, **settings).traces
    return trace


# -- which task, and who sat there -------------------------------------------------------------------------------------


def test_runs_without_a_domain_are_never_paired_with_those_of_another_file(tmp_path: Path) -> None:
    mine = load(tmp_path, [run(n) for n in range(3)])
    theirs = load(tmp_path, [run(n, 0.0, id=f"t{n}") for n in range(3)])
    assert "3 of 3 episodes name neither a domain nor a task" in mine.notes[-1] and "--domain" in mine.notes[-1]
    with pytest.raises(UsageError, match=r"6 episodes name neither a domain nor a task.*--domain"):
        compare(mine.traces, theirs.traces, FEW)
    known = [load(tmp_path, [run(n, r, id=f"{r}{n}") for n in range(3)], domain="airline") for r in (1.0, 0.0)]
    assert known[0].notes == () and known[0].traces[0].task_id == "airline/tau2/0"
    with pytest.warns(ComparisonWarning, match="The agent could not be checked"):
        result = compare(known[0].traces, known[1].traces, FEW)
    assert result.rule.gap.estimate == -1.0
    other = load(tmp_path, [run(n, 0.0, id=f"m{n}") for n in range(3)], domain="medical")
    with pytest.raises(UsageError, match="No task is on both sides"):
        compare(known[0].traces, other.traces, FEW)


def test_a_run_without_a_user_side_is_no_language_model(tmp_path: Path) -> None:
    alone = one(tmp_path, results(run(), agent="llm_agent_solo", user="dummy_user"))
    assert (alone.user.kind, alone.user.name) == ("none", "dummy_user")
    assert alone.agent.settings == {"implementation": "llm_agent_solo"}
    told = one(tmp_path, results(run(), agent="llm_agent_gt"))
    usual = one(tmp_path, results(run()))
    assert told.agent.settings == {"implementation": "llm_agent_gt"} and usual.agent.settings == {}
    assert (usual.user.kind, usual.user.name) == ("llm", "m")


def test_an_agent_that_a_file_does_not_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert one(tmp_path, [run()], domain="airline", agent="mine").agent.name == "mine"
    assert one(tmp_path, results(run()), agent="mine").agent.name == "m", "what the file says stands"
    file = tmp_path / "file.json"
    file.write_text(json.dumps([run()]))
    words = ["import", str(file), "--out", str(tmp_path / "o.jsonl"), "--agent", "a", "--domain", "airline"]
    assert main([*words, "--user", "llm:b"]) == 0
    line = json.loads((tmp_path / "o.jsonl").read_text())
    assert (line["agent"]["name"], line["user"]["kind"], line["user"]["name"]) == ("a", "llm", "b")
    assert line["task_id"] == "airline/tau2/0"


# -- how it ended ------------------------------------------------------------------------------------------------------


def tau_bench(steps: int, reward: float = 0.0) -> dict[str, Any]:
    """A record of τ-bench whose agent was still busy after so many steps."""
    call = {"type": "function", "function": {"name": "get_user_details", "arguments": '{"user_id": "x"}'}}
    talk: list[dict[str, Any]] = [{"role": "system", "content": "policy"}, {"role": "user", "content": "Hello."}]
    for number in range(steps):
        talk.append({"role": "assistant", "content": None, "tool_calls": [{"id": f"c{number}", **call}]})
        talk.append({"role": "tool", "tool_call_id": f"c{number}", "name": "get_user_details", "content": "{}"})
    task = {"user_id": "u", "actions": [{"name": "cancel_reservation", "kwargs": {"reservation_id": "Z"}}]}
    task |= {"instruction": "Cancel.", "outputs": []}
    return {"task_id": 0, "trial": 0, "reward": reward, "info": {"task": task}, "traj": talk}


def test_thirty_steps_are_the_limit_of_tau_bench_and_count_as_the_file_says(tmp_path: Path) -> None:
    at_limit, before = load(tmp_path, [tau_bench(30), tau_bench(29)]).traces
    assert (at_limit.ended_by, at_limit.reward, at_limit.max_steps) == ("limit", 0.0, 30)
    assert (before.ended_by, before.reward) == ("cut", None)


def test_one_record_of_tau_bench_as_an_object(tmp_path: Path) -> None:
    assert one(tmp_path, tau_bench(30)) == one(tmp_path, [tau_bench(30)])


@pytest.mark.parametrize("reason", ["user_stop", "TerminationReason.USER_STOP", "USER_STOP"])
def test_why_a_run_ended_as_others_write_it(tmp_path: Path, reason: str) -> None:
    assert one(tmp_path, results(run(termination_reason=reason))).ended_by == "user"


def test_a_run_that_does_not_say_why_it_ended(tmp_path: Path) -> None:
    silent = run()
    del silent["termination_reason"]
    assert one(tmp_path, results(silent)).ended_by == "user", "by the stop word"
    silent["messages"] = TALK[:-1]
    with pytest.raises(TraceError, match="the field 'termination_reason' is missing"):
        load(tmp_path, results(silent))


def test_only_what_counts_for_the_reward_is_a_check(tmp_path: Path) -> None:
    verdict = {
        "reward": 1.0,
        "db_check": {"db_match": False},
        "communicate_checks": [{"info": "x", "met": False}],
        "reward_basis": ["ENV_ASSERTION"],
    }
    assert one(tmp_path, results(run(reward_info=verdict))).checks == {}
    both = verdict | {"reward_basis": ["DB", "COMMUNICATE"], "reward": 0.0}
    assert one(tmp_path, results(run(reward_info=both))).checks == {"database": False, "output_0": False}


# -- formats -----------------------------------------------------------------------------------------------------------


def test_a_folder_of_tau2(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    (folder / "simulations").mkdir(parents=True)
    whole = results()
    del whole["simulations"]
    (folder / "results.json").write_text(json.dumps(whole | {"simulation_index": [{"id": "a"}, {"id": "b"}]}))
    for number, name in enumerate("ab"):
        (folder / "simulations" / f"{name}.json").write_text(json.dumps(run(number, id=name)))
    for path, count in ((folder, 2), (folder / "results.json", 2), (folder / "simulations" / "b.json", 1)):
        traces = import_files([path]).traces
        assert len(traces) == count and traces[-1].task_id == "telecom/tau2/1" and traces[-1].agent.name == "m"
    with pytest.raises(TraceError, match=r"is a folder without results\.json"):
        import_files([tmp_path])


def test_lines_of_nemo_gym(tmp_path: Path) -> None:
    config = {"domain": "airline", "agent": "llm_agent", "llm_agent": "a", "user": "user_simulator", "llm_user": "u"}
    line = {
        "responses_create_params": {"input": []},
        "reward": 1.0,
        "config": config,
        "task": {"id": "0"},
        "result": run(),
    }
    traces = load(tmp_path, "".join(json.dumps(line) + "\n" for _ in range(2)), "rollouts.jsonl").traces
    assert [(t.task_id, t.agent.name, t.user.name, t.reward) for t in traces] == [("airline/tau2/0", "a", "u", 1.0)] * 2


def test_the_results_of_odyssim_are_a_simulators(tmp_path: Path) -> None:
    entry = {"instance_id": "airline_0", "conversation": TALK[1:], "survey": {}, "reward": 1.0}
    traces = load(tmp_path, {"results": [entry, entry]}).traces
    assert [t.task_id for t in traces] == ["airline/test/0"] * 2 and traces[0].id != traces[1].id
    assert {(t.user.kind, t.reward, t.ended_by, t.terms.licence) for t in traces} == {
        ("llm", 1.0, "user", "not stated in the file")
    }


def test_sharegpt(tmp_path: Path) -> None:
    talk = [{"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Hello!"}]
    assert [m.content for m in one(tmp_path, [{"conversations": talk}]).messages] == ["Hi.", "Hello!"]
    with pytest.raises(TraceError, match=r"conversations\.0: from: expected system, human"):
        load(tmp_path, [{"conversations": [{"from": "observation", "value": "x"}]}])


# -- messages ----------------------------------------------------------------------------------------------------------


def test_blocks_of_anthropic(tmp_path: Path) -> None:
    use = {"type": "tool_use", "id": "t1", "name": "look", "input": {"id": "Z"}}
    answer = {
        "type": "tool_result",
        "tool_use_id": "t1",
        "content": [{"type": "text", "text": "found"}],
        "is_error": True,
    }
    chat = [
        {"role": "user", "content": [{"type": "text", "text": "Cancel Z."}]},
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Wait."}, use],
        },
        {"role": "user", "content": [answer]},
        {"role": "assistant", "content": [{"type": "text", "text": "Done."}]},
        {"role": "user", "content": "Thanks. ###STOP###"},
    ]
    trace = one(tmp_path, {"messages": chat})
    assert [m.content for m in trace.messages] == ["Cancel Z.", "Done.", "Thanks."]
    (act,) = [event for event in trace.events if event.get("name") == "look"]
    assert (act["arguments"], act["result"], act["error"], act["text"]) == ({"id": "Z"}, "found", True, "Wait.")
    assert trace.effort.tool_calls == 1 and trace.ended_by == "user"


def test_a_refusal_is_words_and_a_picture_is_noted(tmp_path: Path) -> None:
    chat: list[dict[str, Any]] = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "See."}, {"type": "image_url", "image_url": {"url": "x"}}],
        },
        {"role": "assistant", "content": None, "refusal": "I cannot help."},
        {"role": "user", "content": "###STOP###"},
    ]
    result = load(tmp_path, {"messages": chat})
    assert [m.content for m in result.traces[0].messages] == ["See.", "I cannot help."]
    assert any("a block of type image_url is kept in source alone" in note for note in result.notes)
    chat[0]["content"].append({"type": "hologram"})
    with pytest.raises(TraceError, match=r"messages\.0: content\.2: type: a block of type 'hologram' cannot be read"):
        load(tmp_path, {"messages": chat})


@pytest.mark.parametrize("ids", [(None, None), (0, 1), ("same", "same"), ("", ""), ("a", "b")])
@pytest.mark.parametrize("arguments", ["{}", {}, "", " ", None])
def test_results_find_their_calls_without_ids_and_with_odd_ones(
    tmp_path: Path, ids: tuple[Any, Any], arguments: Any
) -> None:
    calls = [{"id": at, "function": {"name": f"f{n}", "arguments": arguments}} for n, at in enumerate(ids)]
    chat = [
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": None, "tool_calls": calls},
        *({"role": "tool", "tool_call_id": at, "content": f"of f{n}"} for n, at in enumerate(ids)),
    ]
    found = {e["name"]: (e["arguments"], e["result"]) for e in one(tmp_path, chat).events if "result" in e}
    assert found == {"f0": ({}, "of f0"), "f1": ({}, "of f1")}
