"""`TauTaskset` and `TauEnv` in verifiers' own engine: its chat program asks a local endpoint for every turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from usersim_env import ScriptedUser
from usersim_env.adapters.verifiers import REWARD
from usersim_env.baselines import Oracle
from usersim_env.env.tau_env import TauEnv
from usersim_env.errors import UserSideError
from usersim_env.rollouts import RolloutSettings, rollout

vf = pytest.importorskip("verifiers.v1", reason="verifiers is not installed: make adapters")
loaders = pytest.importorskip("verifiers.v1.utils.loaders")

MODULE = "from usersim_env.adapters.verifiers import TauEnv, TauTaskset\n__all__ = ['TauEnv', 'TauTaskset']\n"
OUTAGE = "TauMockOutage-v0"


def broken(**keywords: Any) -> TauEnv:
    return TauEnv("mock", ScriptedUser(("Hello.", UserSideError("The line is dead.", "outage"))))


@pytest.fixture
def play(
    endpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[dict[str, Any], Callable[[str], Callable[[], str]], dict[str, Any]], list[Any]]:
    """Of the taskset's config, the agent's moves by task, and limits of the seat: verifiers' episodes, in order."""
    (tmp_path / "tau_agents.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("ENDPOINT_KEY", "none")

    async def played(env: Any, moves: Callable[[str], Callable[[], str]]) -> list[Any]:
        client = vf.EvalClientConfig(base_url=endpoint.url, api_key_var="ENDPOINT_KEY")
        found = []
        async with env.serving():
            for task in env.taskset:
                endpoint.move = moves(task.data.task_id)
                found.append(await env.run_episode(task, vf.ModelContext(model="oracle", client=client)))
        return found

    def run(taskset: dict[str, Any], moves: Callable[[str], Callable[[], str]], limits: dict[str, Any]) -> list[Any]:
        agent = {"harness": {"id": "null"}, "runtime": {"type": "subprocess"}, **limits}
        config = loaders.resolve_env_config({"taskset": {"id": "tau_agents", **taskset}, "agent": agent})
        return asyncio.run(played(loaders.load_environment(config), moves))

    return run


def test_same_rewards_as_the_plain_loop(play: Any, oracle: Any) -> None:
    """The mixed rewards of test_oracle_episodes; the plain side is a rollout here."""
    ids, keywords = [f"retail/test/{index}" for index in range(20)], {"persona": "humanlike"}
    weights = {"rule": 1.0, "survey.mean": 0.5}
    taskset = {"env_id": "TauRetail-agenda-v0", "keywords": keywords, "weights": weights, "task_ids": ids, "seeds": [3]}
    episodes = play(taskset, lambda task_id: oracle(task_id, "hermes"), {})
    assert all(episode.ok for episode in episodes)
    plain = plain_rewards(ids, keywords, weights)
    assert [episode.traces[0].reward for episode in episodes] == plain and len(set(plain)) > 5
    first = episodes[0].traces[0]
    assert first.rewards[REWARD].score == plain[0] and first.metrics["rule"] == 1.0


def plain_rewards(ids: list[str], keywords: dict[str, Any], weights: dict[str, float]) -> list[float]:
    settings = RolloutSettings(tasks=ids, seeds=[3], keywords=keywords, progress=False)
    found = []
    for trace in rollout(Oracle(), "TauRetail-agenda-v0", settings).traces:
        assert trace.feedback is not None
        found.append(sum(weight * trace.feedback.signals[name] for name, weight in weights.items()))
    return found


def test_an_outage_is_an_error_and_no_reward(play: Any) -> None:
    gym.register(OUTAGE, entry_point=broken)
    try:
        (episode,) = play({"env_id": OUTAGE, "task_ids": ["mock/test/0"]}, lambda task_id: lambda: "Hello!", {})
    finally:
        gym.registry.pop(OUTAGE)
    assert (
        not episode.ok and "NotScored" in episode.errors[0].message and "The line is dead" in episode.errors[0].message
    )
    assert not episode.traces[0].ok and episode.traces[0].rewards == {REWARD: None}


def test_an_agent_that_is_cut_off_has_no_reward(play: Any) -> None:
    taskset = {"env_id": "TauMock-agenda-v0", "task_ids": ["mock/test/0"]}
    (episode,) = play(taskset, lambda task_id: lambda: "One moment.", {"max_turns": 1})
    assert not episode.ok and episode.traces[0].rewards == {REWARD: None}
    assert "before the episode was over" in episode.errors[0].message
