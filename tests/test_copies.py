"""Envs in mid-episode: pickled or copied they go on identically, without the database; and as pictures."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import usersim_env  # noqa: F401 - registers the ids
from usersim_env.conversation.frame import SIZE
from usersim_env.domains import get_domain

HELLO = {"name": "respond", "arguments": {"content": "Hello! Your e-mail, please?"}}
WAYS: dict[str, Callable[[Any], Any]] = {"pickle": lambda env: pickle.loads(pickle.dumps(env)), "copy": copy.deepcopy}
IDS = ["TauMock-agenda-v0", "TauRetail-agenda-v0", "TauAirline-agenda-v0"]


def writing(domain: str) -> list[dict[str, Any]]:
    """Calls that change the database, of the first task that has some."""
    found = get_domain(domain)
    task = next(t for t in found.tasks("test") if any(c.name in (found.written or {}) for c in t.expected_calls))
    return [{"name": call.name, "arguments": dict(call.arguments)} for call in task.expected_calls]


def went_on(env: Any, actions: list[dict[str, Any]]) -> Any:
    for action in actions:
        *_, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            break
    return env.unwrapped.trace()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("env_id", IDS)
def test_a_copy_in_mid_episode_goes_on_identically(env_id: str, way: str) -> None:
    env = gym.make(env_id, max_steps=8)
    calls = writing(env.unwrapped.spec.kwargs["domain"] if env.unwrapped.spec else "mock")
    env.reset(seed=3)
    for action in (HELLO, *calls[: len(calls) // 2 + 1]):
        env.step(action)
    twin = WAYS[way](env)
    assert twin.unwrapped._domain is env.unwrapped._domain  # type: ignore[attr-defined]
    rest = [*calls[len(calls) // 2 + 1 :], HELLO, HELLO, HELLO]
    mine, theirs = went_on(env, rest), went_on(twin, rest)
    assert theirs.events == mine.events and theirs.reward == mine.reward and theirs.id == mine.id
    after = twin.reset(seed=9)[0]
    assert after == gym.make(env_id, max_steps=8).reset(seed=9)[0]


def test_changes_of_the_database_travel_and_the_database_does_not() -> None:
    env: Any = gym.make("TauRetail-agenda-v0")
    env.reset(seed=0)
    for action in writing("retail"):
        env.step(action)
    world = env.unwrapped._episode.conversation.world
    twin = pickle.loads(pickle.dumps(world))
    assert twin.changed() == world.changed() != {}
    assert len(pickle.dumps(world)) < 20_000


def test_another_process_goes_on(tmp_path: Path) -> None:
    env: Any = gym.make("TauRetail-agenda-v0", record=tmp_path / "a.jsonl")
    env.reset(seed=0)
    env.step(HELLO)
    (tmp_path / "env.pickle").write_bytes(pickle.dumps(env))
    code = (
        "import pickle, sys; import usersim_env; env = pickle.load(open(sys.argv[1], 'rb'));"
        f"print(env.step({HELLO!r})[0]['content'])"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "env.pickle"], capture_output=True, text=True)
    assert done.stdout.strip() == env.step(HELLO)[0]["content"].strip(), done.stderr


def test_the_conversation_as_a_picture() -> None:
    pytest.importorskip("PIL")
    env = gym.make("TauMock-agenda-v0", render_mode="rgb_array")
    env.reset(seed=0)
    frames: list[Any] = [env.render()]
    for _ in range(3):
        env.step(HELLO)
        frames.append(env.render())
    for picture in frames:
        assert isinstance(picture, np.ndarray)
        assert picture.shape == (SIZE[1], SIZE[0], 3) and picture.dtype == np.uint8 and picture.min() < 100
    assert not np.array_equal(frames[0], frames[-1])
