"""What an address leads to: a session, or nothing any more."""

from __future__ import annotations

from collections.abc import Callable

from usersim_env.person.session import PersonSession


class NotFound(Exception):
    """No session at an address: ``gone`` when there was one.

    Args:
        text: one sentence for the person.
        gone: whether the address was valid once.
    """

    def __init__(self, text: str, gone: bool = False) -> None:
        super().__init__(text)
        self.text, self.status = text, 410 if gone else 404


Find = Callable[[str], PersonSession]
"""The session at a token; raises `NotFound`."""
