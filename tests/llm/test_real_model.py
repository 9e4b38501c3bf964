"""A real model, end to end and with no network: episodes, survey, seeds, cost, cassette."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

import usersim_env  # noqa: F401 - registers the ids
from usersim_env.conversation.scene import Scene
from usersim_env.domains import get_task
from usersim_env.feedback.survey import FIELDS
from usersim_env.llm import Cassette, Model, ModelSession, Request
from usersim_env.messages import Say
from usersim_env.traces.trace import Trace
from usersim_env.users.llm import LLMUser

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
LINES = ("May I have your e-mail?", "It is done. Goodbye!")
PRICES = (1e-6, 2e-6)
# llama.cpp computes a prompt that it has partly seen before in other portions, and other portions round otherwise.
SAME = {"extra_body": {"cache_prompt": False}}


def speaker(address: str) -> Model:
    """The plain completions of the server: the likeliest way for so small a model to stay in its part."""
    return Model("text-completion-openai/local", address, temperature=0.8, max_tokens=20, prices=PRICES, extra=SAME)


def answerer(address: str) -> Model:
    return Model("openai/local", address, temperature=0.8, max_tokens=250, prices=PRICES, extra=SAME)


def user(address: str, cassette: Cassette | None = None, **settings: Any) -> LLMUser:
    speaking, answering = (replace(m, cassette=cassette) for m in (speaker(address), answerer(address)))
    return LLMUser(speaking, adapter="transcript", survey_model=answering, attempts=8, **settings)


def episode(side: LLMUser, seed: int, env_id: str = "TauMock-v0") -> Trace:
    """A short episode with an agent that reads its lines."""
    env = gym.make(env_id, user=side, max_steps=len(LINES), disable_env_checker=True)
    _, info = env.reset(seed=seed, options={"task_id": "mock/test/0"})
    assert info["valid"], info["failure"]
    over = False
    for text in LINES:
        if not over:
            *_, terminated, truncated, info = env.step({"name": "respond", "arguments": {"content": text}})
            over = terminated or truncated
    assert over
    trace: Trace = env.unwrapped.trace()  # type: ignore[attr-defined]
    env.close()
    return trace


def test_full_episodes_with_survey_seed_cost_and_cassette(llama: str, tmp_path: Path) -> None:
    cassette = tmp_path / "cassette.jsonl"
    recorded = episode(user(llama, Cassette(cassette, "record")), seed=1)
    assert recorded.valid and recorded.reward == 0.0 and recorded.ended_by in ("user", "limit")
    assert len([m for m in recorded.messages if m.role == "user"]) >= 2

    assert recorded.survey is not None and recorded.survey.keys() == FIELDS.keys()
    assert all(label in FIELDS[field].answers for field, label in recorded.survey.items())

    notes = recorded.user.notes
    bill = notes["prompt_tokens"] * PRICES[0] + notes["completion_tokens"] * PRICES[1]
    assert recorded.provenance.cost == notes["cost"] == pytest.approx(bill) and bill > 0
    assert notes["calls"] >= len(recorded.messages) // 2

    again = episode(user(llama), seed=1)
    assert again.events == recorded.events and again.id == recorded.id, "same seed, same text"
    scene = Scene("mock/test/0", get_task("mock/test/0").instruction, seed=2)
    assert user(llama).begin(scene).open(scene) != Say(recorded.messages[0].content), "another seed, another text"

    gone = user("http://127.0.0.1:9/v1", Cassette(cassette, "replay"))
    replayed = episode(gone, seed=1)
    assert replayed.events == recorded.events
    assert replayed.user.notes["replayed"] == notes["calls"] and replayed.provenance.cost == recorded.provenance.cost
    env = gym.make("TauMock-v0", user=gone, disable_env_checker=True)
    _, info = env.reset(seed=2, options={"task_id": "mock/test/0"})
    assert info["failure"].kind == "cassette" and "seed: " in info["failure"].message


def test_the_temperature_reaches_the_model(llama: str) -> None:
    ask = [Request(({"role": "user", "content": "Agent: Hi!\nCustomer:"},), seed=seed) for seed in range(4)]
    for temperature, texts in ((0.0, 1), (1.5, 4)):
        model = replace(speaker(llama), temperature=temperature, max_tokens=8)
        assert len({ModelSession(model).complete(request).text for request in ask}) == texts


def test_too_long_a_prompt_is_known_as_such(llama: str) -> None:
    env = gym.make("TauMock-v0", user=LLMUser(answerer(llama)), disable_env_checker=True)
    env.reset(seed=3, options={"task_id": "mock/test/0"})
    *_, info = env.step({"name": "respond", "arguments": {"content": "so " * 16_000}})
    assert info["failure"].kind == "context_length" and info["feedback"].reward is None


def test_many_sessions_at_once(llama: str, loop: asyncio.AbstractEventLoop) -> None:
    request = Request(({"role": "user", "content": "Agent: Hi!\nCustomer:"},), seed=1)
    sessions = [ModelSession(replace(speaker(llama), max_tokens=8)) for _ in range(3)]

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*(session.acomplete(request) for session in sessions))

    answers = loop.run_until_complete(all_of_them())
    assert len({answer.text for answer in answers}) == 1
    assert sessions[0].complete(request) == answers[0]
