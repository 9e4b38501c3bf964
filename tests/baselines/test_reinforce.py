"""The learner: its gradient, what it learns where the best is known, and what it leaves out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from usersim_env import ScriptedUser
from usersim_env.baselines import reinforce
from usersim_env.baselines.dialogue_moves import FEATURES, MOVES, Array, Desk, Learner, Step, probabilities
from usersim_env.baselines.reinforce import HARD, Episode, Training, gradient, play, run, score, strangers, told, train
from usersim_env.errors import UnknownName, UsageError
from usersim_env.rollouts import RolloutSettings, rollout
from usersim_env.traces.trace import Trace
from usersim_env.users.agenda import AgendaUser
from usersim_env.wrappers import SwapUser

Play = Callable[..., Trace]
ALL = np.ones(3, dtype=bool)
SMALL = Training(domain="mock", episodes=8, batch=4, looks=1)


# The gradient


@pytest.mark.parametrize("possible", [ALL, np.array([True, False, True])])
def test_the_score_is_the_derivative_of_the_log_probability(possible: Any) -> None:
    rng = np.random.default_rng(1)
    weights, features = rng.normal(size=(3, 2)), rng.normal(size=2)
    step = Step(features, possible, 2)
    numeric = np.zeros_like(weights)
    for at in np.ndindex(weights.shape):
        ends = []
        for sign in (1, -1):
            moved = weights.copy()
            moved[at] += sign * 1e-6
            ends.append(np.log(probabilities(moved, features, possible)[2]))
        numeric[at] = (ends[0] - ends[1]) / 2e-6
    assert np.allclose(score(weights, step), numeric, atol=1e-8)
    assert np.abs(numeric).max() > 0.1


def test_the_gradient_is_that_of_the_expected_return() -> None:
    """Its mean over many batches against the exact derivative, in a bandit with three arms."""
    weights, pays = np.array([[0.2], [-0.3], [0.1]]), np.array([1.0, 0.5, 0.0])
    chances = probabilities(weights, np.ones(1), ALL)
    exact = chances * (pays - chances @ pays)
    rng = np.random.default_rng(0)
    batches = [bandit_batch(weights, pays, rng, 4) for _ in range(4000)]
    mean = np.mean([gradient(weights, batch)[:, 0] for batch in batches], axis=0)
    assert np.allclose(mean, exact, atol=0.006)
    assert np.abs(exact).max() > 0.1


def bandit_batch(weights: Array, pays: Array, rng: np.random.Generator, size: int) -> list[Episode]:
    moves = rng.choice(3, size=size, p=probabilities(weights, np.ones(1), ALL))
    return [Episode(float(pays[m]), (Step(np.ones(1), ALL, int(m)),)) for m in moves]


def test_it_learns_where_the_best_is_known() -> None:
    weights: Array = np.zeros((3, 1))
    pays, rng = np.array([0.2, 0.9, 0.4]), np.random.default_rng(0)
    for _ in range(300):
        weights = weights + 0.5 * gradient(weights, bandit_batch(weights, pays, rng, 8))
    assert probabilities(weights, np.ones(1), ALL)[1] > 0.95


def test_what_is_not_scored_is_in_neither_update_nor_baseline() -> None:
    weights = np.zeros((3, 1))
    batch = bandit_batch(weights, np.array([1.0, 0.5, 0.0]), np.random.default_rng(3), 6)
    failed = Episode(None, (Step(np.ones(1), ALL, 0),) * 5)
    as_zero = Episode(0.0, failed.steps)
    expected = gradient(weights, batch)
    assert np.array_equal(gradient(weights, [batch[0], failed, *batch[1:], failed]), expected)
    assert not np.allclose(gradient(weights, [*batch, as_zero]), expected)
    assert not gradient(weights, [batch[0], failed]).any() and np.abs(expected).max() > 0


# The moves


def test_impossible_moves_are_never_made() -> None:
    chances = probabilities(np.full((3, 1), 9.0), np.ones(1), np.array([False, True, False]))
    assert chances.tolist() == [0.0, 1.0, 0.0]


def preferring(*moves: str) -> Learner:
    """A policy that makes the first possible of some moves, practically always."""
    weights = np.full((len(MOVES), len(FEATURES)), 0.0)
    for at, move in enumerate(moves):
        weights[MOVES.index(move), 0] = 100.0 * (len(moves) - at)
    return Learner(weights)


ADA = "Hello, my email is ada@mock.example and I want to move my repair to wednesday, with a note."


def test_acting_unasked_and_proposing_first(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usersim_env.baselines.dialogue_moves.MISREAD", 0.0)
    rash = play(preferring("identify", "perform", "ask"), "mock/test/0", ScriptedUser((ADA,)))
    assert rash.reward == 1.0 and "I have gone ahead" in rash.messages[1].content
    asking = preferring("identify", "propose", "perform")
    trace = play(asking, "mock/test/0", ScriptedUser((ADA, *["No."] * 40)))
    assert "I would move the repair" in trace.messages[1].content and trace.reward == 0.0


@pytest.mark.parametrize(("answers", "right"), [(("No, not tuesday.", "No."), True), (("Yes.", "Yes."), False)])
def test_what_was_misread_is_put_right_by_a_customer_who_notices(
    play: Play, monkeypatch: pytest.MonkeyPatch, answers: tuple[str, ...], right: bool
) -> None:
    monkeypatch.setattr("usersim_env.baselines.dialogue_moves.MISREAD", 1.0)
    weights = preferring("identify", "propose", "ask").weights
    weights[MOVES.index("perform"), FEATURES.index("proposed")] = 900.0  # once proposed, perform
    trace = play(Learner(weights), "mock/test/0", ScriptedUser((ADA, *answers)))
    proposed = trace.messages[1].content
    assert "I would move" in proposed and "to wednesday" not in proposed
    assert trace.reward == float(right)


def test_asking_puts_right_what_was_misread(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usersim_env.baselines.dialogue_moves.MISREAD", 1.0)
    weights = preferring("identify", "ask").weights
    weights[MOVES.index("perform"), FEATURES.index("asked")] = 900.0
    user = ScriptedUser((ADA, "It is wednesday.", "Thanks."))
    assert play(Learner(weights), "mock/test/0", user).reward == 1.0


def test_handing_over_ends_the_episode(play: Play) -> None:
    assert play(preferring("hand_over"), "mock/test/0", ScriptedUser((ADA,))).ended_by == "transfer"


def test_it_tells_outputs_and_is_refused_other_peoples_tickets(play: Play) -> None:
    told_first = preferring("identify", "explain")
    trace = play(told_first, "mock/test/1", ScriptedUser(("bo@mock.example: move the bike", "ok")))
    assert "108.25" in trace.messages[1].content
    thief = play(preferring("identify", "perform", "ask"), "mock/test/0", ScriptedUser(("bo@mock.example", "Fine.")))
    assert "does not belong to your account" in thief.messages[1].content and thief.reward == 0.0


def test_it_is_privileged_described_by_its_weights_and_says_what_it_cannot_serve() -> None:
    a, b = preferring("ask"), preferring("greet")
    assert a.privileged and a.describe() == preferring("ask").describe() != b.describe()
    assert isinstance(a.begin({"task_id": "mock/test/0"}, 0), Desk)
    with pytest.raises(UnknownName):
        a.begin({"task_id": "mock/test/99"}, 0)


# Training


def weights_of(training: Training) -> list[Array]:
    return [learner.weights for _, learner, _ in train(training)]


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    first, again, other = (weights_of(Training(seed=s, domain="mock", episodes=16, batch=8)) for s in (0, 0, 1))
    assert len(first) == 3 and all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[-1], other[-1])


def test_it_learns_on_the_mock_domain() -> None:
    returns = [r for _, _, r in train(Training(domain="mock", episodes=480)) if r is not None]
    assert np.mean(returns[:3]) < 0.5 and np.mean(returns[-5:]) > 0.8


def test_the_remedies_change_what_is_trained_on() -> None:
    env = Training(domain="mock", survey=True, mixture=True).make_training()
    kinds = {env.reset(seed=seed)[1]["objective"] for seed in range(3)}
    assert kinds == {"(1*rule + 1*survey.mean)"}
    drawn = [env.reset(seed=seed) and user_of(env) for seed in range(60)]
    assert 20 <= drawn.count("cooperative") <= 40 and "humanlike" not in drawn
    plain = Training(domain="mock").make_training()
    assert plain.reset(seed=0)[1]["objective"] == "(1*rule)"
    assert {plain.reset(seed=seed) and user_of(plain) for seed in range(20)} == {"cooperative"}


def user_of(env: Any) -> str:
    persona = env.unwrapped.trace().user.settings["persona"]
    return persona if isinstance(persona, str) else "stranger"


def test_strangers_lie_between_the_persona_and_the_hard_one() -> None:
    people = strangers("cooperative", 0)
    assert people == strangers("cooperative", 0) != strangers("cooperative", 1)
    for user in people:
        assert not isinstance(user.persona, str)
        assert HARD.patience <= user.persona.patience <= 12 and 0 <= user.persona.attention <= 1


@pytest.mark.parametrize("lines", [(RuntimeError("line lost"),), (ADA, RuntimeError("line lost"))])
def test_a_failed_episode_has_no_return(lines: tuple[Any, ...]) -> None:
    env = SwapUser(Training(domain="mock").make("cooperative"), [ScriptedUser(lines)])
    assert play(env, preferring("greet", "ask"), 0).reward is None
    whole = SwapUser(Training(domain="mock").make("cooperative"), [ScriptedUser((ADA, "Bye."))])
    assert play(whole, preferring("greet", "ask"), 0).reward is not None


@pytest.mark.parametrize("settings", [{"seed": -1}, {"episodes": 0}, {"batch": 1}, {"looks": 0}])
def test_settings_are_checked(settings: dict[str, int]) -> None:
    ((name, value),) = settings.items()
    with pytest.raises(UsageError, match=rf"{name} is at least \d, got {value}"):
        Training(**settings)  # type: ignore[arg-type]


# The gap while it learns


@pytest.mark.filterwarnings("ignore::usersim_env.gap.MonitorWarning")
def test_a_run_looks_at_the_start_and_the_end_and_compares_all_signals(tmp_path: Path) -> None:
    seen: list[str] = []
    found = run(SMALL, watcher=lambda look: seen.append(told(look)))
    assert [look.step for look in found.looks] == [0, 8] and found.replay == ()
    assert {"rule", "survey.mean"} <= {gap.signal for gap in found.final.gaps}
    assert found.final.pairing.sim.privileged_agents
    assert len(seen) == 2 and "reference, gap" in seen[0] and "human" not in seen[0]
    assert run(SMALL).looks == found.looks


@pytest.mark.filterwarnings("ignore::usersim_env.gap.MonitorWarning")
def test_recordings_are_a_further_reference(tmp_path: Path) -> None:
    path = tmp_path / "recorded.jsonl"
    recorded = RolloutSettings(out=path, keywords={"user": AgendaUser()}, progress=False)
    rollout(preferring("identify", "ask", "perform"), "TauMock-v0", recorded)
    found = run(SMALL, [str(path)])
    assert [look.step for look in found.replay] == [0, 8]
    assert all(look.reference.label != "human" for look in found.replay)


@pytest.mark.filterwarnings("ignore::usersim_env.gap.MonitorWarning")
def test_the_command_says_what_it_is_and_what_survived(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small, given = run(SMALL), []

    def running(training: Training, traces: tuple[str, ...], watcher: object) -> reinforce.Run:
        given.append((training, traces))
        return small

    monkeypatch.setattr(reinforce, "run", running)
    reinforce.main(["--survey", "--mixture", "--seed", "3", "--episodes", "64"])
    assert given == [(Training(3, True, True, 64), ())]
    told = capsys.readouterr().out
    assert "synthetic: an illustration with a planted mechanism. The agent is privileged." in told
    assert "learned: " in told and "of it with the reference: " in told and "survey.mean" in told
