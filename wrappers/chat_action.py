"""`ChatAction`: an OpenAI assistant message is the action."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from usersim_env.errors import InvalidAction
from usersim_env.wrappers.base import AnyEnv
from usersim_env.wrappers.call_formats import Parsed, read_message
from usersim_env.wrappers.calling import CallingWrapper
from usersim_env.wrappers.message_spaces import AssistantMessage


class ChatAction(CallingWrapper):
    """Assistant message → action, for models behind a chat-completion API.

    Description:
        Every entry of ``tool_calls`` is made, in order, until the episode ends; without any, ``content`` is said to the
        user side. Words beside calls are thoughts. If one entry cannot be read, none is made.

    Action space:
        ``{"role": "assistant", "content": str | None, "tool_calls": [{"id", "type", "function": {"name",
        "arguments"}}]}``, or an object with ``model_dump()`` that gives one, as client libraries have it. Anything
        else raises `InvalidAction`.

    Observation space:
        Unchanged; see `ParseToolCalls` for several calls and for what cannot be read.

    Rewards:
        Unchanged; those of several calls are added.

    Info:
        ``malformed``: messages of this episode that could not be read; ``observations``: one by one, for several calls.

    Args:
        env: an env whose actions are tool calls.

    Raises:
        UsageError: the env takes no tool calls.

    Example:
        >>> import gymnasium as gym
        >>> from usersim_env.wrappers import ChatAction
        >>> env = ChatAction(gym.make("TauMock-agenda-v0"))
        >>> _ = env.reset(seed=0)
        >>> function = {"name": "find_ticket", "arguments": '{"email": "bo@mock.example"}'}
        >>> call = {"id": "a", "type": "function", "function": function}
        >>> observation, *_, info = env.step({"role": "assistant", "content": None, "tool_calls": [call, call]})
        >>> observation["name"], len(info["observations"])
        ('find_ticket, find_ticket', 2)
    """

    hint = "Send 'tool_calls' whose 'arguments' are the text of a JSON object, or 'content' for the customer."

    def __init__(self, env: AnyEnv) -> None:
        super().__init__(env)
        self.action_space = AssistantMessage(self.calls)

    def parse(self, action: Any) -> Parsed:
        """The calls of a message; `InvalidAction` for what is no assistant message."""
        message = action.model_dump() if hasattr(action, "model_dump") else action
        if not isinstance(message, Mapping) or message.get("role") != "assistant":
            raise InvalidAction(
                f"ChatAction takes an assistant message, got {type(action).__name__}. "
                'For example {"role": "assistant", "content": "Hello!"}.'
            )
        return read_message(message)
