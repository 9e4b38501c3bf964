"""JSON values: compared as τ-bench compares them, copied, and refused where they are not JSON."""

from __future__ import annotations

import collections
import enum
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usersim_env.domains.canonical import (
    MAX_DEPTH,
    MAX_DIGITS,
    NotJson,
    canonical,
    checked,
    copied,
    copier,
    evidence,
    sha256,
)

FINITE = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | FINITE | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def upstream_text(item: Any) -> str:
    """What τ-bench hashes, written down again from its description."""

    def tuples(value: Any) -> Any:
        if isinstance(value, dict):
            return tuple((key, tuples(value[key])) for key in sorted(value))
        return tuple(tuples(v) for v in value) if isinstance(value, list) else value

    return str(tuples(item))


@given(JSON)
def test_canonical_is_the_text_of_nested_tuples(value: Any) -> None:
    assert canonical(value) == upstream_text(value)


@pytest.mark.parametrize(("a", "b"), [(1, 1.0), (1, True), (0, False), (0.0, -0.0), ("1", 1), (None, "")])
def test_equal_is_stricter_than_python(a: Any, b: Any) -> None:
    assert canonical({"x": [a]}) != canonical({"x": [b]})


def test_a_list_of_pairs_equals_a_dict_and_order_of_keys_is_nothing() -> None:
    assert canonical({"a": 1, "b": 2}) == canonical([["a", 1], ["b", 2]]) == canonical({"b": 2, "a": 1})
    assert canonical([1, 2]) != canonical([2, 1])


@given(JSON)
def test_copies_are_equal_and_share_no_container(value: Any) -> None:
    for copy in (copied(value), checked(value), copier(value)()):
        assert json.dumps(copy) == json.dumps(value), "same types, same order of keys"
        assert not containers(copy) & containers(value)


def containers(value: Any) -> set[int]:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return set() if inside is None else {id(value)}.union(*map(containers, inside))


def test_a_copier_builds_a_new_value_each_time() -> None:
    make = copier({"a": [1]})
    make()["a"].append(2)
    assert make() == {"a": [1]}


class Colour(str, enum.Enum):
    RED = "red"


class Loud(str):
    def __str__(self) -> str:
        return self  # would never become plain


class Pair(collections.namedtuple("Pair", "a b")):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.float64(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.array(7), 7),
        (Colour.RED, "red"),
        (Loud("x"), "x"),
        (collections.OrderedDict(a=(1, 2)), {"a": [1, 2]}),
        (Pair(1, 2), [1, 2]),
        ({Colour.RED: 1}, {"red": 1}),
        ("\ud800", "\ud800"),
    ],
)
def test_what_holds_json_becomes_plain_json(value: Any, plain: Any) -> None:
    found = checked({"v": value})["v"]
    assert found == plain
    assert type(found) is type(plain)
    assert canonical(found) == canonical(plain)


def cyclic() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def doubling(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value, value]
    return value


def nested(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


NOT_JSON = [
    (float("nan"), "arguments.v is nan, which JSON does not have"),
    (np.float64("inf"), "arguments.v is inf"),
    ([1, {"w": -float("inf")}], r"arguments.v\[1\].w is -inf"),
    (10**MAX_DIGITS, "arguments.v is a number of more than 300 digits"),
    (-(10**MAX_DIGITS), "more than 300 digits"),
    ({1: 2}, "arguments.v has the key 1, a int; keys are strings"),
    ({None: 2}, "has the key None, a NoneType"),
    ({1, 2}, "arguments.v is a set, not a JSON value"),
    (b"x", "is a bytes, not a JSON value"),
    (np.zeros(2), "is a ndarray, not a JSON value"),
    (np.longdouble(1), "not a JSON value"),
    (1j, "is a complex"),
    (object(), "is a object"),
    (cyclic(), "nested more than 32 deep"),
    (nested(MAX_DEPTH), "nested more than 32 deep"),
    (doubling(30), "more than 100000 values"),
]


@pytest.mark.parametrize(("value", "message"), NOT_JSON, ids=range(len(NOT_JSON)))
def test_what_is_not_json_is_refused_by_place_and_kind(value: Any, message: str) -> None:
    with pytest.raises(NotJson, match=message):
        checked({"v": value})


def test_the_bounds_themselves_pass() -> None:
    value = {"v": nested(MAX_DEPTH - 1), "n": 10**MAX_DIGITS - 1}
    assert checked(value) == value


class Rude:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    "value", [v for v, _ in NOT_JSON] + [Rude(), doubling(90), "\ud800"], ids=lambda v: type(v).__name__
)
def test_evidence_of_anything_is_small_json(value: Any) -> None:
    kept = evidence({"v": value})
    assert len(json.dumps(kept, allow_nan=False)) < 20_000_000


def test_evidence_keeps_what_came() -> None:
    assert evidence({"a": [1, float("nan")], 2: b"x"}) == {
        "$items": [["a", [1, {"$repr": "nan"}]], [2, {"$repr": "b'x'"}]]
    }
    assert evidence(Rude()) == {"$repr": "<Rude whose repr raises RuntimeError>"}


@given(st.text())
def test_hash_of_any_text(text: str) -> None:
    assert len(sha256(text + "\ud800")) == 64
    assert sha256(text) != sha256(text + "\ud800")
