"""What the wrappers stand on: `TauWrapper`, and what they ask of the env below them."""

from __future__ import annotations

from typing import Any, TypeAlias

import gymnasium as gym
from gymnasium.utils import RecordConstructorArgs

from usersim_env.env.tau_env import TauEnv
from usersim_env.errors import UsageError
from usersim_env.spaces import ToolAction

AnyEnv: TypeAlias = gym.Env[Any, Any]
Step: TypeAlias = tuple[Any, float, bool, bool, dict[str, Any]]
Reset: TypeAlias = tuple[Any, dict[str, Any]]

OBJECTIVE = "objective"
"""Key in the ``info`` of `reset` under which wrappers that change the objective say what it is now."""


class TauWrapper(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """A wrapper that can be rebuilt from ``env.spec``.

    Args:
        env: what is wrapped.
        settings: the constructor's other arguments, as `RecordConstructorArgs` wants them.
    """

    def __init__(self, env: AnyEnv, **settings: Any) -> None:
        RecordConstructorArgs.__init__(self, **settings)
        gym.Wrapper.__init__(self, env)


def tau_env(env: AnyEnv, who: str) -> TauEnv:
    """The `TauEnv` at the bottom of a stack; anything else there is a `UsageError`."""
    found = env.unwrapped
    if not isinstance(found, TauEnv):
        raise UsageError(f"{who} wraps an env of this package, got {type(found).__name__}. Try TauMock-agenda-v0.")
    return found


def takes_calls(env: AnyEnv, who: str) -> ToolAction:
    """The env's action space, which must be that of tool calls; a `UsageError` says how to order the stack."""
    space = env.action_space
    if not isinstance(space, ToolAction):
        raise UsageError(
            f"{who} wraps an env whose actions are tool calls, got {space!r}. "
            f"Put {who} inside ParseToolCalls or ChatAction."
        )
    return space


def tools_of(env: AnyEnv) -> list[dict[str, Any]]:
    """The tools that the agent may see, as OpenAI function schemas: those that no wrapper below hides."""
    tools: list[dict[str, Any]] = env.get_wrapper_attr("tools")
    return tools


def objective_of(info: dict[str, Any]) -> str:
    """What the rewards add up to below; τ-bench's rule reward unless a wrapper said something else."""
    return str(info.get(OBJECTIVE, "rule"))
