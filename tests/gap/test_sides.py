from __future__ import annotations

from typing import Any

import pytest

from usersim_env.feedback.values import Failure
from usersim_env.gap.sides import FailureCount, Side, describe_user, nature
from usersim_env.traces.trace import Seat, Terms


@pytest.mark.parametrize(
    ("seat", "expected", "words"),
    [
        (Seat("human", "Ada Lovelace"), "human", "human"),
        (Seat("agenda", "agenda", {"persona": "humanlike"}), "synthetic", 'agenda persona="humanlike" (synthetic)'),
        (Seat("llm", "m", {"prompt": "x" * 500}), "synthetic", f'llm “m” prompt="{"x" * 191}… (synthetic)'),
        (Seat("agenda", "cooperative"), "synthetic", "agenda “cooperative” (synthetic)"),
        (Seat("llm", "some-model"), "synthetic", "llm “some-model” (synthetic)"),
        (Seat("scripted", "scripted"), "synthetic", "scripted (synthetic)"),
        (Seat("replay", "file", {"source_kind": "human"}), "replay", "replay of human “file”"),
        (Seat("replay", "file", {}, False, {"source_kind": "llm"}), "synthetic", "replay of llm “file” (synthetic)"),
        (Seat("replay", "file"), "replay", "replay “file”"),
        (Seat("mixed", "human then llm"), "mixed", "mixed “human then llm”"),
    ],
)
def test_user_sides_are_called_what_they_are_and_people_are_not_named(seat: Seat, expected: str, words: str) -> None:
    assert nature(seat) == expected
    assert describe_user(seat) == words


@pytest.mark.parametrize(("role", "label", "word"), [
    ("sim", "simulated", "simulated"),
    ("reference", "reference", "reference"),
    ("real", "human", "real"),
])  # fmt: skip
def test_roles_have_their_words(make: Any, role: Any, label: str, word: str) -> None:
    side = Side(role, (make.trace(),))
    assert (side.label, side.gap_word) == (label, word)


def test_failures_are_counted_by_fault_and_kind_apart_from_scored_episodes(make: Any) -> None:
    abandoned = Failure("user", "abandoned", "left")
    traces = [
        *make.side(make.HUMAN, [[1.0, 0.0]]),
        make.trace(1, make.HUMAN, 2, None, failure=abandoned),
        make.trace(1, make.HUMAN, 3, None, failure=abandoned),
        make.trace(1, make.HUMAN, 4, None, failure=Failure("agent", "outage", "gone")),
        make.trace(1, make.HUMAN, 5, None, failure=None, ended_by="cut"),
    ]
    side = Side("real", tuple(traces))
    assert side.n_scored == 2
    assert side.failures == (
        FailureCount("user", "abandoned", 2),
        FailureCount("agent", "outage", 1),
        FailureCount("none", "cut", 1),
    )
    assert (side.n_abandoned, side.abandonment_rate) == (2, 0.5)


def test_terms_and_privileged_agents_are_said(make: Any) -> None:
    side = Side("sim", (make.trace(), make.trace(1, terms=Terms("research only", training=False))))
    assert side.terms == ("MIT (tasks: tau-bench, MIT); training allowed", "research only; not for training")
    assert side.privileged_agents == ("clerk",)
    assert side.agents == ("clerk skip_confirmation=0.1 (privileged)",)
