"""PettingZoo's own tests, and that episodes of random actions end."""

from __future__ import annotations

import os
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pettingzoo.test
import pytest

from usersim_env.multi_agent import AGENT, USER, UserPolicy, tau_v0
from usersim_env.users.agenda import AgendaUser

zoo: Any = pettingzoo.test
DOMAINS = ("mock", "retail", "airline")
# What PettingZoo warns of in every env of text: that it is not made of numbers.
quiet = pytest.mark.filterwarnings(
    "ignore:Observation is not a NumPy array",
    "ignore:.*space for each agent probably should be",
    "ignore:Agents have different observation space sizes",
    "ignore:The class of (observation|action) spaces is different",
    "ignore:reset ignores the unknown option 'options'",
)


@quiet
@pytest.mark.parametrize("domain", DOMAINS)
def test_aec_api(domain: str) -> None:
    for _ in range(10):  # the actions are random and not seeded
        zoo.api_test(tau_v0.env(domain=domain), num_cycles=1000)
    zoo.api_test(tau_v0.raw_env(domain), num_cycles=1000)


@quiet
@pytest.mark.parametrize("domain", DOMAINS)
def test_parallel_api(domain: str) -> None:
    for _ in range(10):
        zoo.parallel_api_test(tau_v0.parallel_env(domain=domain), num_cycles=1000)


@pytest.mark.parametrize("domain", DOMAINS)
def test_seeds(domain: str) -> None:
    zoo.seed_test(lambda: tau_v0.env(domain=domain))
    zoo.parallel_seed_test(lambda: tau_v0.parallel_env(domain=domain))


def randomly(env: Any, seed: int, talkative: bool) -> str:
    env.reset(seed=seed)
    for at, name in enumerate((AGENT, USER)):
        env.action_space(name).seed(2 * seed + at)
    while env.agents:
        observation, _, terminated, truncated, _ = env.last()
        assert env.observation_space(env.agent_selection).contains(observation)
        action = None if terminated or truncated else env.action_space(env.agent_selection).sample()
        if action is not None and action["name"] == "stop" and talkative:
            action["name"] = "say"
        env.step(action)
    return str(env.trace().ended_by)


@pytest.mark.parametrize("domain", DOMAINS)
def test_random_episodes_end_in_every_way(domain: str) -> None:
    env = tau_v0.env(domain=domain, max_steps=12)
    ends = Counter(randomly(env, seed, talkative) for seed in range(100) for talkative in (True, False))
    assert set(ends) == {"user", "transfer", "limit", "failure"}


def held() -> tuple[int, int]:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no /proc/self/fd here")
    return len(os.listdir("/proc/self/fd")), threading.active_count()


def test_a_thousand_resets_in_mid_episode_leave_nothing(tmp_path: Path) -> None:
    def some(count: int) -> None:
        for seed in range(count):
            env.reset(seed=seed)
            env.step(customer(env.observe(USER), env.infos[USER]))
            env.step({"name": "find_ticket", "arguments": {"email": "ada@mock.example"}})
            env.step({"name": "respond", "arguments": {"content": "Hello."}})

    before = held()
    env: Any = tau_v0.env(domain="mock", record=tmp_path / "t.jsonl")
    customer = UserPolicy(AgendaUser(), env)
    some(1)
    with (tmp_path / "t.jsonl").open("rb"):
        assert held() == (before[0] + 1, before[1]), "this test can fail"
    some(1000)
    assert held() == before, "the file of traces is open while it is written to, and no longer"
    env.close()
    assert held() == before
    assert len((tmp_path / "t.jsonl").read_bytes().splitlines()) == 1001
