"""The agent's contract, checked before the first episode."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from usersim_env.agent import seat_of
from usersim_env.baselines import Clerk, Silent
from usersim_env.errors import UsageError


class Plain:
    name = "plain"
    settings: ClassVar[Any] = {}

    def begin(self, info: object, seed: int) -> object:
        return self

    def describe(self) -> Any:
        return self.settings


class Nameless:
    def begin(self, info: object, seed: int) -> object:
        return self


class Odd(Plain):
    settings: ClassVar[Any] = {"x": object()}


class Listing(Plain):
    settings: ClassVar[Any] = [1]


def test_a_seat_says_who_sits_there() -> None:
    assert seat_of(Silent()).name == "silent"
    assert seat_of(Clerk(ask_again=0.5)).settings["ask_again"] == 0.5
    assert seat_of(Clerk()).privileged and not seat_of(Plain()).privileged


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        (Silent, "got the class Silent"),
        (Nameless(), r"begin\(info, seed\).*got a Nameless, name=None"),
        (3, "got a int"),
        (Odd(), "dict of JSON values: TypeError"),
        (Listing(), "gives a dict, got list"),
    ],
)
def test_what_is_missing_is_named(agent: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        seat_of(agent)
