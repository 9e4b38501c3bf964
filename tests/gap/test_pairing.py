from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import pytest

from usersim_env.errors import UsageError
from usersim_env.gap.pairing import ComparisonWarning, natural, pair
from usersim_env.traces.trace import Seat


@pytest.mark.filterwarnings("ignore:.*have failed and are not scored")
def test_tasks_are_paired_and_the_others_listed(make: Any) -> None:
    sim = make.side(make.SIM, [[1.0], [1.0, 0.0, 1.0], [None], [1.0]])
    reference = [*make.side(make.REFERENCE, [[1.0, 1.0], [0.0], [1.0]]), make.trace(10, make.REFERENCE)]
    pairing = pair(sim, reference)
    assert pairing.tasks == ("mock/test/0", "mock/test/1")
    assert pairing.only_sim == ("mock/test/3",)
    assert pairing.only_reference == ("mock/test/10",)
    assert pairing.unscored == ("mock/test/2",)
    assert all("have failed" in text for text in pairing.warnings)
    assert all(check.same for check in pairing.checks)


def test_names_are_ordered_as_people_count() -> None:
    names = ["retail/test/10", "airline/test/3", "retail/test/9"]
    assert natural(names) == ("airline/test/3", "retail/test/9", "retail/test/10")


@pytest.mark.parametrize(
    ("users", "role", "words"),
    [
        (("HUMAN", "HUMAN"), "real", "real − simulated"),
        (("HUMAN", "LLM"), "reference", "reference − simulated"),
        (("LLM", "LLM"), "reference", "reference − simulated"),
    ],
)
def test_only_people_alone_make_a_side_real(make: Any, users: tuple[str, str], role: str, words: str) -> None:
    others = [make.trace(task, getattr(make, user)) for task, user in enumerate(users)]
    pairing = pair(make.side(make.SIM, [[1.0], [1.0]]), others)
    assert pairing.reference.role == role
    assert pairing.gap_words == words


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"agent": Seat("agent", "clerk", {"skip_confirmation": 0.5})},
            r"Not the same agent: sim has clerk .*0\.1.*0\.5",
        ),
        ({"agent": Seat("agent", "other")}, "Not the same agent: .* reference has other"),
        ({"scoring": "2"}, "Not the same scoring version: sim has 1; reference has 2"),
        ({"max_steps": 30}, "Not the same max_steps: sim has 200; reference has 30"),
        ({"lazy_open": True}, "Not the same who opens: sim has the user side; reference has the agent"),
        ({"task_hash": "new"}, r"Not the same task content: 2 of 2 tasks .*\(mock/test/0, mock/test/1\)"),
    ],
)
def test_what_differs_is_warned_of_and_kept(make: Any, change: dict[str, Any], message: str) -> None:
    rewards = [[1.0], [0.0]]
    with pytest.warns(ComparisonWarning, match=message):
        pairing = pair(make.side(make.SIM, rewards), make.side(make.REFERENCE, rewards, **change))
    assert len(pairing.warnings) == 1
    assert [check.warning for check in pairing.checks if not check.same] == list(pairing.warnings)


def test_what_differs_on_tasks_of_one_side_only_does_not_matter(make: Any) -> None:
    rewards = [[1.0], [0.0]]
    other = make.trace(7, make.REFERENCE, max_steps=30)
    assert pair(make.side(make.SIM, rewards), [*make.side(make.REFERENCE, rewards), other]).warnings == ()


def test_several_agents_on_both_sides_are_warned_of(make: Any) -> None:
    sides = [
        [*make.side(user, [[1.0], [0.0]]), make.trace(0, user, 9, agent=Seat("agent", "silent"))]
        for user in (make.SIM, make.REFERENCE)
    ]
    with pytest.warns(ComparisonWarning, match="pool several values of agent"):
        pair(*sides)


def test_people_on_the_simulated_side_are_warned_of(make: Any) -> None:
    rewards = [[1.0], [0.0]]
    with pytest.warns(ComparisonWarning, match="2 of 2 episodes of the sim side have a person .* swapped"):
        pair(make.side(make.HUMAN, rewards), make.side(make.SIM, rewards))


def test_mixed_domains_are_paired(make: Any) -> None:
    def both(user: Seat) -> list[Any]:
        traces = make.side(user, [[1.0], [0.0]])
        return [*traces, replace(traces[0], id=f"{user.name}-x", task_id="other/test/0", domain="other")]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pair(both(make.SIM), both(make.REFERENCE)).tasks[-1] == "other/test/0"


def test_bad_input_is_told_what_to_do(make: Any) -> None:
    good = make.side(make.SIM, [[1.0], [0.0]])
    other = make.side(make.REFERENCE, [[1.0], [0.0]])
    far = [make.trace(task, make.REFERENCE) for task in (7, 8)]
    failed = make.side(make.REFERENCE, [[None, None], [None]])
    apart = [[1.0], [None]], [[None], [1.0]]
    cases = [
        ([], other, "The sim side has no episodes. Record some with: usersim-env rollout"),
        (good, [], "The reference side has no episodes"),
        ([*good, good[0]], other, r"1 episode id\(s\) occur more than once on the sim side \(agenda-cooperative-0-0\)"),
        (good, failed, r"None of the 3 episodes of the reference side is scored \(user/outage 3\)"),
        (good, far, "No task is on both sides: sim has mock/test/0, mock/test/1; reference has mock/test/7"),
        (good[:1], other, r"Only one task is scored on both sides \(mock/test/0\).*--tasks 0-19"),
        (make.side(make.SIM, apart[0]), make.side(make.REFERENCE, apart[1]), "none has a scored episode on both"),
    ]
    for sim, reference, message in cases:
        with pytest.raises(UsageError, match=message):
            pair(sim, reference)
