"""Every adapter plays the same 20 oracle episodes to the same rewards as the plain Gymnasium loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import pytest

from usersim_env.adapters import ChatEpisode, EpisodeSettings
from usersim_env.adapters import openenv as openenv_adapter
from usersim_env.adapters import verl as verl_adapter
from usersim_env.adapters.chat_loop import play
from usersim_env.wrappers import FeedbackReward

TASKS = [f"retail/test/{index}" for index in range(20)]
RULE = EpisodeSettings("TauRetail-agenda-v0", {"persona": "humanlike"})
MIXED = EpisodeSettings("TauRetail-agenda-v0", {"persona": "humanlike"}, {"rule": 1.0, "survey.mean": 0.5})
SEED = 3

Oracle = Callable[[str, str], Callable[[], Any]]


def library(name: str) -> Any:
    """Imports a library. All skips come from this line, so that pytest says them in one."""
    return pytest.importorskip(name, reason="libraries of adapters are not installed: make adapters")


def by_gymnasium(settings: EpisodeSettings, oracle: Oracle) -> list[float]:
    env: gym.Env[Any, Any] = gym.make(settings.env_id, **settings.keywords)
    if settings.weights is not None:
        env = FeedbackReward(env, settings.weights)
    rewards = []
    for task_id in TASKS:
        move = oracle(task_id, "call")
        env.reset(seed=SEED, options={"task_id": task_id})
        over, total = False, 0.0
        while not over:
            _, reward, terminated, truncated, info = env.step(move())
            total, over = total + float(reward), terminated or truncated
        assert info["valid"]
        rewards.append(total)
    env.close()
    return rewards


def by_text(settings: EpisodeSettings, oracle: Oracle) -> list[float]:
    return by_episode(ChatEpisode(settings, "text"), oracle, "hermes")


def by_call(settings: EpisodeSettings, oracle: Oracle) -> list[float]:
    return by_episode(ChatEpisode(settings, "call"), oracle, "call")


def by_episode(episode: ChatEpisode, oracle: Oracle, reads: str) -> list[float]:
    rewards = []
    for task_id in TASKS:
        move, turn = oracle(task_id, reads), episode.begin(task_id, SEED)
        while not turn.done:
            turn = episode.act(move())
        rewards.append(turn.score())
    episode.close()
    return rewards


def by_chat_loop(settings: EpisodeSettings, oracle: Oracle) -> list[float]:
    rewards = []
    for task_id in TASKS:
        move = oracle(task_id, "message")

        def complete(messages: Any, tools: Any, move: Callable[[], Any] = move) -> Any:
            return move()

        rewards.append(play(complete, settings, task_id, SEED).last.score())
    return rewards


def by_skyrl(settings: EpisodeSettings, oracle: Oracle) -> list[float]:
    gym_of_skyrl = library("skyrl_gym")
    if "tau" not in gym_of_skyrl.registry:
        gym_of_skyrl.register("tau", entry_point="usersim_env.adapters.skyrl:TauTextEnv")
    config = {"env_id": settings.env_id, "keywords": settings.keywords, "weights": settings.weights}
    rewards = []
    for task_id in TASKS:
        move, row = oracle(task_id, "hermes"), {"task_id": task_id, "seed": SEED}
        env = gym_of_skyrl.make("tau", env_config=config, extras={"extra_info": row, "max_turns": 200})
        env.init([])
        done, total = False, 0.0
        while not done:
            out = env.step(move())
            done, total = out["done"], total + out["reward"]
        env.close()
        rewards.append(total)
    return rewards


def by_verl(settings: EpisodeSettings, oracle: Oracle) -> list[float]:
    library("verl")
    config = {"name": "tau", "env_id": settings.env_id, "keywords": settings.keywords, "weights": settings.weights}
    interaction = verl_adapter.TauInteraction(config)
    return [asyncio.run(_verl(interaction, row, oracle)) for row in verl_adapter.rows(config, TASKS, [SEED])]


async def _verl(interaction: Any, row: dict[str, Any], oracle: Oracle) -> float:
    started = row["extra_info"]["interaction_kwargs"]
    move, messages = oracle(started["task_id"], "react"), list(row["prompt"])
    await interaction.start_interaction("request", **started)
    done, scores = False, []
    while not done:
        messages.append({"role": "assistant", "content": move()})
        done, text, score, _ = await interaction.generate_response("request", messages, **started)
        messages.append({"role": "user", "content": text})
        scores += [] if score is None else [score]
    return verl_adapter.compute_score("tau", "", None, {"turn_scores": scores})


def by_openenv(settings: EpisodeSettings, oracle: Oracle) -> list[float]:
    library("openenv")
    env = openenv_adapter.TauEnvironment(settings)
    rewards = []
    for task_id in TASKS:
        move, seen = oracle(task_id, "call"), env.reset(seed=SEED, task_id=task_id)
        while not seen.done:
            seen = env.step(openenv_adapter.TauAction(**move()))
        rewards.append(seen.reward)
    env.close()
    return rewards


ADAPTERS: dict[str, Callable[[EpisodeSettings, Oracle], list[float]]] = {
    "text": by_text,
    "call": by_call,
    "chat_loop": by_chat_loop,
    "openenv": by_openenv,
    "skyrl": by_skyrl,
    "verl": by_verl,
}
"""Beside verifiers, which takes seconds for a turn: tests/adapters/test_verifiers.py."""


@pytest.fixture(scope="module")
def plain(oracle: Oracle) -> dict[str, list[float]]:
    return {"rule": by_gymnasium(RULE, oracle), "mixed": by_gymnasium(MIXED, oracle)}


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_same_rewards_as_the_plain_loop(adapter: str, plain: dict[str, list[float]], oracle: Oracle) -> None:
    assert ADAPTERS[adapter](RULE, oracle) == plain["rule"] == [1.0] * 20
    assert ADAPTERS[adapter](MIXED, oracle) == plain["mixed"]
    assert len(set(plain["mixed"])) > 5, "these tell episodes apart"
