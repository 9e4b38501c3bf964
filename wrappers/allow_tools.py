"""`AllowTools`: the agent has some tools only."""

from __future__ import annotations

from collections.abc import Sequence

from usersim_env.wrappers.base import AnyEnv
from usersim_env.wrappers.tool_filter import ToolFilter, named_tools


class AllowTools(ToolFilter):
    """Takes all tools away but the named ones; the opposite of `HideTools`.

    Description:
        The others are not in ``info["tools"]``, nor in the action space's samples, and a call of one is answered as
        that of an unknown tool. Speaking is always allowed.

    Action space:
        `ToolAction` with the named tools.

    Observation space:
        Unchanged. A call of another tool gives ``Unknown action hidden:<name>``, in the trace as well.

    Rewards:
        Unchanged.

    Info:
        ``tools`` at reset: the named ones.

    Args:
        env: an env whose actions are tool calls; belongs inside `ParseToolCalls` and `ChatAction`.
        tools: names to keep; ``[]`` leaves words only.

    Raises:
        UnknownName: no such tool.
        UsageError: ``respond``, or the env takes no tool calls.

    Example:
        >>> import gymnasium as gym
        >>> from usersim_env.wrappers import AllowTools
        >>> env = AllowTools(gym.make("TauMock-agenda-v0"), ["find_ticket"])
        >>> [tool["function"]["name"] for tool in env.reset(seed=0)[1]["tools"]]
        ['find_ticket']
        >>> env.action_space
        ToolAction(find_ticket)
    """

    def __init__(self, env: AnyEnv, tools: Sequence[str]) -> None:
        wanted, known = named_tools(env, tools, "AllowTools")
        super().__init__(env, set(known) - set(wanted), tools=wanted)
