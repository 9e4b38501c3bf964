"""`ToolCalling`: a language model with the domain's tools, one tool call per step, as τ-bench's own agent does it.

The model is given the policy as its system message and the tools as functions. What it says without a tool call is
said to the user side (tau_bench/agents/tool_calling_agent.py, 59a200c).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from usersim_env.agent import Action, Observation
from usersim_env.errors import InstallError, UsageError
from usersim_env.messages import RESPOND

Complete: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""One call to a model: a chat-completion request → the assistant message, as a dict."""

MALFORMED = "malformed_arguments"
"""Key that holds the text of arguments that were no JSON object; the tool answers it with a readable error."""


@dataclass(frozen=True)
class ToolCalling:
    """A model through litellm. Keys come from the environment, as litellm reads them, and are never in a trace.

    Args:
        model: litellm's name of the model, such as ``openai/gpt-4o``.
        api_base: address of an OpenAI-compatible server, such as ``http://127.0.0.1:8080/v1``; it may be keyless.
        temperature: 0.0 … 2.0; τ-bench uses 0.0.
        send_seed: sends the episode's seed to the model; providers without seeds ignore it.
        timeout: seconds that one answer may take.
        complete: the transport, for tests and models of your own; by default litellm.
    """

    name: ClassVar[str] = "tool_calling"
    privileged: ClassVar[bool] = False

    model: str
    api_base: str | None = None
    temperature: float = 0.0
    send_seed: bool = True
    timeout: float = 120.0
    complete: Complete | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.model:
            raise UsageError("tool_calling needs a model, for example tool_calling:model=openai/gpt-4o.")
        if not 0.0 <= self.temperature <= 2.0:
            raise UsageError(f"temperature is a number from 0 to 2, got {self.temperature!r}.")
        if not self.timeout > 0:
            raise UsageError(f"timeout is a number of seconds above 0, got {self.timeout!r}.")

    def begin(self, info: Mapping[str, Any], seed: int) -> _ToolCallingSession:
        """Starts one episode with ``info["policy"]`` and ``info["tools"]``; the model is not called yet."""
        if "policy" not in info or "tools" not in info:
            raise UsageError("tool_calling needs policy and tools in info: reset without options={'tools': False}.")
        return _ToolCallingSession(self, info, seed)

    def describe(self) -> dict[str, Any]:
        """What the model's answers depend on; no keys."""
        names = ("model", "api_base", "temperature", "send_seed")
        return {name: getattr(self, name) for name in names}


class _ToolCallingSession:
    def __init__(self, agent: ToolCalling, info: Mapping[str, Any], seed: int) -> None:
        self._complete = agent.complete if agent.complete is not None else through_litellm
        self._messages: list[dict[str, Any]] = [{"role": "system", "content": info["policy"]}]
        self._request: dict[str, Any] = {
            "model": agent.model,
            "tools": info["tools"],
            "temperature": agent.temperature,
            "timeout": agent.timeout,
        }
        if agent.api_base is not None:
            self._request["api_base"] = agent.api_base
        if agent.send_seed:
            self._request["seed"] = seed
        self._asked: Mapping[str, Any] | None = None

    def act(self, observation: Observation) -> Action:
        """The model's next move. Errors of the transport pass through: the driver makes them a failure."""
        self._messages.append(self._heard(observation))
        message = self._complete({**self._request, "messages": [dict(m) for m in self._messages]})
        calls = message.get("tool_calls") or []
        content = message.get("content") or ""
        self._asked = calls[0] if calls else None
        if self._asked is None:
            self._messages.append({"role": "assistant", "content": content})
            return {"name": RESPOND, "arguments": {"content": content}}
        self._messages.append({"role": "assistant", "content": content, "tool_calls": [self._asked]})
        return _action(self._asked["function"])

    def _heard(self, observation: Observation) -> dict[str, Any]:
        """The observation as a message; one that answers a tool call carries that call's id."""
        if self._asked is None:
            return {"role": "user", "content": observation["content"]}
        message = {"role": "tool", "name": self._asked["function"]["name"], "content": observation["content"]}
        return message | {"tool_call_id": self._asked["id"]}


def _action(function: Mapping[str, Any]) -> Action:
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        arguments = {MALFORMED: function["arguments"]}
    return {"name": str(function.get("name") or ""), "arguments": arguments}


def through_litellm(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Sends a chat-completion request through litellm, without its retries, and returns the assistant message.

    Raises:
        InstallError: litellm is not installed.
        Exception: whatever litellm raises (refused, timed out, too long …).
    """
    # Or the import asks the network for a table of prices.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        import litellm
    except ImportError as error:
        text = 'A language model needs litellm, which is not installed. Type: pip install "usersim_env[llm]"'
        raise InstallError(text) from error
    extra: dict[str, Any] = {"max_retries": 0, "drop_params": True}
    if "api_base" in request and "OPENAI_API_KEY" not in os.environ:
        extra["api_key"] = "none"  # a local server asks for none, but the client insists on one
    answer = litellm.completion(**request, **extra)
    message: Mapping[str, Any] = answer.choices[0].message.model_dump()
    return message
