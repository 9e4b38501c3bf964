"""Rankings of hand-made traces, worked out by hand."""

from __future__ import annotations

import argparse
import csv
import itertools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from usersim_env import ScriptedUser
from usersim_env.baselines import best_of_n, compare_rewards
from usersim_env.baselines.best_of_n import expected, group_up, outcome_curve, parse_mixture, values_of
from usersim_env.baselines.compare_rewards import best, csv_rows, differs, rank
from usersim_env.env.tau_env import TauEnv
from usersim_env.errors import UnknownName, UsageError
from usersim_env.feedback.values import Failure
from usersim_env.traces.file import TraceWriter
from usersim_env.traces.trace import Trace


@pytest.fixture(scope="module")
def base() -> Trace:
    env = TauEnv("mock", ScriptedUser(("Hello.", "Bye.")))
    env.reset(seed=0, options={"task_id": "mock/test/0"})
    for _ in range(2):
        env.step({"name": "respond", "arguments": {"content": "Good day to you."}})
    return env.trace()


def made(base: Trace, task: int, reward: float | None, survey: float | None, turns: int = 3) -> Trace:
    """A trace of a task with these signals."""
    signals = {} if reward is None else {"rule": reward}
    signals |= {} if survey is None else {"survey.overall_score": survey, "survey.mean": survey}
    failure = Failure("user", "outage", "") if reward is None else None
    effort = replace(base.effort, agent_turns=turns, tool_errors=0)
    changed = replace(base, task_id=f"mock/test/{task}", task_hash=str(task), reward=reward, signals=signals)
    return replace(changed, failure=failure, effort=effort, id=f"{task}-{reward}-{survey}-{turns}")


def test_the_expectation_is_that_of_all_choices_and_all_orders_of_equals() -> None:
    values, outcomes = [1.0, 1.0, 0.5, 0.0, 0.5], [3.0, 5.0, 1.0, 7.0, 2.0]
    for n in range(1, 6):
        by_hand = []
        for chosen in itertools.combinations(range(5), n):
            top = [i for i in chosen if values[i] == max(values[j] for j in chosen)]
            by_hand.append(sum(outcomes[i] for i in top) / len(top))
        assert expected(values, outcomes, n) == pytest.approx(sum(by_hand) / len(by_hand))
    with pytest.raises(UsageError, match="n is from 1 to the number of episodes, 5; got 6"):
        expected(values, outcomes, 6)


def test_two_choices_differ_as_often_as_a_common_order_makes_them() -> None:
    a, b = frozenset({0, 1}), frozenset({1, 2, 3})
    orders = list(itertools.permutations(range(4)))
    firsts = [next(i for i in order if i in a) != next(i for i in order if i in b) for order in orders]
    assert differs(a, b) == pytest.approx(sum(firsts) / len(orders)) == 0.75
    assert differs(a, a) == 0 and differs(frozenset({0}), frozenset({1})) == 1
    assert best([0.1, 0.3, 0.1 + 0.2]) == {1, 2}


def test_episodes_that_are_not_scored_are_in_no_group(base: Trace) -> None:
    traces = [made(base, 0, 1, 0.5), made(base, 0, None, None), made(base, 0, 0, 1), made(base, 1, 1, 1)]
    (group,) = group_up(traces)
    assert group == [traces[0], traces[2]]
    with pytest.raises(UsageError, match=r"No task has 3 scored episodes with one user side \(at most 2\)"):
        group_up(traces, 3)


def test_user_sides_are_not_mixed_in_a_group(base: Trace) -> None:
    other = replace(base.user, settings={"lines": ["Hi."]})
    traces = [made(base, 0, 1, 0.5), made(base, 0, 0, 1), replace(made(base, 0, 1, 1), user=other)]
    assert [len(group) for group in group_up(traces)] == [2]


def test_what_is_preferred_by_hand(base: Trace) -> None:
    # Task 0: the rule takes the first, the survey the second. Task 1: both take the second.
    traces = [made(base, 0, 1, 0.25, 4), made(base, 0, 0, 0.75, 2), made(base, 1, 0, 0.5, 6), made(base, 1, 1, 1, 2)]
    groups = group_up(traces)
    rule, survey = rank(groups, "rule"), rank(groups, "survey.overall_score")
    mixed = rank(groups, "rule+0.5*survey.overall_score")
    assert rule.other and survey.other and survey.apart and mixed.other
    assert (rule.other.estimate, survey.other.estimate, survey.apart.estimate, mixed.other.estimate) == (0, 0.5, 0.5, 0)
    assert rule.prefers["success"] and survey.prefers["success"] and survey.prefers["agent turns"]
    assert rule.prefers["success"].estimate == 0.5  # (1 − 1/2 + 1 − 1/2) / 2
    assert survey.prefers["success"].estimate == 0.0  # (0 − 1/2 + 1 − 1/2) / 2
    assert survey.prefers["agent turns"].estimate == -1.5  # (2 − 3 + 2 − 4) / 2
    curve = outcome_curve(groups, {"survey.overall_score": 1.0}, "success", [1, 2])
    assert [x.estimate for x in curve if x] == [0.5, 0.5]
    assert {row["measure"] for row in csv_rows([survey])} > {"other choice", "apart", "prefers: success"}


def test_a_missing_signal_leaves_the_group_out_and_is_never_0(base: Trace) -> None:
    traces = [made(base, 0, 1, None), made(base, 0, 0, 0.75), made(base, 1, 0, 0.5), made(base, 1, 1, 1)]
    groups = group_up(traces)
    assert values_of(groups[0], {"survey.mean": 1.0}) is None and values_of(groups[0], {"rule": 2.0}) == [2.0, 0.0]
    found = rank(groups, "survey.mean")
    assert found.n_groups == 1 and found.other is not None and found.other.n_tasks == 1
    assert rank(groups[:1], "survey.mean").other is None


def test_mixtures_are_read_and_what_is_wrong_is_said() -> None:
    assert parse_mixture("survey.mean") == {"survey.mean": 1.0}
    assert parse_mixture("rule + 0.5 * survey.mean") == {"rule": 1.0, "survey.mean": 0.5}
    with pytest.raises(UnknownName, match=r"Unknown signal 'survey.men'. Did you mean 'survey.mean'"):
        parse_mixture("rule+survey.men")
    for text in ("x*rule", "nan*rule", "rule+rule"):
        with pytest.raises(UsageError, match=rf"each signal once; got '{re.escape(text)}'"):
            parse_mixture(text)


def write(base: Trace, path: Path) -> str:
    writer = TraceWriter(path)
    for task, (first, second) in enumerate([(0.25, 0.75), (0.5, 1.0), (0.0, 0.25)]):
        writer.write(made(base, task, 1, first, 4))
        writer.write(made(base, task, 0, second, 2))
        writer.write(made(base, task, None, None))
    writer.close()
    return str(path)


def test_both_commands_on_traces_of_ones_own(base: Trace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(base, tmp_path / "mine.jsonl")
    best_of_n.main(["--traces", path, "--n", "2", "--by", "survey.mean"])
    told = capsys.readouterr().out
    assert "3 groups of 2 episodes; 3 of 9 episodes left out" in told and "User sides: scripted" in told
    compare_rewards.main(["--traces", path, "--n", "2", "--out", str(tmp_path)])
    told = capsys.readouterr().out
    assert "survey.reuse: left out, no group in which every episode has it" in told
    with open(tmp_path / "compare_rewards.csv", encoding="utf-8") as file:
        rows = {(row["reward"], row["measure"]): float(row["mean"]) for row in csv.DictReader(file)}
    assert rows["survey.mean", "other choice"] == 1.0 and rows["rule", "prefers: success"] == 0.5
    assert (tmp_path / "compare_rewards.png").stat().st_size > 10_000


def test_what_cannot_be_chosen_from_is_said() -> None:
    given: Any = argparse.Namespace(n=1, traces=None)
    with pytest.raises(UsageError, match="--n is at least 2, got 1: there is no choice in one episode"):
        best_of_n.load(given)


@pytest.mark.usefixtures("tau")
def test_it_runs_episodes_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    best_of_n.main(["--n", "2", "--tasks", "0-2", "--persona", "cooperative"])
    told = capsys.readouterr().out
    assert "clerk" in told and "(privileged)" in told and "(synthetic)" in told and "3 groups of 2 episodes" in told
