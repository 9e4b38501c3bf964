"""What every wrapper keeps to: the contracts of `usersim_env.checking`, the spec's arguments, vector envs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import RecordEpisodeStatistics, TimeLimit, TransformReward

import usersim_env.wrappers as wrappers
from usersim_env import ScriptedUser
from usersim_env.checking import check_env
from usersim_env.wrappers import (
    AllowTools,
    ChatAction,
    ChatHistory,
    CostBudget,
    FeedbackReward,
    HideTools,
    ParseToolCalls,
    PotentialShaping,
    RecordTrace,
    StepPenalty,
    SwapUser,
    TextObservation,
    TurnBudget,
    make_vec,
)

Env = gym.Env[Any, Any]
Wrap = Callable[[Env], Env]
ANSWERS = {"overall_score": "4 (Good)"}
USER = ScriptedUser(("Grüße 🙂", "ja", "nein", "doch"), answers=ANSWERS)
HELLO = {"name": "respond", "arguments": {"content": "Hello!"}}


def length(observation: Any) -> float:
    return len(observation) / 10


@pytest.fixture
def wraps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Wrap]:
    path = tmp_path_factory.mktemp("traces") / "traces.jsonl"
    single: dict[str, Wrap] = {
        "AllowTools": lambda env: AllowTools(env, ["find_ticket"]),
        "ChatAction": ChatAction,
        "ChatHistory": ChatHistory,
        "CostBudget": lambda env: CostBudget(env, per_episode=1.0),
        "FeedbackReward": lambda env: FeedbackReward(env, {"rule": 1.0, "survey.overall_score": 0.5}),
        "HideTools": lambda env: HideTools(env, ["find_ticket"]),
        "ParseToolCalls": ParseToolCalls,
        "PotentialShaping": lambda env: PotentialShaping(env, length, 0.9),
        "RecordTrace": lambda env: RecordTrace(env, path),
        "StepPenalty": StepPenalty,
        "SwapUser": lambda env: SwapUser(env, [USER, ScriptedUser(("Hallo", "tschüs"))], [0.8, 0.2]),
        "TextObservation": TextObservation,
        "TurnBudget": lambda env: TurnBudget(env, agent=3, user=3),
    }

    def everything(env: Env) -> Env:
        env = TurnBudget(TimeLimit(env, 50), agent=5)
        env = HideTools(AllowTools(CostBudget(env, total=9), ["find_ticket", "move_ticket"]), [])
        env = ParseToolCalls(FeedbackReward(StepPenalty(env), {"rule": 1.0}))
        env = PotentialShaping(ChatHistory(env), length, truncation="bootstrap")
        return RecordTrace(TextObservation(env), path)

    def beside_gymnasium(env: Env) -> Env:
        env = ChatAction(SwapUser(TimeLimit(env, 20), [USER]))
        return RecordEpisodeStatistics(ChatHistory(env))

    return single | {"everything": everything, "beside Gymnasium's": beside_gymnasium}


NAMES = [name for name in wrappers.__all__ if name[0].isupper()]
STACKS = [*NAMES, "everything", "beside Gymnasium's"]
each = pytest.mark.parametrize("name", STACKS)


def base(**keywords: Any) -> Env:
    settings: dict[str, Any] = {"user": USER, "max_steps": 8}
    return gym.make("TauMock-v0", **settings | keywords)


@each
def test_the_contracts_hold(name: str, wraps: dict[str, Wrap]) -> None:
    report = check_env(wraps[name](base()))
    hidden = "transfers" in report.skipped
    assert hidden == (name in ("AllowTools", "everything")) and len(report.skipped) == hidden


@each
def test_spaces_are_equal_and_hash_alike(name: str, wraps: dict[str, Wrap]) -> None:
    env, other = wraps[name](base()), wraps[name](base())
    assert env.observation_space.sample() in env.observation_space
    assert env.observation_space == other.observation_space
    assert env.action_space == other.action_space
    assert hash(env.action_space) == hash(other.action_space)


@pytest.mark.parametrize("name", NAMES)
def test_the_spec_holds_every_argument(name: str, wraps: dict[str, Wrap]) -> None:
    env = wraps[name](base())
    assert env.spec is not None
    arguments = set(inspect.signature(getattr(wrappers, name)).parameters) - {"env"}
    assert set(env.spec.additional_wrappers[-1].kwargs or {}) == arguments


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("autoreset", list(AutoresetMode), ids=lambda mode: mode.name)
def test_vector_envs(mode: Any, autoreset: AutoresetMode, wraps: dict[str, Wrap]) -> None:
    settings = {"autoreset_mode": autoreset}
    envs = make_vec("TauMock-v0", 3, mode, [wraps["everything"]], settings, user=USER, max_steps=3)
    observations, infos = envs.reset(seed=0)
    assert all("Grüße 🙂" in text for text in observations) and infos["malformed"].tolist() == [0, 0, 0]
    call = '<tool_call>{"name": "find_ticket", "arguments": {"email": "你好"}}</tool_call>'
    observations, _, _, _, infos = envs.step((call * 2, "مرحبا", "<tool_call>"))
    assert infos["malformed"].tolist() == [0, 0, 1]
    assert len(infos["observations"][0]) == 2 and infos["observations"][1] is None
    assert observations[0].count("no customer with that e-mail") == 2
    assert "ja" in observations[1] and "Error: <tool_call>" in observations[2]
    envs.step(("Hello!",) * 3)
    envs.close()


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("name", NAMES)
def test_every_wrapper_in_a_vector_env_of_eight(mode: Any, name: str, wraps: dict[str, Wrap]) -> None:
    envs = make_vec("TauMock-v0", 8, mode, [wraps[name]], user=USER, max_steps=5)
    observations, _ = envs.reset(seed=0)
    assert observations in envs.observation_space
    envs.action_space.seed(0)
    for _ in range(4):
        actions = envs.action_space.sample()
        assert actions in envs.action_space
        observations, rewards, *_ = envs.step(actions)
        assert observations in envs.observation_space and np.isfinite(rewards).all()
    envs.close()


def test_make_vec_of_a_spec_builds_the_stack(wraps: dict[str, Wrap]) -> None:
    env = wraps["everything"](base())
    assert env.spec is not None
    envs = make_vec(env.spec, 2, "async")
    observations, _ = envs.reset(seed=3)
    assert observations[0] == env.reset(seed=3)[0]
    envs.close()
    env.close()


def test_make_vec_refuses_what_text_cannot() -> None:
    with pytest.raises(ValueError, match="cannot be in shared memory: leave shared_memory out"):
        make_vec("TauMock-v0", 2, "async", vector_kwargs={"shared_memory": True}, user=USER)
    with pytest.raises(ValueError, match=r"Unknown mode 'asynk'\. Did you mean 'async'"):
        make_vec("TauMock-v0", 2, "asynk", user=USER)  # type: ignore[arg-type]


def test_wrappers_that_need_this_package_say_so() -> None:
    class Other(gym.Env[Any, Any]):
        observation_space = base().observation_space
        action_space = base().action_space

    stacks: tuple[Wrap, ...] = (ChatHistory, lambda env: SwapUser(env, [USER]), lambda env: TurnBudget(env, agent=1))
    for wrap in stacks:
        with pytest.raises(ValueError, match="wraps an env of this package, got Other"):
            wrap(Other())


def test_gymnasium_outside_scales_rewards() -> None:
    env = TransformReward(StepPenalty(base()), lambda reward: 10 * float(reward))
    env.reset(seed=0)
    assert env.step(HELLO)[1] == pytest.approx(-0.1)
