"""`TextObservation`: the observation is one string, by a chat template."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from usersim_env.errors import UsageError
from usersim_env.llm.markers import CONTROL
from usersim_env.spaces import UnicodeText
from usersim_env.wrappers.base import AnyEnv, Reset, Step, TauWrapper, tools_of
from usersim_env.wrappers.message_spaces import MessageList

Template: TypeAlias = Callable[[list[dict[str, Any]], list[dict[str, Any]]], str]
"""Of messages and tools (OpenAI function schemas): the prompt."""


class TextObservation(TauWrapper):
    r"""One string as observation: the prompt of a language model.

    Description:
        Over `ChatHistory` the string is the whole conversation with the tools, otherwise what was just received. The
        template is
        `chatml` (with the tools as Hermes models read them) or your own, for example a tokenizer's:
        ``lambda messages, tools: tok.apply_chat_template(messages, tools=tools, tokenize=False,
        add_generation_prompt=True)``.

    Action space:
        Unchanged.

    Observation space:
        `UnicodeText`.

    Rewards:
        Unchanged.

    Info:
        Unchanged.

    Args:
        env: an env whose observation is ``{"role", "name", "content"}`` or a `MessageList`.
        template: messages and tools → text.

    Raises:
        UsageError: another observation, or a template that gives no str.

    Example:
        >>> import gymnasium as gym
        >>> from usersim_env.wrappers import ChatHistory, ParseToolCalls, TextObservation
        >>> env = TextObservation(ChatHistory(ParseToolCalls(gym.make("TauMock-agenda-v0"))))
        >>> prompt, info = env.reset(seed=0)
        >>> prompt.splitlines()[1], prompt[-22:]
        ('# Repair desk', '<|im_start|>assistant\n')
    """

    def __init__(self, env: AnyEnv, template: Template | None = None) -> None:
        self._listed = isinstance(env.observation_space, MessageList)
        if not self._listed and "content" not in getattr(env.observation_space, "spaces", ()):
            raise UsageError(f"TextObservation wraps an env that gives messages, got {env.observation_space!r}.")
        super().__init__(env, template=template)
        self._template = chatml if template is None else template
        self.observation_space = UnicodeText()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        """Starts an episode and returns the first prompt."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._text(observation), info

    def step(self, action: Any) -> Step:
        """One action; returns the next prompt."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._text(observation), float(reward), terminated, truncated, info

    def _text(self, observation: Any) -> str:
        messages, tools = (observation, tools_of(self.env)) if self._listed else ([observation], [])
        text = self._template(messages, tools)
        if not isinstance(text, str):
            raise UsageError(f"template gives a str, got {type(text).__name__}.")
        return text


def chatml(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> str:
    """ChatML, ending where the assistant begins; tools stand in the system message, one JSON line each.

    Nothing that was said can open or end a turn: words such as ``<|im_end|>`` in it become ``< |im_end|>``.
    """
    blocks = []
    if tools and not any(message["role"] == "system" for message in messages):
        messages = [{"role": "system", "content": ""}, *messages]
    for message in messages:
        body = [_harmless(message.get("content") or "")]
        if message["role"] == "system" and tools:
            body = [with_tools(body[0], tools)]
        if message["role"] == "tool":
            body = ["<tool_response>", *body, "</tool_response>"]
        body += [_harmless(_called(call)) for call in message.get("tool_calls") or () if isinstance(call, Mapping)]
        blocks.append(f"<|im_start|>{message['role']}\n" + "\n".join(body).strip() + "<|im_end|>\n")
    return "".join(blocks) + "<|im_start|>assistant\n"


def _harmless(words: str) -> str:
    """Words that no tokenizer takes for a control token."""
    return CONTROL.sub(lambda found: f"{found[0][0]} {found[0][1:]}", words)


_HOW = 'Call one with <tool_call>{"name": …, "arguments": {…}}</tool_call>.'


def with_tools(system: str, tools: Sequence[Mapping[str, Any]], how: str = _HOW) -> str:
    """A system message that lists the tools, one JSON line each, and says how one is called."""
    listed = (json.dumps(tool["function"]) for tool in tools)
    return "\n".join((system, "", "# Tools", "", "<tools>", *listed, "</tools>", how))


def _called(call: Mapping[str, Any]) -> str:
    function = call.get("function")
    function = function if isinstance(function, Mapping) else {}
    name, arguments = json.dumps(function.get("name")), function.get("arguments")
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments or {})
    arguments = arguments if arguments.strip() else "{}"
    return f'<tool_call>{{"name": {name}, "arguments": {arguments}}}</tool_call>'
