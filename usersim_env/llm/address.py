"""Which address a model is asked at, and which key belongs to that address."""

from __future__ import annotations

import os
import warnings

from usersim_env.errors import UsageError

OPENAI = ("openai", "text-completion-openai")
"""Providers whose address and key come from the environment under OpenAI's names."""

FROM_ENVIRONMENT = "env"
"""As ``api_key``: send the key of the environment, to whichever address."""


def environment_base(provider: str) -> str | None:
    """The address that the environment names for a provider, by either of the two usual names."""
    if provider not in OPENAI:
        return None
    return os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_BASE") or None


def key_for(provider: str, api_base: str | None, api_key: str | None) -> str | None:
    """The key to send; ``None`` leaves it to litellm, which looks into the environment.

    A key of the environment belongs to the address of the environment, or to the provider's own. To an address that
    somebody has typed it is sent only as ``api_key="env"``.

    Raises:
        UsageError: ``api_key`` is ``"env"``, and the environment has none.
    """
    if api_key == FROM_ENVIRONMENT:
        if provider not in OPENAI:
            return None
        if not (found := os.environ.get("OPENAI_API_KEY")):
            raise UsageError(
                "api_key='env' sends the key in OPENAI_API_KEY, which is not set. Set it, or leave api_key out."
            )
        return found
    if api_key is not None or api_base is None:
        return api_key
    if api_base == environment_base(provider):
        return os.environ.get("OPENAI_API_KEY") or "none"
    return "none"  # a local server asks for none, but the client insists on one


def warn_of_kept_key(provider: str, api_base: str | None, api_key: str | None) -> None:
    """Says once, where a model is set up, that a key of the environment will not be sent to its address."""
    given = api_base is not None and api_key is None and api_base != environment_base(provider)
    if given and provider in OPENAI and os.environ.get("OPENAI_API_KEY"):
        warnings.warn(
            f"OPENAI_API_KEY is not sent to {api_base}, which is another address than its own. "
            "Type api_key='env' if the key is meant for that server.",
            stacklevel=4,
        )
