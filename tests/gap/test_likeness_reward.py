"""Moment matching by hand, what is missing, and the reward of the user's seat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from usersim_env.errors import TermsError, UsageError
from usersim_env.feedback.behaviour import DIMENSIONS, FEATURES
from usersim_env.gap.bootstrap import DEGENERATE, BootstrapSettings
from usersim_env.gap.usi import user_sim_index
from usersim_env.gap.usi.likeness_gain import likeness_gain
from usersim_env.gap.usi.likeness_reward import (
    CALIBRATION,
    SeatRewards,
    TaskMoments,
    likeness_reward,
    moments_by_task,
    score,
)
from usersim_env.gap.usi.target import BINS, OVERALL, Target, TargetRow
from usersim_env.multi_agent import AGENT, USER, tau_v0
from usersim_env.traces.trace import Seat, Terms

FULL = {name: 10.0 + i for i, name in enumerate(FEATURES)}
TASK = {"task_id": "mock/train/0"}


def row(features: Mapping[str, float], success: Mapping[str, float] | None = None, **fields: Any) -> TargetRow:
    return TargetRow(("mock/test/0",), features, success or {}, **fields)


def moments(
    features: Mapping[str, float] | None = None, success: float = 1.0, where: str | None = OVERALL
) -> TaskMoments:
    return TaskMoments(None if features is None else {**dict.fromkeys(FEATURES, 0.0), **features}, success, where)


def target(tuning: TargetRow, training: bool = True) -> Target:
    terms = Terms("study data: research only, no training", training)
    return Target(Seat("human", "12 people"), Seat("agent", "clerk"), terms, {"tuning": tuning}, "people.json")


def test_means_are_matched_not_conversations() -> None:
    wanted = row({"politeness_rate": 30.0, "opening_words": 8.0}, {OVERALL: 0.5})
    tasks = [moments({"politeness_rate": x, "opening_words": 4.0}, won) for x, won in ((0.0, 1.0), (60.0, 0.0))]
    found = score(tasks, wanted)
    assert found.parts == {"D1_conv": 1.0, "D2_info": pytest.approx(2 * 4 / 12), CALIBRATION: 1.0}
    assert found.total == pytest.approx((2 + 2 / 3) / 3) and found.tasks == 2


def test_a_dimension_is_the_mean_over_the_features_that_the_target_has() -> None:
    wanted = row({"emotion_rate": 30.0, "pivot_rate": 0.0, "accusation_rate": 0.0})
    found = score([moments({"emotion_rate": 10.0, "accusation_rate": 5.0})], wanted)
    assert found.parts == {"D4_react": pytest.approx((0.5 + 1 + 0) / 3)}


def test_success_is_compared_bin_by_bin() -> None:
    table = {"mock_0": 0.1, "mock_1": 0.1, "mock_2": 0.1, "mock_3": 0.9}
    wanted = row({}, {BINS[0]: 1 / 3, BINS[4]: 1.0, OVERALL: 0.5}, difficulty=table)
    assert [wanted.bin_of(f"mock/test/{i}") for i in (0, 3, 4)] == ["0.0-0.2", "0.8-1.0", None]
    tasks = [moments(None, won, wanted.bin_of(f"mock/test/{i}")) for i, won in enumerate((1.0, 1.0, 0.0, 0.0, 1.0))]
    assert score(tasks, wanted).parts == {CALIBRATION: pytest.approx(1 - (3 / 4 * 1 / 3 + 1 / 4 * 1))}


def test_the_reward_is_highest_at_the_target_itself() -> None:
    wanted = row(FULL, {OVERALL: 0.5})
    best = score([moments(FULL, 0.5)], wanted).total
    assert best == 1.0
    for name in FEATURES:
        for factor in (0.0, 0.7, 0.99, 1.01, 1.5):
            worse = score([moments({**FULL, name: FULL[name] * factor}, 0.5)], wanted).total
            assert worse is not None and worse < best, (name, factor)
    for success in (0.0, 0.49, 0.51, 1.0):
        worse = score([moments(FULL, success)], wanted).total
        assert worse is not None and worse < best


def test_what_is_missing_is_missing_and_not_0() -> None:
    without_d3 = {name: x for name, x in FULL.items() if name not in DIMENSIONS["D3_clarif"]}
    found = score([moments(FULL)], row(without_d3))
    assert found.parts.keys() == DIMENSIONS.keys() - {"D3_clarif"}
    assert found.total == 1.0
    silent = score([moments(None, 1.0)], row(FULL, {OVERALL: 1.0}))
    assert silent.parts == {CALIBRATION: 1.0}
    assert score([moments(None)], row(FULL)).total is None
    assert score([], row(FULL, {OVERALL: 1.0})).total is None
    assert CALIBRATION not in score([moments(FULL, where=None)], row(FULL, {OVERALL: 1.0})).parts


def test_episodes_that_are_not_scored_are_left_out(make: Any) -> None:
    traces = [make.trace(0), make.trace(1)]
    failed = [make.trace(0, seed=1, reward=None), make.trace(2, reward=None, texts=("UGH!",))]
    wanted = row(FULL, {OVERALL: 1.0})
    assert likeness_reward([*traces, *failed], wanted) == likeness_reward(traces, wanted)
    assert likeness_reward(failed, wanted).total is None
    zero = likeness_reward([*traces, make.trace(2, reward=0.0)], wanted)
    assert zero.parts[CALIBRATION] == pytest.approx(2 / 3)


def test_with_a_whole_row_it_is_the_five_part_index(make: Any) -> None:
    sim = make.drawn(make.SIM, 8, 1, 0.8, 1)
    people = make.drawn(make.HUMAN, 8, 1, 0.5, 2)
    table = {f"mock_{i}": (i % 5) / 5 + 0.1 for i in range(8)}
    row_ = TargetRow(tuple(t.task_id for t in people), {}, difficulty=table)
    theirs = moments_by_task(people, row_)
    features = [m.features for m in theirs.values() if m.features is not None]
    bins: dict[str, list[float]] = {}
    for m in theirs.values():
        bins.setdefault(str(m.bin), []).append(m.success)
    wanted = replace(
        row_,
        features={name: sum(f[name] for f in features) / len(features) for name in FEATURES},
        success={name: sum(won) / len(won) for name, won in bins.items()},
    )
    index = user_sim_index(people, {"sim": sim}, difficulty=table).rows[1].usi5
    total = likeness_reward(sim, wanted).total
    assert index is not None and total is not None
    assert 100 * total == pytest.approx(index[0], abs=1e-9)


def test_the_user_seat_is_paid_for_likeness_of_its_last_episodes() -> None:
    rewards = SeatRewards(target(row({"politeness_rate": 50.0})), window=2)
    env = tau_v0.env(domain="mock", split="train", rewards=rewards, survey=False)
    paid = []
    for line in ("Tuesday, please.", "Tuesday it is.", "Tuesday it is."):
        env.reset(seed=0, options=TASK)
        env.step({"name": "say", "arguments": {"content": line}})
        env.step({"name": "respond", "arguments": {"content": "Good bye."}})
        env.step({"name": "stop", "arguments": {}})
        assert env.rewards[AGENT] == 0.0 and env.infos[AGENT]["valid"]
        paid.append(env.rewards[USER])
    assert paid == [pytest.approx(2 * 50 / 150), 1.0, 0.0]  # 100 % polite, then 50 %, then none


def test_an_episode_that_is_not_scored_leaves_the_window_alone() -> None:
    rewards = SeatRewards(target(row({"politeness_rate": 50.0})))
    env = tau_v0.env(domain="mock", split="train", rewards=rewards)
    env.reset(seed=0, options=TASK)
    env.step({"name": "stop", "arguments": {}})  # a stop at the opening is a failure
    assert not env.infos[AGENT]["valid"]
    assert env.rewards == {AGENT: 0.0, USER: 0.0}
    assert not rewards._recent


def test_terms_are_refused_before_anything_runs() -> None:
    with pytest.raises(TermsError, match=r"people\.json may not be trained on\. Its terms: 'study data: research only"):
        SeatRewards(target(row(FULL), training=False))
    with pytest.raises(UsageError, match="window is a number of episodes, at least 1, got 0"):
        SeatRewards(target(row(FULL)), window=0)


def drawn(mean: float, n: int, seed: int) -> dict[str, TaskMoments]:
    values = np.random.default_rng(seed).normal(mean, 5.0, n)
    return {f"t{i}": moments({"politeness_rate": abs(x), "opening_words": 9.0}) for i, x in enumerate(values)}


def test_a_gain_is_the_difference_of_the_figures_and_excludes_0_where_there_is_one() -> None:
    wanted = row({"politeness_rate": 20.0, "opening_words": 9.0})
    far, near = drawn(60.0, 40, 1), drawn(22.0, 40, 2)
    gain = likeness_gain(far, [near], wanted)
    totals = [score(side.values(), wanted).total for side in (near, far)]
    assert gain.estimate == pytest.approx((totals[0] or 0) - (totals[1] or 0))
    assert gain.low is not None and gain.high is not None and 0 < gain.low < gain.estimate < gain.high
    assert not gain.covers_zero and gain.n_tasks == 40
    assert likeness_gain(near, [far], wanted).high == pytest.approx(-gain.low)
    assert likeness_gain(far, [near], wanted) == gain, "same seed, same interval"
    assert likeness_gain(far, [near, far], wanted).estimate == pytest.approx(gain.estimate / 2)
    assert likeness_gain(near, [drawn(22.0, 40, 3)], wanted).covers_zero
    assert likeness_gain(near, [near], wanted).word == DEGENERATE


def test_a_gain_needs_tasks_and_something_to_compare() -> None:
    wanted = row({"politeness_rate": 20.0})
    with pytest.raises(UsageError, match="2 tasks are scored on all sides; a gain takes at least 3"):
        likeness_gain(drawn(1.0, 2, 0), [drawn(1.0, 9, 0)], wanted)
    silent = {f"t{i}": moments(None) for i in range(5)}
    with pytest.raises(UsageError, match="there is nothing to compare"):
        likeness_gain(silent, [silent], wanted)


@pytest.mark.slow
def test_how_often_the_interval_of_a_gain_holds_the_true_one() -> None:
    """200 made-up studies of 100 tasks each; the truth is the gain on all 20,000 tasks that they are drawn from."""
    wanted = row({"politeness_rate": 20.0, "emotion_rate": 1.0, "opening_words": 9.0}, {OVERALL: 0.7})
    generator = np.random.default_rng(0)

    def side(polite: float, emotion: float, success: float, n: int) -> dict[str, TaskMoments]:
        rates = generator.gamma(2.0, polite / 2, n)
        rare = 20.0 * (generator.random(n) < emotion / 20)
        won = generator.binomial(4, success, n) / 4
        return {
            f"t{i}": moments({"politeness_rate": rates[i], "emotion_rate": rare[i], "opening_words": 9.0}, won[i])
            for i in range(n)
        }

    truth = likeness_gain(
        side(50, 0.2, 0.95, 20_000), [side(22, 1.1, 0.72, 20_000)], wanted, BootstrapSettings(100)
    ).estimate
    settings = BootstrapSettings(1_000)
    found = [likeness_gain(side(50, 0.2, 0.95, 100), [side(22, 1.1, 0.72, 100)], wanted, settings) for _ in range(200)]
    inside = sum(g.low is not None and g.high is not None and g.low <= truth <= g.high for g in found)
    above = sum(g.low is not None and g.low > truth for g in found)
    bias = sum(g.estimate for g in found) / len(found) - truth
    print(f"true gain {truth:.3f}: inside {inside} of 200, claimed too large {above} of 200, mean error {bias:+.3f}")
    assert above <= 15
