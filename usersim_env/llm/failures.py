"""What can go wrong with a model: which kind it is, and whether another try can help."""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit, urlunsplit

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

UNCONNECTED = frozenset({"ConnectError", "ConnectTimeout", "ConnectionRefusedError", "ClientConnectorError"})
"""Exceptions of httpx, aiohttp and Python, by name, for a server that was not reached at all."""

CODES: Mapping[str, int] = {
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "overloaded_error": 529,
    "server_error": 500,
    "internal_error": 500,
    "internal_server_error": 500,
    "service_unavailable": 503,
    "timeout": 504,
}
"""Codes in words that servers put into the body of an answer of status 200 → the status that they stand for."""

LONGEST = 300
_SECRET_NAME = re.compile(
    r"key|token|secret|passw(?:or)?d|passphrase|credential|auth|header|cookie|session_id|signature|private|bearer|dsn",
    re.IGNORECASE,
)
_NO_SECRET = re.compile(r"tokens$|^token_|tokeniz|^auth(?:or|ority)$|keyword|^signature_version$", re.IGNORECASE)
_SECRET = re.compile(
    r"\b(?:sk|pk|rk|key|gsk|hf|xai|r8|pplx|nvapi|fw|csk|AIza|AKIA|ghp|glpat)[-_]?[A-Za-z0-9_*-]{16,}"
    r"|\b(?:sk|pk|key|gsk|hf|xai)[-_][A-Za-z0-9_*-]{8,}|(?:Bearer|Basic)\s+\S+"
    r"|(?<=://)[^/\s@]+@"  # a login in an address
    r"|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+"  # a JSON web token
)


class OutOfBounds(Exception):
    """A server's answer that is not taken; ``kind`` is that of the failure."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


def classify(error: Exception, api_key: str | None = None) -> ModelError:
    """An exception of litellm as a `ModelError`: its kind, whether it may pass, how long to wait."""
    status = _status(error) or _status_inside(error)
    bound = next((link for link in _links(error) if isinstance(link, OutOfBounds)), None)
    if bound is not None:
        return ModelError(f"{bound.kind}: {bound}", bound.kind, billed=bound.kind == "bad_reply")
    kind = _kind(error, status)
    # A server that sends rubbish is asked again by whoever reads the answer, not by the transport.
    passes = kind in ("outage", "timeout", "rate_limit") and (status is None or status in RETRIED or status >= 500)
    text = without_secrets(" ".join(str(error).split()), api_key)
    text = re.sub(r"(litellm\.|\w+(Error|Exception): |\w+Exception - )", "", text)[:LONGEST]
    said = f" (status {status})" if status is not None else ""
    # An answer that was begun, or may have been, is charged for; one that was refused or never asked for is not.
    billed = status is None and (kind in ("timeout", "bad_reply") or (kind == "outage" and not _unconnected(error)))
    return ModelError(f"{kind}{said}: {text or type(error).__name__}", kind, passes, retry_after(error), billed)


def _unconnected(error: Exception) -> bool:
    """Whether no connection came about, so that nothing can have been asked."""
    return any(type(link).__name__ in UNCONNECTED for link in _links(error))


def _kind(error: Exception, status: int | None) -> str:
    name = type(error).__name__
    if name == "RateLimitError" and "insufficient_quota" in _texts(error):
        return "quota"
    if name in KINDS:
        return KINDS[name]
    if (inside := _status_inside(error)) == 429:
        return "quota" if "insufficient_quota" in _texts(error) else "rate_limit"
    if inside is not None:
        return _kind_of(inside)
    if any(type(link).__module__.startswith(("httpx", "httpcore")) for link in _links(error)):
        return _kind_of(status)
    if "api_key" in str(error) and "redential" in str(error):
        return "auth"
    # No transport error, no error status of the server: what came could not be read.
    code = getattr(error, "status_code", None)
    if isinstance(code, int) and code >= 500:
        return "bad_reply"
    return "bad_reply" if any(isinstance(e, json.JSONDecodeError) for e in _links(error)) else "refused_request"


def _kind_of(status: int | None) -> str:
    """Of a failure that the status tells; ``None``: no answer came."""
    if status is None or status >= 500 or status in RETRIED:
        return "outage"
    return "auth" if status in (401, 403) else "refused_request"


def _status(error: Exception) -> int | None:
    """The status that the server sent, not the one that litellm makes up for failures without any."""
    for link in _links(error):
        response = getattr(link, "response", None)
        if type(link).__name__ == "HTTPStatusError" and response is not None:
            return int(response.status_code)
    return None


def _status_inside(error: Exception) -> int | None:
    """The status that an error in the body of an answer of status 200 stands for, as proxies and gateways send it."""
    for link in _links(error):
        if type(link) is Exception and (code := getattr(link, "status_code", None)) is not None:
            if str(code).isdecimal() and 400 <= int(code) <= 599:
                return int(code)
            return CODES.get(str(code).lower(), 400)
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
    """Seconds that the server asked to wait, above 0, or ``None`` where it said nothing that can be followed.

    Read from ``retry-after-ms``, else from ``Retry-After`` as seconds or as a date (RFC 9110, section 10.2.3).
    """
    for link in _links(error):
        headers = getattr(getattr(link, "response", None), "headers", None) or {}
        exact, usual = headers.get("retry-after-ms"), headers.get("retry-after")
        if exact is not None and (wait := _seconds(str(exact))) is not None:
            return wait / 1000
        if usual is not None:
            return _seconds(str(usual))
    return None


def _seconds(value: str) -> float | None:
    """A wait above 0; the past, 0 and what is no number leave the wait to our own back-off."""
    try:
        wait = float(value)
    except ValueError:
        try:
            wait = parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    return wait if 0 < wait < math.inf else None


def without_secrets(text: str, api_key: str | None = None) -> str:
    """The text without the key in use, without the keys of the environment, and without what looks like a key."""
    secrets = [value for name, value in os.environ.items() if _SECRET_NAME.search(name) and len(value) >= 8]
    for secret in filter(None, [api_key, *secrets]):
        if len(secret) >= 6:
            text = text.replace(secret, "…")
    return _SECRET.sub("…", text)


def secret_name(name: str) -> bool:
    """Whether a parameter of this name holds something that must not be written down."""
    return bool(_SECRET_NAME.search(name)) and not _NO_SECRET.search(name)


def without_login(address: str) -> str:
    """An address without what opens it: a login, a query, and parts of the path that look like a key."""
    parts = urlsplit(address)
    path = "/".join("…" if _opens(piece) else piece for piece in parts.path.split("/"))
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, "", ""))


def _opens(piece: str) -> bool:
    """Whether a part of a path is a key: one that looks like one, or a long mixture of letters and digits."""
    mixed = len(piece) >= 20 and any(c.isdigit() for c in piece) and any(c.isalpha() for c in piece)
    return bool(_SECRET.search(piece)) or (mixed and not re.search(r"[.:]|^v\d", piece))
