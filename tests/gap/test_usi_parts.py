"""Similarity, calibration and agreement by hand, and the spread over batches."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from usersim_env.feedback.behaviour import DIMENSIONS, FEATURES
from usersim_env.gap.usi.agreement import batch_agreements, second_rating, session_agreement
from usersim_env.gap.usi.calibration import calibration_error, given_difficulty, pooled_difficulty
from usersim_env.gap.usi.result import HUMAN, Scores, UsiRow, spread
from usersim_env.gap.usi.sessions import Session, Sessions, answers_of, ordered, task_key
from usersim_env.gap.usi.similarity import dimensions, feature_row, mean_row, similarity


def outcomes(rewards: Mapping[str, float | None]) -> dict[str, Session]:
    return {task: Session(task, task, 1, reward=reward) for task, reward in rewards.items()}


def rated(**answers: str) -> Session:
    return Session("airline_0", "airline_0", 1, survey=answers)


@pytest.mark.parametrize(("a", "b", "expected"), [(0, 0, 1), (0, 5, 0), (2, 6, 0.5), (6, 2, 0.5), (3, 3, 1)])
def test_similarity(a: float, b: float, expected: float) -> None:
    assert similarity(a, b) == expected


def test_a_dimension_is_the_mean_over_its_features_times_100() -> None:
    zero = dict.fromkeys(FEATURES, 0.0)
    found = dimensions({**zero, "emotion_rate": 10.0}, {**zero, "emotion_rate": 30.0, "opening_words": 4.0})
    assert found == {"D1_conv": 100, "D2_info": 75, "D3_clarif": 100, "D4_react": pytest.approx(100 * 2.5 / 3)}
    assert list(found) == list(DIMENSIONS)


def test_a_row_is_over_the_tasks_asked_for_and_skips_silence() -> None:
    def session(task: str, value: float | None) -> Session:
        return Session(task, task, 1, None if value is None else dict.fromkeys(FEATURES, value))

    sessions = {task: session(task, x) for task, x in (("a", 0.2), ("b", 0.4), ("c", None), ("d", 9.0))}
    row = feature_row(sessions, {"a", "b", "c"})
    assert row is not None
    assert row["politeness_rate"] == row["repeat_rate"] == row["info_frontload"] == pytest.approx(30)
    assert row["verbosity_cv"] == row["id_density"] == row["opening_words"] == pytest.approx(0.3)
    assert feature_row(sessions, {"c"}) is None
    assert feature_row(sessions, set()) is None
    assert mean_row([None, row, dict.fromkeys(FEATURES, 0.0)]) == {name: x / 2 for name, x in row.items()}
    assert mean_row([None]) is None


def test_calibration_weighs_bins_by_their_tasks() -> None:
    difficulty = {"a": 0.1, "b": 0.1, "c": 0.1, "d": 0.9, "out": 0.5}
    sim = outcomes({"a": 1, "b": 1, "c": 0, "d": 0, "other": 1})
    human = outcomes({"a": 0, "b": 0, "c": 1, "d": 1, "out": 1})
    # The easy bin has 2 of 3 against 1 of 3; the hard one 0 of 1 against 1 of 1.
    assert calibration_error(sim, human, difficulty) == pytest.approx(3 / 4 * 1 / 3 + 1 / 4 * 1)


@pytest.mark.parametrize(("cut", "above"), [(0.2, 0.3), (0.4, 0.5), (0.6, 0.7), (0.8, 1.0)])
def test_a_task_on_a_cut_off_belongs_to_the_bin_above(cut: float, above: float) -> None:
    sim, human = outcomes({"a": 1, "b": 0}), outcomes({"a": 0, "b": 1})
    assert calibration_error(sim, human, {"a": cut, "b": above}) == 0
    assert calibration_error(sim, human, {"a": cut - 1e-9, "b": above}) == 1


def test_success_is_any_reward_above_zero_and_none_is_not_counted() -> None:
    table = {"a": 0.5, "b": 0.5}
    assert calibration_error(outcomes({"a": 0.1}), outcomes({"a": 1}), table) == 0
    assert calibration_error(outcomes({"a": 1, "b": None}), outcomes({"a": 1, "b": 1}), table) == 0
    assert calibration_error(outcomes({"a": 1}), outcomes({"b": 1}), table) is None
    assert calibration_error(outcomes({"a": 1}), outcomes({"a": 1}), {}) is None


def test_difficulty_is_pooled_over_all_runs_of_all_simulators() -> None:
    one = Sessions("one", {1: outcomes({"a": 1, "b": 1}), 2: outcomes({"a": 0, "b": None})})
    two = Sessions("two", {1: outcomes({"a": 1})})
    assert pooled_difficulty([one, two], 3) == {"a": 2 / 3}
    assert pooled_difficulty([one, two], 1) == {"a": 2 / 3, "b": 1}


def test_a_table_may_name_tasks_by_their_ids() -> None:
    assert given_difficulty({"difficulty": {"airline/test/3": 1, "retail_7": 0.5}}) == {"airline_3": 1, "retail_7": 0.5}
    assert given_difficulty({"airline_3": 0.25}) == {"airline_3": 0.25}
    assert task_key("airline/test/3") == "airline_3"
    assert task_key("retail/train/3") == "retail/train/3"


GENERATOR = np.random.default_rng(0)


def test_agreement_is_100_minus_the_mean_distance_of_levels() -> None:
    human = rated(human_like="Yes", reuse="Absolutely yes", efficiency="About right")
    other = rated(human_like="Partially", reuse="Absolutely yes", efficiency="Very inefficient - Too many steps")
    assert session_agreement(human, other, GENERATOR) == pytest.approx(100 * (1 - (0.5 + 0 + 2 / 3) / 3))
    # Too many and Too few are one level.
    few, many = rated(question_amount_preference="Too few"), rated(question_amount_preference="Too many")
    assert session_agreement(few, many, GENERATOR) == 100


def test_only_what_the_person_answered_counts() -> None:
    generator = np.random.default_rng(0)
    assert session_agreement(rated(reuse="Maybe"), rated(reuse="Maybe", human_like="No"), generator) == 100
    assert session_agreement(rated(), rated(reuse="Maybe"), generator) is None
    assert session_agreement(rated(reuse="no answer"), rated(reuse="Maybe"), generator) is None


def test_not_answering_is_a_random_level() -> None:
    human = {1: {f"a_{i}": Session(f"a_{i}", f"a_{i}", 1, survey={"reuse": "Absolutely yes"}) for i in range(400)}}
    nobody: dict[int, dict[str, Session]] = {}
    found = batch_agreements(human, nobody)
    assert set(found[1]) == {0, 25, 50, 75, 100}
    assert np.mean(found[1]) == pytest.approx(50, abs=8)
    assert batch_agreements(human, nobody) == found  # the same on every call


def test_what_a_second_person_left_open_is_a_random_level_in_the_order_of_the_file() -> None:
    """As the authors' scorer has it, which draws for the sessions of the file alone."""
    names = ("a_1", "a_0", "a_2")
    human = {name: Session(name, name, 1, survey={"reuse": "Absolutely yes"}) for name in sorted(names)}
    again = {name: Session(name, name, 1) for name in ("a_1", "elsewhere", "a_0")}
    levels = np.random.default_rng(42)
    expected = [100 * (1 - abs(1 - (levels.choice([1, 2, 3, 4, 5]) - 1) / 4)) for _ in range(2)]
    assert second_rating(human, again) == pytest.approx(expected, abs=1e-9)
    assert second_rating(human, dict(human)) == [100, 100, 100]


def test_spread_is_the_population_deviation() -> None:
    assert spread([1, 3]) == (2, 1)
    assert spread([5]) == (5, None)
    assert spread([]) is None


def test_the_index_needs_all_of_its_parts() -> None:
    alike = dict.fromkeys(DIMENSIONS, 50.0)
    whole = Scores(alike, 80, 0.3, None, None)
    assert whole.usi5 == pytest.approx((200 + 70) / 5)
    assert whole.usi6 == pytest.approx((200 + 70 + 80) / 6)
    assert Scores(alike, 80, None, None, None).usi6 is None
    assert Scores({**alike, "D1_conv": None}, 80, 0.3, None, None).usi5 is None
    unscored = UsiRow(HUMAN, (whole, Scores(alike, 80, None, None, None)), (80, 0)).as_dict()
    assert unscored["ece"] == [0.3, None]
    assert unscored["D1_conv"] == [50, 0]


def test_sessions_without_a_number_take_the_first_free_one() -> None:
    found = ordered([Session("x", "a", None), Session("y", "a", 1), Session("z", "a", None)], "here")
    assert {n: batch["a"].id for n, batch in found.items()} == {1: "y", 2: "x", 3: "z"}


def test_answers_with_and_without_their_question() -> None:
    given = {"reuse": {"question": "…", "answer": "No"}, "human_like": "Yes", "efficiency": None}
    assert answers_of(given, "here") == {"reuse": "No", "human_like": "Yes"}
    assert answers_of(None, "here") == {}
