"""What an address leads to: a session, or nothing any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from usersim_env.study.session import PersonSession


class Found(Protocol):
    """A session by its address."""

    session: PersonSession

    def seen(self) -> None:
        """The person has just been there."""


class NotFound(Exception):
    """No session at an address: ``gone`` when there was one.

    Args:
        text: one sentence for the person.
        gone: whether the address was valid once.
    """

    def __init__(self, text: str, gone: bool = False) -> None:
        super().__init__(text)
        self.text, self.status = text, 410 if gone else 404


Find = Callable[[str], Found]
"""The session at a token; raises `NotFound`."""
