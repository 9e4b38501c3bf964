"""`ToolFilter`: what `HideTools` and `AllowTools` share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from usersim_env.errors import UsageError, unknown
from usersim_env.messages import RESPOND, parse_action
from usersim_env.spaces import ToolAction
from usersim_env.wrappers.base import AnyEnv, Reset, Step, TauWrapper, takes_calls, tools_of

HIDDEN = "hidden:"
"""Put before the name of a hidden tool, which makes it one that the world does not know."""


class ToolFilter(TauWrapper):
    """Takes tools away from the agent: from ``info["tools"]``, the action space and the world.

    Args:
        env: an env whose actions are tool calls.
        hidden: names of the tools to take away.
        settings: the constructor's arguments, for the spec.
    """

    def __init__(self, env: AnyEnv, hidden: Iterable[str], **settings: Any) -> None:
        super().__init__(env, **settings)
        takes_calls(env, type(self).__name__)
        self._hidden = frozenset(hidden)
        self.action_space = ToolAction(self.tools)

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The tools that are left, as OpenAI function schemas."""
        return [tool for tool in tools_of(self.env) if tool["function"]["name"] not in self._hidden]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        """Starts an episode with the tools that are left."""
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, info | {"tools": self.tools} if "tools" in info else info

    def step(self, action: Any) -> Step:
        """One action; a hidden tool is one that nobody knows."""
        call = parse_action(action)
        if call.name in self._hidden:
            action = {"name": HIDDEN + call.name, "arguments": call.arguments}
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, float(reward), terminated, truncated, info


def named_tools(env: AnyEnv, names: Iterable[str], who: str) -> tuple[list[str], list[str]]:
    """``names`` as a list, and all tools of the env; a name that is no tool is an error."""
    takes_calls(env, who)
    if isinstance(names, str):
        raise UsageError(f"{who} takes a list of tool names, got {names!r}. Type [{names!r}].")
    known = [tool["function"]["name"] for tool in tools_of(env)]
    wanted = list(names)
    for name in wanted:
        if name == RESPOND:
            raise UsageError(f"{who}: respond is no tool; without it nobody can be spoken to.")
        if name not in known:
            raise unknown("tool", name, known)
    return wanted, known
