"""What can go wrong with a model: which kind it is, and whether another try can help."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime

from usersim_env.errors import ModelError

__all__ = ["ModelError", "classify", "retry_after", "without_secrets"]

RETRIED = frozenset({408, 409, 429})
"""Statuses below 500 that can pass; from 500 on all can."""

KINDS: Mapping[str, str] = {
    "Timeout": "timeout",
    "ContextWindowExceededError": "context_length",
    "ContentPolicyViolationError": "content_policy",
    "AuthenticationError": "auth",
    "PermissionDeniedError": "auth",
    "RateLimitError": "rate_limit",
}
"""litellm's exception, by name → kind. The others are told apart by status and by what caused them."""

LONGEST = 300
_SECRET_NAME = re.compile(r"key|token|secret|password|credential|authorization|header", re.IGNORECASE)
_SECRET = re.compile(r"\b(sk|pk|key|gsk|hf|xai)[-_][A-Za-z0-9_*-]{8,}|Bearer\s+\S+")


def classify(error: Exception, api_key: str | None = None) -> ModelError:
    """An exception of litellm as a `ModelError`: its kind, whether it may pass, how long to wait."""
    status = _status(error)
    kind = _kind(error, status)
    # A server that sends rubbish is asked again by whoever reads the answer, not by the transport.
    passes = kind in ("outage", "timeout", "rate_limit") and (status is None or status in RETRIED or status >= 500)
    text = without_secrets(" ".join(str(error).split()), api_key)
    text = re.sub(r"(litellm\.|\w+(Error|Exception): |\w+Exception - )", "", text)[:LONGEST]
    said = f" (status {status})" if status is not None else ""
    return ModelError(f"{kind}{said}: {text or type(error).__name__}", kind, passes, retry_after(error))


def _kind(error: Exception, status: int | None) -> str:
    name = type(error).__name__
    if name == "RateLimitError" and "insufficient_quota" in _texts(error):
        return "quota"
    if name in KINDS:
        return KINDS[name]
    if any(type(link).__module__.startswith(("httpx", "httpcore")) for link in _links(error)):
        if status is None or status >= 500 or status in RETRIED:
            return "outage"
        return "auth" if status in (401, 403) else "refused_request"
    if "api_key" in str(error) and "redential" in str(error):
        return "auth"
    # No transport error, no error status of the server: what came could not be read.
    code = getattr(error, "status_code", None)
    if isinstance(code, int) and code >= 500:
        return "bad_reply"
    return "bad_reply" if any(isinstance(e, json.JSONDecodeError) for e in _links(error)) else "refused_request"


def _status(error: Exception) -> int | None:
    """The status that the server sent, not the one that litellm makes up for failures without any."""
    for link in _links(error):
        response = getattr(link, "response", None)
        if type(link).__name__ == "HTTPStatusError" and response is not None:
            return int(response.status_code)
    return None


def _links(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and what caused it, outermost first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _texts(error: Exception) -> str:
    found = [str(getattr(link, "body", "")) + str(getattr(link, "message", "")) for link in _links(error)]
    return " ".join(found)


def retry_after(error: Exception) -> float | None:
    """Seconds that the server asked to wait (``Retry-After`` as seconds or as a date), or ``None``."""
    for link in _links(error):
        headers = getattr(getattr(link, "response", None), "headers", None) or {}
        value = headers.get("retry-after")
        if value is not None:
            return _seconds(str(value))
    return None


def _seconds(value: str) -> float | None:
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def without_secrets(text: str, api_key: str | None = None) -> str:
    """The text without the key in use, without the keys of the environment, and without what looks like a key."""
    secrets = [value for name, value in os.environ.items() if _SECRET_NAME.search(name) and len(value) >= 8]
    for secret in filter(None, [api_key, *secrets]):
        if len(secret) >= 6:
            text = text.replace(secret, "…")
    return _SECRET.sub("…", text)


def secret_name(name: str) -> bool:
    """Whether a parameter of this name holds something that must not be written down."""
    return bool(_SECRET_NAME.search(name)) and not name.endswith("_tokens")
