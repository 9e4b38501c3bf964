"""`TauTextEnv` against the installed skyrl-gym."""

from __future__ import annotations

from typing import Any

import pytest

from usersim_env.adapters import EpisodeSettings, skyrl
from usersim_env.errors import NotScored

pytest.importorskip("skyrl_gym", reason="skyrl-gym is not installed: make adapters")


def made(settings: EpisodeSettings, **extras: Any) -> Any:
    config = {"env_id": settings.env_id, "keywords": settings.keywords}
    return skyrl.TauTextEnv(config, {"extra_info": {"task_id": "mock/test/0", "seed": 0}, **extras})


def test_the_env_opens_and_max_turns_ends_it() -> None:
    env = made(EpisodeSettings("TauMock-agenda-v0"), max_turns=2)
    messages, _ = env.init([{"role": "user", "content": "left out"}])
    assert [m["role"] for m in messages] == ["system", "user"] and "left out" not in str(messages)
    assert env.step("One moment.")["done"] is False
    out = env.step("One moment.")
    assert (out["done"], out["reward"]) == (True, 0.0) and out["metadata"]["feedback"].reward == 0.0
    assert env.get_metrics() == {"turns": 2, "reward": 0.0}


def test_an_outage_raises(outage: EpisodeSettings, dead: EpisodeSettings) -> None:
    env = made(outage)
    env.init([])
    with pytest.raises(NotScored, match="The line is dead"):
        env.step("Hello!")
    with pytest.raises(NotScored, match="Nobody there"):
        made(dead).init([])
