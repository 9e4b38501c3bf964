"""What a server may send back: so many bytes, and no redirection to somebody else.

litellm takes an HTTP client of ours for OpenAI-compatible addresses (``openai/``, ``text-completion-openai/``,
``hosted_vllm/``); other providers are asked through litellm's own, which has no such bounds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import httpx

from usersim_env.llm.failures import OutOfBounds
from usersim_env.llm.model import Model

MOST_BYTES = 8 * 1024 * 1024
"""Bytes of one answer, counted while they come in; no chat answer is longer."""

BOUNDED = ("openai", "text-completion-openai", "hosted_vllm")
"""Providers, as litellm names them, that are asked through our client."""


def sync_client(model: Model, key: str | None) -> Any:
    """The client for a model in plain code; ``None`` where litellm brings its own."""
    return _sync_client(model.provider, model.api_base, key, model.timeout) if model.provider in BOUNDED else None


def async_client(model: Model, key: str | None) -> Any:
    """The client for a model in the running event loop; ``None`` where litellm brings its own."""
    if model.provider not in BOUNDED:
        return None
    clients = _of_loops.setdefault(asyncio.get_running_loop(), {})
    settings = (model.provider, model.api_base, key, model.timeout)
    if settings not in clients:
        clients[settings] = _async_client(*settings)
    return clients[settings]


async def close_clients() -> None:
    """Closes those of the running event loop."""
    for client in _of_loops.pop(asyncio.get_running_loop(), {}).values():
        await client.close()


_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Any, Any]] = WeakKeyDictionary()


@lru_cache(maxsize=64)
def _sync_client(provider: str, base: str | None, key: str | None, timeout: float) -> Any:
    http = httpx.Client(transport=_Sync(httpx.HTTPTransport(limits=_LIMITS)), follow_redirects=True, timeout=timeout)
    if provider == "hosted_vllm":
        from litellm.llms.custom_httpx.http_handler import HTTPHandler

        return HTTPHandler(client=http)
    import openai

    return openai.OpenAI(api_key=key or "none", base_url=base, http_client=http, max_retries=0)


def _async_client(provider: str, base: str | None, key: str | None, timeout: float) -> Any:
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

    # litellm's own transport is several times faster than httpx's.
    inner = AsyncHTTPHandler._create_async_transport() or httpx.AsyncHTTPTransport(limits=_LIMITS)
    http = httpx.AsyncClient(transport=_Async(inner), follow_redirects=True, timeout=timeout)
    if provider == "hosted_vllm":
        handler = AsyncHTTPHandler(timeout=timeout)
        handler.client = http
        return handler
    import openai

    return openai.AsyncOpenAI(api_key=key or "none", base_url=base, http_client=http, max_retries=0)


_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=None)


class _Sync(httpx.BaseTransport):
    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["accept-encoding"] = "identity"
        response = self._inner.handle_request(request)
        _check(request, response)
        response.stream = _SyncStream(response.stream)  # type: ignore[arg-type]
        return response

    def close(self) -> None:
        self._inner.close()


class _Async(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["accept-encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        _check(request, response)
        response.stream = _AsyncStream(response.stream)  # type: ignore[arg-type]
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _SyncStream(httpx.SyncByteStream):
    def __init__(self, inner: httpx.SyncByteStream) -> None:
        self._inner, self._size = inner, 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._inner:
            self._size = _counted(self._size, piece)
            yield piece

    def close(self) -> None:
        self._inner.close()


class _AsyncStream(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream) -> None:
        self._inner, self._size = inner, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._inner:
            self._size = _counted(self._size, piece)
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()


def _counted(size: int, piece: bytes) -> int:
    if size + len(piece) > MOST_BYTES:
        raise OutOfBounds(f"the answer is longer than {MOST_BYTES >> 20} MiB", "bad_reply")
    return size + len(piece)


def _check(request: Any, response: Any) -> None:
    """Refuses a redirection that would hand the conversation to another host, and what hides its size."""
    if response.has_redirect_location:
        target = request.url.join(response.headers["location"])
        if (target.scheme, target.host, target.port) != (request.url.scheme, request.url.host, request.url.port):
            raise OutOfBounds(f"{request.url.host} redirects to another address, {target.host}", "refused_request")
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise OutOfBounds(f"the answer is compressed ({encoding}), which was not asked for", "bad_reply")
