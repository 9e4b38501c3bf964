"""`HideTools` and `AllowTools`: gone from the schemas, from the samples, and from the world."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest

from usersim_env import ScriptedUser
from usersim_env.errors import InvalidAction
from usersim_env.wrappers import AllowTools, ChatHistory, HideTools, ParseToolCalls

MOVE = {"name": "move_ticket", "arguments": {"ticket_id": "T-1001", "day": "tuesday"}}


def made(**keywords: Any) -> gym.Env[Any, Any]:
    return gym.make("TauMock-v0", user=ScriptedUser(("Hello.", "Yes.")), **keywords)


def names(tools: list[dict[str, Any]]) -> list[str]:
    return [tool["function"]["name"] for tool in tools]


@pytest.mark.parametrize(
    "env",
    [
        HideTools(made(), ["move_ticket", "transfer_to_human_agents"]),
        AllowTools(made(), ["find_ticket"]),
        AllowTools(HideTools(made(), ["move_ticket"]), ["find_ticket"]),
        HideTools(AllowTools(made(), ["find_ticket", "move_ticket"]), ["move_ticket"]),
    ],
)
def test_a_hidden_tool_is_nowhere(env: gym.Env[Any, Any]) -> None:
    info = env.reset(seed=0)[1]
    assert names(info["tools"]) == names(env.get_wrapper_attr("tools")) == ["find_ticket"]
    env.action_space.seed(0)
    assert {env.action_space.sample()["name"] for _ in range(50)} == {"find_ticket", "respond"}
    observation, _, terminated, _, info = env.step(MOVE)
    assert observation["content"] == "Unknown action hidden:move_ticket"
    trace = env.unwrapped.trace()  # type: ignore[attr-defined]
    assert trace.events[-1]["result"] == observation["content"] and trace.events[-1]["arguments"] == MOVE["arguments"]
    observation, _, terminated, _, _ = env.step({"name": "transfer_to_human_agents", "arguments": {"summary": "?"}})
    assert not terminated
    assert "Error: no customer" in env.step({"name": "find_ticket", "arguments": {"email": "x"}})[0]["content"]
    assert "tools" not in env.reset(options={"tools": False})[1]


def test_hiding_changes_the_verdict() -> None:
    rewards = []
    for hidden in ([], ["move_ticket"]):
        env = HideTools(made(split="train", tasks=["mock/train/0"]), hidden)
        env.reset(seed=0)
        env.step(MOVE)
        env.step({"name": "respond", "arguments": {"content": "Done."}})
        rewards.append(env.step({"name": "respond", "arguments": {"content": "Bye."}})[1])
    assert rewards == [1.0, 0.0]


@pytest.mark.parametrize("wrapper", [HideTools, AllowTools])
def test_wrong_names(wrapper: Any) -> None:
    with pytest.raises(ValueError, match=r"Unknown tool 'find_tickets'\. Did you mean 'find_ticket'"):
        wrapper(made(), ["find_tickets"])
    with pytest.raises(ValueError, match=r"takes a list of tool names, got 'find_ticket'\. Type \['find_ticket'\]"):
        wrapper(made(), "find_ticket")
    with pytest.raises(ValueError, match="respond is no tool"):
        wrapper(made(), ["respond"])
    with pytest.raises(ValueError, match=f"Put {wrapper.__name__} inside ParseToolCalls or ChatAction"):
        wrapper(ChatHistory(ParseToolCalls(made())), ["find_ticket"])
    env = wrapper(made(), ["find_ticket"])
    env.reset(seed=0)
    with pytest.raises(InvalidAction):
        env.step("find_ticket")
