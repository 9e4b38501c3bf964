from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from usersim_env.feedback.survey import FIELDS
from usersim_env.gap import GapSettings, compare
from usersim_env.gap.judgement import ROWS, Judgement, judgement, spearman
from usersim_env.gap.sides import Side

FAILED, POLICY, PARTLY, DONE, FULLY = FIELDS["task_success"].answers

# Reward, answer to the question of success.
EPISODES: list[tuple[float, str | None]] = [
    (0.0, FAILED), (0.0, FAILED), (0.0, PARTLY), (0.0, DONE), (0.0, POLICY), (0.0, None),
    (1.0, FULLY), (1.0, DONE), (1.0, DONE), (1.0, PARTLY), (1.0, FAILED), (1.0, POLICY), (1.0, POLICY), (1.0, None),
]  # fmt: skip


def found(make: Any) -> Judgement:
    traces = [
        make.trace(0, make.SIM, seed, reward, survey=None if answer is None else {"task_success": answer})
        for seed, (reward, answer) in enumerate(EPISODES)
    ]
    return judgement(Side("sim", tuple(traces)), ["mock/test/0"])


def test_the_cross_table_counts_every_episode_once(make: Any) -> None:
    assert found(make).table == dict(zip(ROWS, [(1, 3), (1, 1), (1, 2), (2, 1), (1, 1)], strict=True))
    assert found(make).answered == 12


def test_what_the_reward_misses_is_counted_at_both_thresholds(make: Any) -> None:
    four, three = found(make).missed
    assert (four.threshold, four.unrewarded, four.reward_0, four.rewarded, four.reward_1) == (4, 1, 5, 2, 7)
    assert (three.threshold, three.unrewarded, three.reward_0, three.rewarded, three.reward_1) == (3, 2, 5, 1, 7)


def test_the_answer_about_policy_counts_for_neither(make: Any) -> None:
    four, three = found(make).missed
    assert (four.rewarded_policy, three.rewarded_policy) == (2, 2)
    assert four.agree == pytest.approx((3 + 3) / 9)  # of the nine answers that are not about policy
    assert three.agree == pytest.approx((2 + 4) / 9)


def test_nobody_asked_is_no_agreement(make: Any) -> None:
    result = judgement(Side("sim", (make.trace(),)), ["mock/test/0"])
    assert [row.agree for row in result.missed] == [None, None]
    assert {(row.rho, row.n, row.word) for row in result.correlations} == {(None, 0, "nobody was asked")}


@pytest.mark.parametrize(
    ("x", "y", "rho"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 99], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([0, 0, 1, 1], [1, 2, 2, 3], 3 / np.sqrt(4 * 4.5)),  # ranks 1.5 1.5 3.5 3.5 and 1 2.5 2.5 4
        ([106, 100, 86, 101, 99, 103, 97, 113, 112, 110], [7, 27, 2, 50, 28, 29, 20, 12, 6, 17], -29 / 165),
    ],
)
def test_rank_correlation_with_ties_sharing_their_mean_rank(x: list[float], y: list[float], rho: float) -> None:
    assert spearman(x, y) == pytest.approx(rho)


def test_rank_correlation_is_pearsons_of_the_ranks() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.random(50), generator.random(50)
    a, b = (np.argsort(np.argsort(values)) for values in (x, y))
    assert spearman(x, y) == pytest.approx(float(np.asarray(np.corrcoef(a, b))[0, 1]))


def test_a_constant_has_no_correlation_and_the_reason_is_said(make: Any) -> None:
    assert spearman([1, 1, 1], [1, 2, 3]) is None
    answers = [{"reuse": "Yes", "human_like": x} for x in ("No", "Yes", "No")]
    traces = [make.trace(0, make.SIM, seed, 1.0, survey=answer) for seed, answer in enumerate(answers)]
    rows = {row.field: row for row in judgement(Side("sim", tuple(traces)), ["mock/test/0"]).correlations}
    assert (rows["human_like"].rho, rows["human_like"].word) == (None, "every reward is the same")
    traces[0] = make.trace(0, make.SIM, 0, 0.0, survey=answers[0])
    rows = {row.field: row for row in judgement(Side("sim", tuple(traces)), ["mock/test/0"]).correlations}
    assert (rows["reuse"].rho, rows["reuse"].word) == (None, "every answer has the same level")
    assert rows["human_like"].rho == pytest.approx(0.5)
    assert rows["task_success"].word == "nobody was asked"


def test_both_sides_are_in_the_result(make: Any) -> None:
    result = compare(
        make.drawn(make.SIM, 10, 3, 0.6, 1), make.drawn(make.HUMAN, 10, 2, 0.6, 2), GapSettings(replicates=200)
    )
    assert [side.answered for side in result.judgement] == [30, 20]
    numbers = result.as_dict()["judgement"]["reference"]
    assert sum(map(sum, numbers["table"].values())) == 20
    assert numbers["spearman"]["overall_score"]["rho"] > 0.5
