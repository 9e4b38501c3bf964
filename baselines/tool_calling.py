"""`ToolCalling`: a language model with the domain's tools, one tool call per step, as τ-bench's own agent does it.

The model is given the policy as its system message and the tools as functions. What it says without a tool call is
said to the user side (tau_bench/agents/tool_calling_agent.py, 59a200c).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from usersim_env.agent import Action, Observation
from usersim_env.errors import ModelError, UsageError
from usersim_env.llm import Completion, Model, ModelSession, Request, Unreadable, read_written
from usersim_env.messages import RESPOND, ToolCall, call_to_chat

Complete: TypeAlias = Callable[[Request], Completion]
"""One call to a model."""

MALFORMED = "malformed_arguments"
"""Key that holds the text of arguments that were no JSON object; the tool answers it with a readable error."""

ATTEMPTS = 3
"""Answers in which thought and words cannot be told apart before the agent fails as ``bad_reply``."""


@dataclass(frozen=True)
class ToolCalling:
    """A model through `usersim_env.llm`. Keys come from the environment and are never in a trace.

    Args:
        model: litellm's name of the model, such as ``openai/gpt-4o``; or a `Model`, whose own settings then count.
        api_base: address of an OpenAI-compatible server, such as ``http://127.0.0.1:8080/v1``; it may be keyless.
        temperature: 0.0 … 2.0; τ-bench uses 0.0. ``None`` sends none, as reasoning models want it.
        reasoning_effort: how long a reasoning model thinks, such as ``low``; ``None`` leaves it to the provider.
        max_completion_tokens: longest answer in tokens, thoughts included; ``None`` leaves it to the provider.
        send_seed: sends the episode's seed to the model; providers without seeds ignore it.
        timeout: seconds that one answer may take.
        max_parallel: most calls that its address gets at once; see `Model`.
        rpm: most calls that its address gets in a minute; see `Model`.
        complete: the transport, for tests and models of your own; by default the model's own.
    """

    name: ClassVar[str] = "tool_calling"
    privileged: ClassVar[bool] = False
    blocking: ClassVar[bool] = True

    model: str | Model
    api_base: str | None = None
    temperature: float | None = 0.0
    send_seed: bool = True
    timeout: float = 120.0
    max_parallel: int | None = None
    rpm: float | None = None
    complete: Complete | None = field(default=None, repr=False, compare=False)
    reasoning_effort: str | None = None
    max_completion_tokens: int | None = None

    def __post_init__(self) -> None:
        if not self.model:
            raise UsageError("tool_calling needs a model, for example tool_calling:model=openai/gpt-4o.")
        if self.temperature is not None and not 0.0 <= self.temperature <= 2.0:
            raise UsageError(f"temperature is a number from 0 to 2, or None, got {self.temperature!r}.")
        if not self.timeout > 0:
            raise UsageError(f"timeout is a number of seconds above 0, got {self.timeout!r}.")

    @property
    def setting(self) -> Model:
        """The model with all its settings."""
        if isinstance(self.model, Model):
            return self.model
        return Model(
            self.model,
            self.api_base,
            temperature=self.temperature,
            timeout=self.timeout,
            send_seed=self.send_seed,
            max_parallel=self.max_parallel,
            rpm=self.rpm,
            extra=self._extra,
        )

    @property
    def _extra(self) -> dict[str, Any]:
        settings = {"reasoning_effort": self.reasoning_effort, "max_completion_tokens": self.max_completion_tokens}
        return {name: value for name, value in settings.items() if value is not None}

    def begin(self, info: Mapping[str, Any], seed: int) -> _ToolCallingSession:
        """Starts one episode with ``info["policy"]`` and ``info["tools"]``; the model is not called yet."""
        if "policy" not in info or "tools" not in info:
            raise UsageError("tool_calling needs policy and tools in info: reset without options={'tools': False}.")
        return (_AsyncToolCallingSession if self.complete is None else _ToolCallingSession)(self, info, seed)

    def describe(self) -> dict[str, Any]:
        """What the model's answers depend on; no keys."""
        described = self.setting.describe()
        if isinstance(self.model, Model):
            return described
        return {name: described[name] for name in ("model", "api_base", "temperature", "send_seed")} | self._extra


class _ToolCallingSession:
    def __init__(self, agent: ToolCalling, info: Mapping[str, Any], seed: int) -> None:
        self._model = ModelSession(agent.setting)
        self._complete = agent.complete if agent.complete is not None else self._model.complete
        self._messages: list[dict[str, Any]] = [{"role": "system", "content": info["policy"]}]
        self._tools = tuple(info["tools"])
        self._seed = seed
        self._asked: Mapping[str, Any] | None = None
        self._unusable = 0

    def act(self, observation: Observation) -> Action:
        """The model's next move. A `ModelError` passes through: the driver makes it a failure of the agent."""
        self._messages.append(self._heard(observation))
        while (action := self._moved(self._complete(self._request()))) is None:
            pass
        return action

    def _request(self) -> Request:
        return Request(tuple(dict(m) for m in self._messages), self._tools, seed=self._seed + self._unusable)

    def _moved(self, answer: Completion) -> Action | None:
        """The move in an answer; ``None`` where the model is to be asked again, with another seed.

        Raises:
            ModelError: `ATTEMPTS` answers in a row were unusable.
        """
        try:
            content = read_written(answer.text or "").words
        except Unreadable as error:
            content = ""
            if not answer.tool_calls:  # words beside a call are said to nobody
                self._unusable += 1
                if self._unusable < ATTEMPTS:
                    return None
                raise ModelError(
                    f"bad_reply: {ATTEMPTS} answers were unusable; the last: {error}", "bad_reply"
                ) from None
        self._unusable = 0
        self._asked = answer.tool_calls[0] if answer.tool_calls else None
        if self._asked is None:
            self._messages.append({"role": "assistant", "content": content})
            return {"name": RESPOND, "arguments": {"content": content}}
        message = {"role": "assistant", "content": content, "tool_calls": [self._asked]}
        self._messages.append(message | self._model.model.reasoning_of(answer))
        return _action(self._asked["function"])

    def resume(self, observation: Observation, action: Action) -> None:
        """What the model had done in an earlier process, without asking it again."""
        self._messages.append(self._heard(observation))
        self._asked = None
        content = action["arguments"].get("content")
        if action["name"] == RESPOND and isinstance(content, str):
            self._messages.append({"role": "assistant", "content": content})
            return
        call = call_to_chat(ToolCall(action["name"], action["arguments"]), f"call_{len(self._messages)}")
        self._asked = call["tool_calls"][0]
        self._messages.append(call | {"content": ""})

    def notes(self) -> dict[str, Any]:
        """Calls, tokens and cost of the seat (``None``: unknown)."""
        return self._model.usage.to_dict()

    def _heard(self, observation: Observation) -> dict[str, Any]:
        """The observation as a message; one that answers a tool call carries that call's id."""
        if self._asked is None:
            return {"role": "user", "content": observation["content"]}
        message = {"role": "tool", "name": self._asked["function"]["name"], "content": observation["content"]}
        return message | {"tool_call_id": self._asked["id"]}


class _AsyncToolCallingSession(_ToolCallingSession):
    async def aact(self, observation: Observation) -> Action:
        self._messages.append(self._heard(observation))
        while (action := self._moved(await self._model.acomplete(self._request()))) is None:
            pass
        return action


def _action(function: Mapping[str, Any]) -> Action:
    written = function.get("arguments")
    try:
        arguments = json.loads(written) if written is not None and str(written).strip() else {}
    except (ValueError, TypeError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        arguments = {MALFORMED: written}
    return {"name": str(function.get("name") or ""), "arguments": arguments}
