"""Vector envs, sync and async: one env finished, one failed and one running, in every autoreset mode."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv

from usersim_env import Feedback, ScriptedUser, Stop

FINISHED = ScriptedUser(("première", Stop("fin 🙂")), answers={"reuse": "Yes"})
FAILED = ScriptedUser(("hilfe ß", TimeoutError("no answer")))
RUNNING = ScriptedUser(("你好", "مرحبا", "longer than all the others, so that no text is cut: " + "é" * 300))
OPENINGS = ("première", "hilfe ß", "你好")
MODES = list(AutoresetMode)
Vector = VectorEnv[Any, Any, Any]


def actions(content: str = "Grüße 🙂") -> tuple[dict[str, Any], ...]:
    return tuple({"name": "respond", "arguments": {"content": content}} for _ in range(3))


def build(kind: str, mode: AutoresetMode) -> Vector:
    makers = [functools.partial(gym.make, "TauMock-v0", user=user) for user in (FINISHED, FAILED, RUNNING)]
    if kind == "sync":
        return SyncVectorEnv(makers, autoreset_mode=mode)
    return AsyncVectorEnv(makers, shared_memory=False, autoreset_mode=mode)


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def opened(kind: str, request: pytest.FixtureRequest) -> Iterator[Vector]:
    envs = build(kind, request.param)
    observation, infos = envs.reset(seed=0)
    assert observation["content"] == OPENINGS
    assert infos["valid"].tolist() == [True, True, True]
    yield envs
    envs.close()


def in_modes(*modes: AutoresetMode) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("opened", modes, indirect=True, ids=[mode.name for mode in modes])


def check_ended(infos: dict[str, Any]) -> None:
    """What the end of the first and the failure of the second look like in ``infos``."""
    assert infos["_feedback"].tolist() == [True, True, False]
    assert infos["_failure"].tolist() == [False, True, False]
    assert all(isinstance(feedback, Feedback) for feedback in infos["feedback"][:2])
    assert infos["feedback"][0].reward in (0.0, 1.0)
    assert infos["feedback"][0].survey.answers == {"reuse": "Yes"}
    assert infos["feedback"][1].reward is None
    assert infos["failure"][1].message == "TimeoutError: no answer"
    assert infos["failure"][0] is None
    assert infos["valid"][:2].tolist() == [True, False]


def check_ends(terminated: np.ndarray[Any, Any], truncated: np.ndarray[Any, Any]) -> None:
    assert terminated.tolist() == [True, False, False]
    assert truncated.tolist() == [False, True, False]


@in_modes(AutoresetMode.NEXT_STEP)
def test_next_step(opened: Vector) -> None:
    observation, _, terminated, truncated, infos = opened.step(actions())
    assert observation["content"] == ("fin 🙂", "", RUNNING.lines[1])
    check_ends(terminated, truncated)
    check_ended(infos)
    assert infos["valid"][2]
    observation, rewards, terminated, truncated, infos = opened.step(actions())
    assert observation["content"] == (*OPENINGS[:2], RUNNING.lines[2])
    assert not terminated.any() and not truncated.any() and not rewards.any()
    assert infos["valid"].tolist() == [True, True, True]
    assert "feedback" not in infos and "failure" not in infos
    observation, _, terminated, truncated, _ = opened.step(actions())
    assert terminated.tolist() == [True, False, True]
    assert truncated.tolist() == [False, True, False]


@in_modes(AutoresetMode.SAME_STEP)
def test_same_step(opened: Vector) -> None:
    observation, _, terminated, truncated, infos = opened.step(actions())
    assert observation["content"] == (*OPENINGS[:2], RUNNING.lines[1])
    check_ends(terminated, truncated)
    assert [None if o is None else o["content"] for o in infos["final_obs"]] == ["fin 🙂", "", None]
    check_ended(infos["final_info"])
    assert infos["valid"].tolist() == [True, True, True]
    assert infos["_task_id"].tolist() == [True, True, False]


@in_modes(AutoresetMode.DISABLED)
def test_disabled(opened: Vector) -> None:
    observation, _, terminated, truncated, infos = opened.step(actions())
    assert observation["content"] == ("fin 🙂", "", RUNNING.lines[1])
    check_ends(terminated, truncated)
    check_ended(infos)
    observation, infos = opened.reset(options={"reset_mask": terminated | truncated})
    assert observation["content"] == (*OPENINGS[:2], RUNNING.lines[1]), "the third was not reset"
    assert infos["_task_id"].tolist() == [True, True, False]
    observation, *_ = opened.step(actions())
    assert observation["content"] == ("fin 🙂", "", RUNNING.lines[2])


def in_order(value: Any) -> str:
    """Text of anything, with sorted keys: the two kinds fill ``infos`` in different orders."""
    if isinstance(value, dict):
        return str([(key, in_order(item)) for key, item in sorted(value.items())])
    return str([in_order(item) for item in value]) if isinstance(value, tuple) else repr(value)


@pytest.mark.parametrize("mode", MODES, ids=[mode.name for mode in MODES])
def test_sync_and_async_are_the_same(mode: AutoresetMode) -> None:
    seen = []
    for kind in ("sync", "async"):
        envs = build(kind, mode)
        seen.append([in_order(envs.reset(seed=5)), in_order(envs.step(actions("\ud800")))])
        envs.close()
    assert seen[0] == seen[1]


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_make_vec(vectorization: str) -> None:
    keywords = {"shared_memory": False} if vectorization == "async" else {}
    envs = gym.make_vec(
        "TauMock-agenda-v0", 3, vectorization, vector_kwargs=keywords, tasks=["mock/test/1"], max_steps=3
    )
    observation, infos = envs.reset(seed=1)
    assert infos["task_id"].tolist() == ["mock/test/1"] * 3
    assert len(observation["content"]) == 3 and all(observation["content"])
    for _ in range(3):
        observation, _, terminated, truncated, infos = envs.step(actions())
        done = terminated | truncated
    assert done.any()
    assert all(isinstance(infos["feedback"][i], Feedback) for i in np.flatnonzero(done))
    envs.close()


def test_sampled_actions_of_the_batch(kind: str) -> None:
    envs = build(kind, AutoresetMode.NEXT_STEP)
    envs.reset(seed=0)
    envs.action_space.seed(0)
    for _ in range(5):
        sample = envs.action_space.sample()
        assert sample in envs.action_space
        observation, *_ = envs.step(sample)
        assert observation in envs.observation_space
    envs.close()
