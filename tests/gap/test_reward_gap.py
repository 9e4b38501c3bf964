from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from usersim_env import gap
from usersim_env.errors import UsageError
from usersim_env.feedback.behaviour import behaviour_features
from usersim_env.feedback.survey import FIELDS
from usersim_env.feedback.values import Failure
from usersim_env.gap import ComparisonWarning, GapResult, GapSettings, compare
from usersim_env.gap.bootstrap import DEGENERATE, ONE_TASK
from usersim_env.gap.sections import detectable_sentence
from usersim_env.traces.trace import Terms

FAST = GapSettings(replicates=1000)
YES, NO = "Yes - Task completed", "No - Task failed"


def planted(make: Any, sim: float = 0.8, reference: float = 0.5, **changes: Any) -> GapResult:
    settings = GapSettings(**{"replicates": 1000, **changes})
    return compare(make.drawn(make.SIM, 60, 4, sim, 1), make.drawn(make.REFERENCE, 60, 3, reference, 3), settings)


def test_the_estimate_is_the_mean_over_tasks_of_the_difference_of_means(make: Any) -> None:
    sim = make.side(make.SIM, [[1.0], [1.0, 1.0, 0.0, 1.0], [0.0, 0.0]])
    reference = make.side(make.REFERENCE, [[1.0, 0.0], [0.0], [0.0, 1.0, 1.0, 1.0]])
    rule = compare(sim, reference, FAST).rule
    assert rule.gap.estimate == pytest.approx(((0.5 - 1) + (0 - 0.75) + (0.75 - 0)) / 3)
    assert [rule.sim, rule.reference] == pytest.approx([1.75 / 3, 1.25 / 3])
    assert (rule.n_sim, rule.n_reference, rule.gap.n_tasks) == (7, 7, 3)


@pytest.mark.filterwarnings("ignore:.*have failed and are not scored")
def test_failed_episodes_are_left_out_and_never_count_as_zero(make: Any) -> None:
    sim, reference = [[1.0], [0.0], [1.0]], [[1.0, None, None], [1.0, None], [1.0]]
    result = compare(make.side(make.SIM, sim), make.side(make.REFERENCE, reference), FAST)
    assert result.rule.reference == 1.0
    assert result.pairing.reference.n_scored == 3


def test_a_planted_gap_is_found_with_its_sign_and_size(make: Any) -> None:
    result = planted(make)
    assert result.rule.gap.low is not None and result.rule.gap.high is not None
    assert result.rule.gap.low < -0.3 < result.rule.gap.high < 0
    assert result.rule.finding == "simulated higher"
    assert planted(make, 0.5, 0.8).rule.finding == "reference higher"
    assert result.gap("survey.mean").gap.estimate < 0
    assert [row.signal for row in result.gaps] == ["rule", *(f"survey.{field}" for field in FIELDS), "survey.mean"]


def test_identical_inputs_give_exactly_zero_and_no_evidence(make: Any) -> None:
    traces = make.drawn(make.SIM, 20, 3, 0.6, 1)
    with pytest.warns(ComparisonWarning, match=r"60 episode\(s\) are on both sides"):
        result = compare(traces, traces[::-1], FAST)
    for row in result.gaps:
        assert (row.gap.estimate, row.gap.low, row.gap.high, row.gap.word) == (0.0, 0.0, 0.0, DEGENERATE)
        assert row.finding.startswith("no evidence of a gap")
        assert row.test is not None and (row.test.p, row.test.p_holm) == (1.0, 1.0)
        assert row.detectable.gap is None and row.detectable.word.startswith("degenerate")
    for part in [*(row.gap for row in result.pass_k), *(row.gap for row in (*result.bins, *result.domains))]:
        assert (part.estimate, part.low, part.high) == (0.0, 0.0, 0.0)


def test_zero_inside_the_interval_is_no_evidence_and_is_never_called_no_gap(make: Any) -> None:
    result = planted(make, 0.6, 0.6)
    assert result.rule.gap.estimate != 0
    assert result.rule.finding == "no evidence of a gap"
    assert "no gap" not in json.dumps(result.as_dict())


def test_a_finding_that_holm_takes_back_says_so(make: Any) -> None:
    generator = np.random.default_rng(3)
    noise = {f"noise {i}": [float(x) for x in generator.random(20)] for i in range(9)}
    sim = [make.trace(i, signals={"weak": 0.5, **{k: v[i] for k, v in noise.items()}}) for i in range(20)]
    weak = generator.normal(0.04, 0.1, 20)
    reference = [
        make.trace(i, make.REFERENCE, signals={"weak": 0.5 + weak[i], **{k: v[19 - i] for k, v in noise.items()}})
        for i in range(20)
    ]
    row = compare(sim, reference, FAST).gap("weak")
    assert row.test is not None and row.test.p_holm is not None
    assert row.test.p < 0.05 < row.test.p_holm
    assert not row.gap.covers_zero
    assert row.finding == "reference higher, not after Holm"
    assert not row.stands


def test_episodes_that_their_study_did_not_keep_are_left_out_and_counted(make: Any) -> None:
    dropped = replace(make.HUMAN, notes={"keep": False})
    reference = [*make.side(make.HUMAN, [[1.0], [0.0]]), *(make.trace(0, dropped, seed, 0.0) for seed in (7, 8))]
    result = compare(make.side(make.SIM, [[1.0], [0.0]]), reference, FAST)
    assert result.pairing.reference.left_out == 2
    assert result.rule.n_reference == 2
    assert result.rule.gap.estimate == 0
    assert result.as_dict()["sides"]["reference"]["left_out"] == 2


@pytest.mark.parametrize(
    ("sim", "reference", "words"),
    [
        ([[1.0], [0.0]], [[0.0], [1.0]], "With 2 tasks no gap of the rule reward can be relied on to be seen"),
        ([[1.0], [0.0]], [[1.0], [0.0]], "How small a gap these 2 tasks can show is unknown (degenerate"),
        ([[1.0], [0.0]] * 20, [[0.0], [0.0]] * 20, r"With 40 tasks you can see gaps of 0.230 in the rule reward (80 %"),
    ],
)
def test_the_smallest_gap_that_can_be_seen_is_said(make: Any, sim: Any, reference: Any, words: str) -> None:
    result = compare(make.side(make.SIM, sim), make.side(make.REFERENCE, reference), FAST)
    assert words in detectable_sentence(result)


def test_pooled_domains_are_told_apart(make: Any) -> None:
    sides = []
    for user, rewards in ((make.SIM, [[1.0], [1.0], [0.0], [1.0]]), (make.REFERENCE, [[0.0], [0.0], [0.0], [1.0]])):
        traces = make.side(user, rewards)
        sides.append([replace(t, domain="other") if t.task_id[-1] in "23" else t for t in traces])
    result = compare(sides[0], sides[1], FAST)
    assert [(row.name, row.n_tasks, row.gap.estimate) for row in result.domains] == [("mock", 2, -1.0), ("other", 2, 0)]
    assert "Tasks of 2 domains are pooled: read the gap per domain as well." in result.cautions


def test_equal_seeds_give_equal_results(make: Any) -> None:
    assert planted(make).as_dict() == planted(make).as_dict()
    assert planted(make, seed=1).rule.gap != planted(make).rule.gap
    assert planted(make, seed=1).rule.gap.estimate == planted(make).rule.gap.estimate


def test_a_constant_difference_is_called_degenerate(make: Any) -> None:
    result = compare(make.side(make.SIM, [[1.0]] * 5), make.side(make.REFERENCE, [[0.0]] * 5), FAST)
    assert (result.rule.gap.low, result.rule.gap.high) == (-1.0, -1.0)
    assert result.rule.finding == "degenerate: every task differs by the same amount"
    assert [success.word for success in result.success] == [DEGENERATE, DEGENERATE]


def test_a_signal_that_is_missing_is_left_out_and_named(make: Any) -> None:
    answers = [{"task_success": YES}, {"task_success": NO, "reuse": "Maybe"}, None]
    sim = [make.trace(task, make.SIM, survey=answers[task]) for task in range(3)]
    reference = [make.trace(task, make.REFERENCE, survey={"task_success": YES}) for task in range(3)]
    result = compare(sim, reference, FAST)
    success = result.gap("survey.task_success")
    assert (success.gap.n_tasks, success.n_sim, success.n_reference) == (2, 2, 3)
    assert success.gap.estimate == pytest.approx(0.375)
    assert result.missing == (
        "survey.reuse: no task has it on both sides (1 simulated and 0 reference episodes have it)",
    )
    with pytest.raises(KeyError):
        result.gap("survey.reuse")
    assert "NaN" not in json.dumps(result.as_dict())


def test_a_signal_on_one_task_has_no_interval_and_says_so(make: Any) -> None:
    sides = [
        [make.trace(task, user, survey={"reuse": "Maybe"} if task == 0 else None) for task in range(3)]
        for user in (make.SIM, make.REFERENCE)
    ]
    row = compare(sides[0], sides[1], FAST).gap("survey.reuse")
    assert (row.gap.low, row.gap.word, row.finding) == (None, ONE_TASK, "one task only: no interval")


def test_signals_stored_in_a_trace_are_compared_and_the_rule_reward_is_the_traces_own(make: Any) -> None:
    sim = make.side(make.SIM, [[1.0], [0.0]], signals={"rule": 0.5, "judge": 0.25})
    reference = make.side(make.REFERENCE, [[1.0], [0.0]], signals={"judge": 0.75})
    result = compare(sim, reference, FAST)
    assert result.rule.sim == 0.5
    assert result.gap("judge").gap.estimate == 0.5


@pytest.mark.parametrize("value", [float("nan"), 1.5, -0.1])
def test_a_signal_outside_zero_to_one_is_refused(make: Any, value: float) -> None:
    sim = make.side(make.SIM, [[1.0], [0.0]], signals={"judge": value})
    with pytest.raises(
        UsageError, match=r"agenda-cooperative-0-0 .* signal judge is .*; expected a number from 0 to 1"
    ):
        compare(sim, make.side(make.REFERENCE, [[1.0], [0.0]]), FAST)


def test_an_unknown_survey_answer_names_the_episode(make: Any) -> None:
    sim = make.side(make.SIM, [[1.0], [0.0]], survey={"reuse": "Perhaps"})
    with pytest.raises(UsageError, match=r"agenda-cooperative-0-0 \(mock/test/0\): Unknown answer to reuse 'Perhaps'"):
        compare(sim, make.side(make.REFERENCE, [[1.0], [0.0]]), FAST)


def test_real_takes_people_only(make: Any) -> None:
    sim = make.side(make.SIM, [[1.0], [0.0]])
    settings = replace(FAST, real=True)
    with pytest.raises(UsageError, match="2 of 2 episodes of the real side are of kind llm; only kind human"):
        compare(sim, make.side(make.LLM, [[1.0], [0.0]]), settings)
    assert compare(sim, make.side(make.HUMAN, [[1.0], [0.0]]), settings).pairing.reference.label == "human"


def test_cautions_say_who_was_a_program_and_who_knew_the_answers(make: Any) -> None:
    sim = make.side(make.SIM, [[1.0], [0.0]])
    synthetic = compare(sim, make.side(make.LLM, [[1.0], [0.0]]), FAST).cautions
    assert synthetic == (
        "Both user sides are synthetic: no person took part, so this is not a Sim2Real gap.",
        "Privileged agent: clerk looks the expected calls of the task up.",
        "2 tasks are few: below 20 the intervals are rough.",
    )
    partly = compare(sim, [make.trace(0, make.HUMAN), make.trace(1, make.LLM)], FAST).cautions
    assert partly[0] == "Not every episode of the reference side is a person's: it is no human baseline."
    plain = replace(make.AGENT, privileged=False)
    sides = [make.side(user, [[1.0], [0.0]], agent=plain) for user in (make.SIM, make.HUMAN)]
    assert not [text for text in compare(sides[0], sides[1], FAST).cautions if "few" not in text]


def test_few_tasks_are_called_few(make: Any) -> None:
    plain = replace(make.AGENT, privileged=False)
    for n, said in ((19, ("19 tasks are few: below 20 the intervals are rough.",)), (20, ())):
        sides = [make.side(user, [[1.0]] * n, agent=plain) for user in (make.SIM, make.HUMAN)]
        assert compare(sides[0], sides[1], FAST).cautions == said


def test_user_sides_that_are_pooled_are_named(make: Any) -> None:
    mixed = [*make.side(make.SIM, [[1.0], [0.0]]), make.trace(2, make.LLM)]
    with pytest.warns(ComparisonWarning, match="The sim side pools 2 user sides: "):
        compare(mixed, make.side(make.HUMAN, [[1.0], [0.0]]), FAST)


def test_abandoned_episodes_bound_the_gap(make: Any) -> None:
    left = Failure("user", "abandoned", "The person left.")
    sim = make.side(make.SIM, [[1.0], [1.0], [1.0], [0.0]])
    reference = make.side(make.HUMAN, [[1.0], [1.0], [None], [0.0, 0.0, None]], failure=left)
    bounds = compare(sim, [t if t.reward is None else replace(t, failure=None) for t in reference], FAST).abandoned
    assert (bounds.sim, bounds.reference, bounds.any) == (0, 2, True)
    assert [bounds.sim_rate, bounds.reference_rate] == pytest.approx([0, 2 / 6])
    assert bounds.as_zero.estimate == pytest.approx(-1 / 4)
    assert bounds.as_one.estimate == pytest.approx((1 / 3) / 4)
    assert (bounds.lowest, bounds.highest) == (bounds.as_zero, bounds.as_one)
    assert bounds.as_one.n_tasks == 4


@pytest.mark.filterwarnings("ignore:.*have failed and are not scored")
def test_outages_are_not_abandonment(make: Any) -> None:
    result = compare(make.side(make.SIM, [[1.0], [0.0]]), make.side(make.REFERENCE, [[1.0, None], [1.0]]), FAST)
    assert not result.abandoned.any
    assert result.abandoned.as_zero == result.abandoned.as_one == result.rule.gap


def test_behaviour_rows_are_means_with_rates_times_hundred(make: Any) -> None:
    sim = make.side(make.SIM, [[1.0], [0.0]], texts=["Thank you!", "give me my money now"])
    row, other = compare(sim, make.side(make.REFERENCE, [[1.0], [0.0]]), FAST).behaviour
    assert (row.n, other.n) == (2, 2)
    assert row.values["politeness_rate"] == 50.0
    assert row.values["user_words_per_turn"] == 3.5
    assert gap.behaviour_features is behaviour_features


def test_conversations_without_user_turns_have_no_row(make: Any) -> None:
    sim = make.side(make.SIM, [[1.0], [0.0]], texts=[])
    result = compare(sim, make.side(make.REFERENCE, [[1.0], [0.0]]), FAST)
    assert (result.behaviour[0].n, result.behaviour[0].values, result.examples) == (0, {}, ())


def test_survey_answers_are_counted_per_side(make: Any) -> None:
    sim = make.side(make.SIM, [[1.0], [0.0]], survey={"task_success": YES})
    (counts,) = compare(sim, make.side(make.REFERENCE, [[1.0], [0.0]]), FAST).survey
    assert (counts.field, counts.sim[YES], counts.sim[NO], sum(counts.reference.values())) == ("task_success", 2, 0, 0)


def test_the_most_different_conversations_are_those_with_unlike_rewards(make: Any) -> None:
    sim = make.side(make.SIM, [[1.0], [0.0, 1.0]])
    reference = make.side(make.REFERENCE, [[1.0], [1.0, 1.0]])
    example, other = compare(sim, reference, FAST).examples
    assert other.task_id == "mock/test/0"
    assert (example.task_id, example.sim.reward, example.reference.reward) == ("mock/test/1", 0.0, 1.0)


def test_conversations_whose_terms_restrict_them_are_no_examples(make: Any) -> None:
    sim = make.side(make.SIM, [[1.0], [0.0]])
    reference = make.side(make.HUMAN, [[1.0], [1.0]], terms=Terms("research only", training=False))
    assert compare(sim, reference, FAST).examples == ()
