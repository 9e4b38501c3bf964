"""`Model`: which model, where, and how it is asked. A frozen setting; the calls are in `session`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from usersim_env.errors import UsageError
from usersim_env.llm.address import environment_base, warn_of_kept_key
from usersim_env.llm.cassette import Cassette
from usersim_env.llm.failures import secret_name, without_login, without_secrets
from usersim_env.llm.request import Completion, Request

WANT_REASONING = frozenset("anthropic bedrock deepseek hosted_vllm minimax moonshot vertex_ai xiaomi_mimo zai".split())
"""Providers that go on from their thoughts after a tool call, or refuse the call without them."""

_OF_OPENAI = ("gpt-", "chatgpt-", "o1", "o3", "o4")
"""Names without a provider that are OpenAI's."""

RESERVED = frozenset("model messages tools seed stop temperature max_tokens response_format timeout stream n".split())
"""Parameters that have a place of their own and are not taken from ``extra``."""


_OR_NONE = dict.fromkeys(("temperature", "max_tokens", "rpm"), ", or None")


@dataclass(frozen=True)
class Model:
    """A language model as litellm names it.

    Args:
        name: such as ``openai/gpt-4o-mini``; ``openai/NAME`` with ``api_base`` for any OpenAI-compatible server, and
            ``text-completion-openai/NAME`` for its plain completions.
        api_base: address of the server, such as ``http://127.0.0.1:8080/v1``; by default the one that the environment
            names (``OPENAI_BASE_URL``, for ``openai/`` names), else the provider's own.
        api_key: by default from the environment (``OPENAI_API_KEY`` …), for the provider's own address and for the one
            that the environment names. To an ``api_base`` that is given here, the environment's key goes only as
            ``"env"``. A key in here is never shown or written, but it is pickled with the setting.
        temperature: 0.0 … 2.0; ``None`` sends none and leaves it to the provider.
        max_tokens: longest answer in tokens; ``None`` leaves it to the provider.
        timeout: seconds for one try, however slowly the answer trickles in.
        retries: further tries for what can pass (408, 409, 429, 5xx, timeouts, refused and cut connections).
        backoff: seconds before the first further try; doubled each time, with seeded jitter.
        max_wait: longest wait in seconds before a further try; a server that asks for a longer one is not asked again.
        max_parallel: most calls that its address gets at once; ``None``: any number. Models with the same address,
            ``max_parallel`` and ``rpm`` share both; every process counts its own.
        rpm: most calls that its address gets in a minute, evenly spaced, tries that failed among them.
        send_seed: sends the episode's seed; switch it off for providers that refuse seeds.
        prices: US dollars per prompt token, per completion token and, where the server caches prompts, per cached
            prompt token; by default litellm's table, where it knows them.
        send_reasoning: whether the thoughts that came beside a tool call go back to the model with it; by default to
            providers that want them. They are in no transcript and no trace.
        extra: further parameters of the request, such as ``{"top_p": 0.9}``.
        cassette: records the answers, or replays them with no model at all.
    """

    name: str
    api_base: str | None = None
    api_key: str | None = field(default=None, repr=False, compare=False)
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float = 120.0
    retries: int = 4
    backoff: float = 1.0
    max_wait: float = 60.0
    max_parallel: int | None = None
    rpm: float | None = None
    send_seed: bool = True
    prices: tuple[float, float] | tuple[float, float, float] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    cassette: Cassette | None = field(default=None, compare=False)
    send_reasoning: bool | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise UsageError(f"A model has a name such as 'openai/gpt-4o-mini', got {self.name!r}.")
        if self.api_base is not None and "/" not in self.name:
            raise UsageError(
                f"With api_base the name begins with a provider of litellm, 'openai/{self.name}' for any "
                f"OpenAI-compatible server or 'hosted_vllm/{self.name}'; got {self.name!r}."
            )
        for name in ("temperature", "timeout", "retries", "backoff", "max_wait", "max_tokens", "rpm"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise UsageError(f"{name} is a number{_OR_NONE.get(name, '')}, got {value!r:.80}.")
        if self.temperature is not None and not 0.0 <= self.temperature <= 2.0:
            raise UsageError(f"temperature is a number from 0 to 2, or None, got {self.temperature!r}.")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise UsageError(f"max_tokens is at least 1, or None, got {self.max_tokens!r}.")
        if not 0 < self.timeout < float("inf"):
            raise UsageError(f"timeout is a finite number of seconds above 0, got {self.timeout!r}.")
        if self.retries < 0 or self.backoff < 0 or self.max_wait < 0:
            raise UsageError("retries, backoff and max_wait are 0 or more.")
        if self.max_parallel is not None and (type(self.max_parallel) is not int or self.max_parallel < 1):
            raise UsageError(f"max_parallel is a whole number of at least 1, or None, got {self.max_parallel!r}.")
        if self.rpm is not None and not self.rpm > 0:
            raise UsageError(f"rpm is a number of calls above 0, or None, got {self.rpm!r}.")
        if self.prices is not None and (len(self.prices) not in (2, 3) or min(self.prices) < 0):
            raise UsageError(f"prices are (per prompt token, per completion token[, cached]), got {self.prices!r}.")
        for name in RESERVED & self.extra.keys():
            raise UsageError(f"extra={{{name!r}: …}} is not taken: {name} is set by Model or by who asks.")

        if self.api_base is None:  # resolved here, once, so that the trace says where the text went
            object.__setattr__(self, "api_base", environment_base(self.provider))
        warn_of_kept_key(self.provider, self.api_base, self.api_key)

    @property
    def provider(self) -> str:
        """Who is asked, as litellm names them: the name's part before the slash; ``""`` where only litellm knows."""
        provider, slash, _ = self.name.partition("/")
        if slash:
            return provider
        return "openai" if self.name.startswith(_OF_OPENAI) else ""

    def body(self, request: Request) -> dict[str, Any]:
        """Everything that shapes the answer, as the request's parameters; no key and no address."""
        body: dict[str, Any] = {"model": self.name, "messages": [dict(message) for message in request.messages]}
        if request.tools:
            body["tools"] = [dict(tool) for tool in request.tools]
        if request.schema is not None:
            form = {"name": "answer", "strict": True, "schema": dict(request.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        if request.stop:
            body["stop"] = list(request.stop)
        if request.seed is not None and self.send_seed:
            body["seed"] = request.seed
        if self.temperature is not None:
            body["temperature"] = self.temperature
        if self.max_tokens is not None:
            body["max_tokens"] = self.max_tokens
        return body | public(self.extra)

    def reasoning_of(self, answer: Completion) -> dict[str, Any]:
        """What an assistant's message carries beside its tool call, so that the model can go on from there."""
        wanted = self.provider in WANT_REASONING if self.send_reasoning is None else self.send_reasoning
        if not wanted:
            return {}
        fields = {"reasoning_content": answer.reasoning, "thinking_blocks": [dict(b) for b in answer.thinking_blocks]}
        return {name: value for name, value in fields.items() if value}

    def describe(self) -> dict[str, Any]:
        """What tells two models apart, as JSON values, for traces; no keys."""
        described = {"model": self.name, "temperature": self.temperature}
        described["api_base"] = None if self.api_base is None else without_login(self.api_base)
        return described | {"max_tokens": self.max_tokens, "send_seed": self.send_seed, "extra": public(self.extra)}


def as_model(model: str | Model) -> Model:
    """A name as a `Model` with default settings; a `Model` stays what it is."""
    if isinstance(model, str):
        return Model(model)
    if not isinstance(model, Model):
        raise UsageError(f"model is a name such as 'openai/gpt-4o-mini' or a Model, got {type(model).__name__}.")
    return model


def public(extra: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters without those that hold keys (headers, tokens …), at any depth, in lists too."""
    return {name: _public(value) for name, value in extra.items() if not secret_name(str(name))}


def _public(value: Any) -> Any:
    if isinstance(value, Mapping):
        return public(value)
    if isinstance(value, list | tuple):
        return [_public(one) for one in value]
    return without_secrets(value) if isinstance(value, str) else value
