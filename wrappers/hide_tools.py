"""`HideTools`: the agent has to do without some tools."""

from __future__ import annotations

from collections.abc import Sequence

from usersim_env.wrappers.base import AnyEnv
from usersim_env.wrappers.tool_filter import ToolFilter, named_tools


class HideTools(ToolFilter):
    """Takes the named tools away.

    Description:
        They are not in ``info["tools"]``, nor in the action space's samples, and a call of one is answered as that of
        an unknown tool. The policy may still speak of them, and a task may need them.

    Action space:
        `ToolAction` with the tools that are left.

    Observation space:
        Unchanged. A call of a hidden tool gives ``Unknown action hidden:<name>``, in the trace as well.

    Rewards:
        Unchanged.

    Info:
        ``tools`` at reset: those that are left.

    Args:
        env: an env whose actions are tool calls; belongs inside `ParseToolCalls` and `ChatAction`.
        tools: names to hide.

    Raises:
        UnknownName: no such tool.
        UsageError: ``respond``, or the env takes no tool calls.

    Example:
        >>> import gymnasium as gym
        >>> from usersim_env.wrappers import HideTools
        >>> env = HideTools(gym.make("TauMock-agenda-v0"), ["transfer_to_human_agents"])
        >>> [tool["function"]["name"] for tool in env.reset(seed=0)[1]["tools"]]
        ['find_ticket', 'move_ticket']
        >>> env.step({"name": "transfer_to_human_agents", "arguments": {"summary": "?"}})[0]["content"]
        'Unknown action hidden:transfer_to_human_agents'
    """

    def __init__(self, env: AnyEnv, tools: Sequence[str]) -> None:
        wanted, _ = named_tools(env, tools, "HideTools")
        super().__init__(env, wanted, tools=wanted)
