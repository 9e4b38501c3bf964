from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from usersim_env.baselines.clerk import Clerk
from usersim_env.domains import get_domain
from usersim_env.feedback.behaviour import features_of_turns
from usersim_env.feedback.survey import FIELDS
from usersim_env.users.agenda import AgendaUser

Play = Callable[..., Any]
Episodes = dict[str, list[Any]]
SEEDS = (0, 1)


@pytest.fixture(scope="module")
def episodes(play: Play) -> Episodes:
    """Clerk and persona on all 165 test tasks, two seeds each."""
    tasks = [*get_domain("retail").tasks("test"), *get_domain("airline").tasks("test")]
    return {
        persona: [
            play(task.id, AgendaUser(persona), Clerk(), seed).outcome.feedback for seed in SEEDS for task in tasks
        ]
        for persona in ("cooperative", "humanlike")
    }


def level(feedback: list[Any], feature: str) -> float:
    rows = [features_of_turns(f.user_texts, f.n_messages) for f in feedback]
    values = [row[feature] for row in rows if row is not None]
    return sum(values) / len(values)


@pytest.mark.parametrize(
    ("feature", "known", "tolerance"),
    [
        ("politeness_rate", 0.153, 0.03),
        ("short_msg_rate", 0.290, 0.04),
        ("uncertainty_rate", 0.073, 0.03),
        ("pivot_rate", 0.084, 0.03),
        ("id_density", 2.6, 0.5),
    ],
)
def test_humanlike_keeps_the_known_levels(episodes: Episodes, feature: str, known: float, tolerance: float) -> None:
    assert level(episodes["humanlike"], feature) == pytest.approx(known, abs=tolerance)


@pytest.mark.parametrize(
    ("feature", "known", "tolerance"), [("politeness_rate", 0.49, 0.05), ("short_msg_rate", 0.01, 0.03)]
)
def test_cooperative_keeps_the_levels_of_a_model(
    episodes: Episodes, feature: str, known: float, tolerance: float
) -> None:
    assert level(episodes["cooperative"], feature) == pytest.approx(known, abs=tolerance)


def test_neither_is_taken_for_an_agent(episodes: Episodes) -> None:
    for feedback in episodes.values():
        assert level(feedback, "id_confuse_rate") == 0.0
        assert level(feedback, "formality_rate") == 0.0


def test_the_clerk_succeeds_less_often_with_humanlike(episodes: Episodes) -> None:
    success = {persona: sum(f.reward for f in rows) / len(rows) for persona, rows in episodes.items()}
    assert success["cooperative"] > 0.85
    assert 0.5 < success["humanlike"] < success["cooperative"] - 0.08


def test_surveys_are_complete_and_harsher_from_humanlike(episodes: Episodes) -> None:
    means = {}
    for persona, rows in episodes.items():
        surveys = [f.survey.normalised() for f in rows]
        assert all(set(survey) == set(FIELDS) for survey in surveys)
        means[persona] = {field: sum(s[field] for s in surveys) / len(surveys) for field in FIELDS}
    assert means["humanlike"]["human_like"] < means["cooperative"]["human_like"] - 0.3
    assert means["humanlike"]["overall_score"] < means["cooperative"]["overall_score"] - 0.1


def test_surveys_are_seeded_and_follow_what_was_seen(play: Play) -> None:
    tasks = [task.id for task in get_domain("retail").tasks("test")[:20]]
    user = AgendaUser()

    def overall(clerk: Clerk) -> float:
        surveys = [play(task, user, clerk, 1).outcome.feedback.survey.normalised() for task in tasks]
        return float(sum(survey["question_amount_preference"] for survey in surveys))

    assert overall(Clerk()) == overall(Clerk())
    assert overall(Clerk(ask_again=1.0)) < overall(Clerk(ask_again=0.0))
