"""One try of one request through litellm, sync and async; the only file that imports it."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

from usersim_env.errors import InstallError, ModelError
from usersim_env.llm.address import key_for
from usersim_env.llm.failures import classify
from usersim_env.llm.message import read_assistant
from usersim_env.llm.model import Model
from usersim_env.llm.request import Completion
from usersim_env.llm.thoughts import Unreadable

_imported = threading.Event()
"""Whether litellm is imported to its end."""


def require_litellm() -> None:
    """Does nothing where litellm is installed.

    Raises:
        InstallError: it is not; says what to type.
    """
    if importlib.util.find_spec("litellm") is None:
        raise InstallError(
            'A language model needs litellm, which is not installed. Type: pip install "usersim_env[llm]"'
        )


def send(model: Model, body: Mapping[str, Any]) -> Completion | ModelError:
    """One try. The answer, or why there is none, as a value: whether to try again is decided elsewhere.

    The socket's timeout restarts with every byte, so the call runs in a thread of its own that is left behind (it
    ends with the connection) when the whole of it takes longer than ``model.timeout``.
    """
    litellm = _litellm()
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(litellm.completion(**_keywords(model, body, _bounds().sync_client)))
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True, name="model-call")
    thread.start()
    thread.join(model.timeout)
    return _read(model, found[0] if found else _late(model))


async def asend(model: Model, body: Mapping[str, Any]) -> Completion | ModelError:
    """Async twin of `send`; a late call is cancelled."""
    # The first import takes seconds that other episodes can use.
    litellm = _litellm() if _imported.is_set() else await asyncio.to_thread(_litellm)
    try:
        answer = await asyncio.wait_for(
            litellm.acompletion(**_keywords(model, body, _bounds().async_client)), model.timeout
        )
    except (TimeoutError, asyncio.TimeoutError):
        answer = _late(model)
    except Exception as error:
        answer = error
    return _read(model, answer)


async def close_connections() -> None:
    """Closes what litellm keeps open in this event loop: the last thing to do in a loop of one's own."""
    if _imported.is_set():
        await _bounds().close_clients()
        await _litellm().close_litellm_async_clients()


def prices(model: Model) -> tuple[float, float] | None:
    """US dollars per prompt token and per completion token; ``None``: unknown, which is never 0.

    The model's own ``prices``, else litellm's table, which is looked up here and never asked of a network.
    """
    if model.prices is not None:
        return model.prices[:2]
    if importlib.util.find_spec("litellm") is None:
        return None
    table = _litellm().model_cost
    provider, _, name = model.name.partition("/")
    row = table.get(model.name) or table.get(name) or {}
    if model.name not in table and not str(row.get("litellm_provider", "")).startswith(provider):
        return None  # the same name at another provider, which has a price of its own
    asked, written = row.get("input_cost_per_token"), row.get("output_cost_per_token")
    if asked is None or written is None or not (asked or written):
        return None  # 0 is what the table holds for models of which it knows no price
    return float(asked), float(written)


def _bounds() -> Any:
    """On first use: httpx comes with the extra ``llm``, and takes a tenth of a second to import."""
    return importlib.import_module("usersim_env.llm.bounds")


def _litellm() -> Any:
    require_litellm()
    # Or the import asks the network for a table of prices.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    litellm.suppress_debug_info = True  # it prints advertisements of its help on standard output
    _imported.set()
    return litellm


def _keywords(model: Model, body: Mapping[str, Any], client: Callable[[Model, str | None], Any]) -> dict[str, Any]:
    """The request as litellm wants it; its own retries are off, ours are in `session`."""
    keywords = {**body, **model.extra, "timeout": model.timeout, "max_retries": 0, "caching": False}
    if model.api_base is not None:
        keywords["api_base"] = model.api_base
    key = key_for(model.provider, model.api_base, model.api_key)
    if key is not None:
        keywords["api_key"] = key
    if model.api_base is not None and (ours := client(model, key)) is not None:
        keywords["client"] = ours
    return keywords


def _late(model: Model) -> ModelError:
    return ModelError(f"timeout: no whole answer within {model.timeout:g} s", "timeout", passes=True, billed=True)


def _read(model: Model, answer: Any) -> Completion | ModelError:
    if isinstance(answer, ModelError):
        return answer
    if isinstance(answer, Exception):
        return classify(answer, model.api_key)
    try:
        choice = answer.choices[0]
        message = choice.message
        calls = tuple(call.model_dump() for call in message.tool_calls or ())
    except (AttributeError, IndexError, TypeError) as error:
        return ModelError(f"bad_reply: an answer without a choice ({error})", "bad_reply", billed=True)
    content = message.content
    if content is not None and not isinstance(content, str | list):
        kind = type(content).__name__
        return ModelError(f"bad_reply: content is no text but {kind}", "bad_reply", billed=True)
    try:
        text = read_assistant({"content": content, "refusal": _extra(message, "refusal")}).words
    except Unreadable as error:
        return ModelError(f"bad_reply: {error}", "bad_reply", billed=True)
    asked, written, thought, cached = _tokens(answer)
    return Completion(
        text if text or content is not None else None,
        calls,
        str(choice.finish_reason or ""),
        asked,
        written,
        _cost(model, asked, written, cached, answer),
        _extra(message, "reasoning_content") or _extra(message, "reasoning"),
        tuple(dict(block) for block in _extra(message, "thinking_blocks") or ()),
        thought,
        cached,
    )


def _extra(message: Any, name: str) -> Any:
    """A field that only some providers have; litellm puts those that it does not know apart."""
    found = getattr(message, name, None)
    return found if found is not None else (getattr(message, "provider_specific_fields", None) or {}).get(name)


def _tokens(answer: Any) -> tuple[int | None, int | None, int | None, int | None]:
    """Prompt, completion, reasoning and cached tokens.

    litellm says 0 where the server did not count, and no prompt has 0.
    """
    usage = getattr(answer, "usage", None)
    asked, written = getattr(usage, "prompt_tokens", None), getattr(usage, "completion_tokens", None)
    if not asked:
        return None, None, None, None
    thought = getattr(getattr(usage, "completion_tokens_details", None), "reasoning_tokens", None)
    cached = getattr(getattr(usage, "prompt_tokens_details", None), "cached_tokens", None)
    return asked, written, thought, cached


def _cost(model: Model, asked: int | None, written: int | None, cached: int | None, answer: Any) -> float | None:
    if model.prices is not None:
        if asked is None or written is None or (cached and len(model.prices) < 3):
            return None  # what a cached token costs was not said, and it is not what another one costs
        return (asked - (cached or 0)) * model.prices[0] + written * model.prices[1] + (cached or 0) * model.prices[-1]
    known = (getattr(answer, "_hidden_params", None) or {}).get("response_cost")
    # 0 is what the table holds for models of which it knows no price.
    return float(known) if known and asked is not None else None
