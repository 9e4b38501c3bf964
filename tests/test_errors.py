"""The tree of errors, and messages that say what came and what there is."""

from __future__ import annotations

import inspect
import re

import pytest

from usersim_env import errors
from usersim_env.errors import Abandoned, BadReply, UnknownName, UserSideError, UsersimError, told, unknown

CLASSES = [value for _, value in inspect.getmembers(errors, inspect.isclass) if value.__module__ == errors.__name__]


def depth(cls: type) -> int:
    return 0 if cls is UsersimError else 1 + depth(cls.__bases__[0])


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn = {
        match["name"]: len(match["lines"]) // 4
        for match in re.finditer(r"^    (?P<lines>[│├└─ ]*)(?P<name>[A-Z]\w+)", errors.__doc__ or "", re.MULTILINE)
    }
    assert drawn == {cls.__name__: depth(cls) for cls in CLASSES}


@pytest.mark.parametrize("cls", CLASSES)
def test_all_are_ours_and_documented(cls: type[Exception]) -> None:
    assert issubclass(cls, UsersimError)
    assert cls.__doc__


def test_mistakes_of_the_caller_are_value_errors_and_others_are_not() -> None:
    assert issubclass(errors.UsageError, ValueError)
    assert not issubclass(UserSideError, ValueError) and not issubclass(errors.OutOfTurn, ValueError)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UserSideError("m"), "error"),
        (UserSideError("m", kind="timeout"), "timeout"),
        (Abandoned("m"), "abandoned"),
        (BadReply("m"), "bad_reply"),
    ],
)
def test_kinds(error: UserSideError, kind: str) -> None:
    assert (error.kind, str(error)) == (kind, "m")
    assert UserSideError.kind == "error", "the class keeps its own"


@pytest.mark.parametrize(
    ("got", "known", "message"),
    [
        ("retial", ["retail", "airline"], "Unknown domain 'retial'. Did you mean 'retail'?"),
        ("zzz", ["retail", "airline"], "Unknown domain 'zzz'. Known: retail, airline."),
        (None, ["retail"], "Unknown domain None. Known: retail."),
        ("zzz", [], "Unknown domain 'zzz'. Known: none."),
        ("zzz", [str(i) for i in range(99)], "Unknown domain 'zzz'. There are 99, for example '0' and '98'."),
    ],
)
def test_unknown_names(got: object, known: list[str], message: str) -> None:
    error = unknown("domain", got, iter(known))
    assert isinstance(error, UnknownName) and str(error) == message
    assert str(unknown("domain", got, known, "Type: x")) == f"{message} Type: x"


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_told() -> None:
    assert told(KeyError("x")) == "KeyError: 'x'"
    assert told(Unprintable()) == "Unprintable"
