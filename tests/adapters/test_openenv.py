"""The OpenEnv server over real WebSockets, with OpenEnv's own client."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from usersim_env.adapters import EpisodeSettings
from usersim_env.adapters import openenv as openenv_adapter

openenv = pytest.importorskip("openenv.core", reason="openenv is not installed: make adapters")
uvicorn = pytest.importorskip("uvicorn")


@contextmanager
def connected(settings: EpisodeSettings) -> Iterator[Any]:
    """A client of a server of its own."""
    config = uvicorn.Config(openenv_adapter.app(settings), host="127.0.0.1", port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with openenv.GenericEnvClient(base_url=f"http://127.0.0.1:{port}").sync() as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


def test_an_episode_over_the_wire(oracle: Callable[[str, str], Callable[[], Any]]) -> None:
    task_id = "retail/test/0"
    move = oracle(task_id, "call")
    with connected(EpisodeSettings("TauRetail-agenda-v0")) as client:
        seen = client.reset(seed=0, task_id=task_id)
        assert [m["role"] for m in seen.observation["messages"]] == ["system", "user"] and seen.observation["tools"]
        while not seen.done:
            assert seen.reward is None
            seen = client.step(move())
        assert seen.reward == 1.0 and seen.observation["metadata"]["signals"]["rule"] == 1.0


def test_an_outage_is_null_over_the_wire(outage: EpisodeSettings, dead: EpisodeSettings) -> None:
    with connected(outage) as client:
        client.reset(seed=0)
        seen = client.step({"name": "respond", "arguments": {"content": "Hello!"}})
        assert seen.done and seen.reward is None and seen.observation["failure"]["kind"] == "outage"
    with connected(dead) as client:
        seen = client.reset(seed=0)
        assert seen.done and seen.reward is None and seen.observation["failure"]["kind"] == "outage"
