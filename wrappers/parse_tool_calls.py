"""`ParseToolCalls`: the text of a language model is the action."""

from __future__ import annotations

from typing import Any, Literal

from usersim_env.errors import InvalidAction, unknown
from usersim_env.spaces import UnicodeText
from usersim_env.wrappers.base import AnyEnv
from usersim_env.wrappers.call_formats import FORMATS, Parsed
from usersim_env.wrappers.calling import CallingWrapper

_HINTS = {
    "hermes": 'Write <tool_call>{"name": …, "arguments": {…}}</tool_call>, or words for the customer.',
    "openai": "Write an assistant message with 'tool_calls' as JSON, or words for the customer.",
    "react": "Write 'Action: <tool>' and 'Action Input: {…}', or 'Final Answer: <words for the customer>'.",
}


class ParseToolCalls(CallingWrapper):
    """Text → action, for language models that write their calls.

    Description:
        ``hermes`` reads ``<tool_call>{"name", "arguments"}</tool_call>`` and bare JSON objects; ``openai`` reads the
        JSON of an assistant message or of its ``tool_calls``; ``react`` reads ``Action:``, ``Action Input:`` and
        ``Final Answer:``. Text without a call is said to the user side (not in ``react``). Several calls are made in
        order; text before ``</think>`` and words beside a call are thoughts.

    Action space:
        `UnicodeText`. Anything but a str raises `InvalidAction`.

    Observation space:
        Unchanged. Text that cannot be read gives ``{"role": "tool", "name": "malformed_call", "content": "Error: …"}``,
        which says why and what to write instead. It costs a step, changes nothing and is in the trace. Several calls
        give one observation with all results.

    Rewards:
        Unchanged; those of several calls are added.

    Info:
        ``malformed``: texts of this episode that could not be read; ``observations``: one by one, for several calls.

    Args:
        env: an env whose actions are tool calls.
        format: ``hermes``, ``openai`` or ``react``.

    Raises:
        UsageError: no such format, or the env takes no tool calls.

    Example:
        >>> import gymnasium as gym
        >>> from usersim_env.wrappers import ParseToolCalls
        >>> env = ParseToolCalls(gym.make("TauMock-agenda-v0"))
        >>> _ = env.reset(seed=0)
        >>> call = '<tool_call>{"name": "find_ticket", "arguments": {"email": "cy@mock.example"}}</tool_call>'
        >>> env.step(call)[0]["content"][:26]
        '[{"ticket_id": "T-1004", "'
        >>> observation, _, _, _, info = env.step('<tool_call>{"name": ')
        >>> observation["content"][:53], info["malformed"]
        ('Error: <tool_call> and </tool_call> do not come in pa', 1)
    """

    def __init__(self, env: AnyEnv, format: Literal["hermes", "openai", "react"] = "hermes") -> None:  # noqa: A002
        if format not in FORMATS:
            raise unknown("format", format, FORMATS)
        super().__init__(env, format=format)
        self._read = FORMATS[format]
        self.hint = _HINTS[format]
        self.action_space = UnicodeText()

    def parse(self, action: Any) -> Parsed:
        """The calls in a text; `InvalidAction` for what is no text."""
        if not isinstance(action, str):
            raise InvalidAction(f"ParseToolCalls takes the text that a model wrote, got {type(action).__name__}.")
        return self._read(str.__str__(action))
