"""`TauInteraction` against the installed verl, and in its own agent loop's state."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from usersim_env import ScriptedUser
from usersim_env.adapters import EpisodeSettings, verl
from usersim_env.errors import NotScored, UsageError

registry = pytest.importorskip(
    "verl.interactions.utils.interaction_registry", reason="verl 0.7.1 is not installed: make adapters"
)
loop = pytest.importorskip("verl.experimental.agent_loop.tool_agent_loop")


def config(settings: EpisodeSettings) -> dict[str, Any]:
    return {"name": "tau", "env_id": settings.env_id, "keywords": settings.keywords}


MOCK = config(EpisodeSettings("TauMock-agenda-v0", {"max_steps": 2}))


@pytest.fixture
def interaction(tmp_path: Path) -> Any:
    """The interaction of `MOCK`, made by verl from its config file."""
    path = tmp_path / "tau.yaml"
    made = "{env_id: TauMock-agenda-v0, keywords: {max_steps: 2}}"
    text = f"interaction:\n- name: tau\n  class_name: usersim_env.adapters.verl.TauInteraction\n  config: {made}\n"
    path.write_text(text, encoding="utf-8")
    return registry.initialize_interactions_from_config(str(path))["tau"]


def test_in_the_states_of_its_own_agent_loop(interaction: Any) -> None:
    """The true `_handle_interacting_state`, with a stand-in for the tokenizer."""
    made = verl.rows(MOCK, ["mock/test/0"], [0])[0]
    started = made["extra_info"]["interaction_kwargs"]
    data = loop.AgentData(list(made["prompt"]), [], [], {}, "request", {}, interaction, started)

    async def apply_chat_template(messages: Any, **more: Any) -> list[int]:
        return [7] * len(messages)

    async def played() -> list[Any]:
        await interaction.start_interaction("request", **started)
        states = []
        for _ in range(2):
            data.messages.append({"role": "assistant", "content": "Final Answer: One moment."})
            self = SimpleNamespace(apply_chat_template=apply_chat_template)
            states.append(await loop.ToolAgentLoop._handle_interacting_state(self, data))
        return states

    assert asyncio.run(played()) == [loop.AgentState.GENERATING, loop.AgentState.TERMINATED]
    assert data.turn_scores == [0.0] and data.response_mask == [0, 0]
    assert verl.compute_score("tau", "", None, {"turn_scores": data.turn_scores}) == 0.0


def test_an_outage_raises(outage: EpisodeSettings, interaction: Any) -> None:
    broken = verl.TauInteraction(config(outage))
    prompt = verl.rows(config(outage), ["mock/test/0"], [0])[0]["prompt"]

    async def played() -> None:
        await broken.start_interaction("a", task_id="mock/test/0", seed=0)
        await broken.generate_response("a", [*prompt, {"role": "assistant", "content": "Final Answer: Hello!"}])

    with pytest.raises(NotScored, match="The line is dead"):
        asyncio.run(played())


def test_another_opening_is_found_out(interaction: Any) -> None:
    async def played() -> None:
        await interaction.start_interaction("a", task_id="mock/test/0", seed=0)
        await interaction.generate_response(
            "a", [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "x"}]
        )

    with pytest.raises(UsageError, match=r"prompt ends with 'Hi\.', but the episode opened"):
        asyncio.run(played())


def test_cut_episodes_are_closed(interaction: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verl, "OPEN_AT_MOST", 3)
    made = verl.TauInteraction({"name": "tau", "env_id": "TauMock-v0", "keywords": {"user": ScriptedUser()}})

    async def opened() -> None:
        for n in range(9):
            await made.start_interaction(str(n), task_id="mock/test/0", seed=0)

    asyncio.run(opened())
    assert list(made._episodes) == ["6", "7", "8"] == list(made._openings)
