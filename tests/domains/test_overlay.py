"""The copy-on-write view: what readers and writers see, and what is found to have changed."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from usersim_env.domains.canonical import canonical
from usersim_env.domains.overlay import Overlay, digest, joined, texts

BASE: dict[str, dict[str, Any]] = {
    "fixed": {"f": {"n": 0}},
    "items": {"a": {"n": 1, "tags": ["x"]}, "b": {"n": 2}, "c": {"n": 3}},
}


@pytest.fixture
def base() -> dict[str, dict[str, Any]]:
    return copy.deepcopy(BASE)


@pytest.fixture
def overlay(base: dict[str, dict[str, Any]]) -> Overlay:
    return Overlay(base, {"items"})


def test_readers_get_the_records_themselves(base: dict[str, Any], overlay: Overlay) -> None:
    assert overlay.reader["items"]["a"] is base["items"]["a"]
    assert overlay.reader["fixed"] is overlay.writer["fixed"] is base["fixed"]


def test_writers_get_one_copy_on_first_touch(base: dict[str, Any], overlay: Overlay) -> None:
    record = overlay.writer["items"]["a"]
    assert record == base["items"]["a"]
    assert record is not base["items"]["a"]
    assert record["tags"] is not base["items"]["a"]["tags"]
    assert overlay.writer["items"]["a"] is record


def test_readers_see_what_was_touched_and_the_base_stays(base: dict[str, Any], overlay: Overlay) -> None:
    overlay.writer["items"]["a"]["tags"].append("y")
    overlay.writer["items"]["z"] = {"n": 26}
    reader = overlay.reader["items"]
    assert reader["a"]["tags"] == ["x", "y"]
    assert list(reader) == list(reader.keys()) == ["a", "b", "c", "z"], "the base's order, new ones last"
    assert [record["n"] for record in reader.values()] == [1, 2, 3, 26]
    assert dict(reader.items())["a"]["tags"] == ["x", "y"]
    assert len(reader) == 4 and "z" in reader and "q" not in reader
    assert base == BASE


def test_a_writer_that_scans_gets_copies(base: dict[str, Any], overlay: Overlay) -> None:
    for record in overlay.writer["items"].values():
        record["n"] += 1
    for _, record in overlay.writer["items"].items():
        record["n"] += 1
    assert [record["n"] for record in overlay.reader["items"].values()] == [3, 4, 5]
    assert base == BASE


@pytest.mark.parametrize("side", ["reader", "writer"])
def test_a_missing_key_fails_as_in_a_dict(overlay: Overlay, side: str) -> None:
    table = getattr(overlay, side)["items"]
    with pytest.raises(KeyError, match=r"^'q'$"):
        table["q"]
    assert table.get("q") is None
    with pytest.raises(TypeError, match="unhashable type: 'list'"):
        [] in table  # noqa: B015


def test_records_are_not_removed(overlay: Overlay) -> None:
    with pytest.raises(TypeError, match="declare no writers"):
        del overlay.writer["items"]["a"]


def test_touched_is_not_changed(overlay: Overlay) -> None:
    record = overlay.writer["items"]["a"]
    assert overlay.changed() == {}
    record["n"] = 5
    assert overlay.changed() == {("items", "a"): canonical({"n": 5, "tags": ["x"]})}
    record["n"] = 1
    assert overlay.changed() == {}, "put back"


@pytest.mark.parametrize("value", [1.0, True, "1"])
def test_changed_looks_at_types(overlay: Overlay, value: Any) -> None:
    overlay.writer["items"]["a"]["n"] = value
    assert list(overlay.changed()) == [("items", "a")]


def test_new_records_are_changes_and_the_order_of_keys_is_none(overlay: Overlay) -> None:
    overlay.writer["items"]["a"] = {"tags": ["x"], "n": 1}
    assert overlay.changed() == {}
    overlay.writer["items"]["z"] = {}
    assert overlay.changed() == {("items", "z"): "()"}


def test_digest_is_of_content_not_of_order() -> None:
    one = {("t", "a"): "1", ("t", "b"): "2"}
    assert digest(one) == digest(dict(reversed(one.items())))
    assert digest(one) != digest({("t", "a"): "2", ("t", "b"): "1"})
    assert digest({}) != digest({("t", "a"): "()"})


@pytest.mark.parametrize("data", [BASE, {"one": {"k": [1]}}, {"none": {}, "two": {"k": {}, "j": None}}, {}])
def test_the_text_of_a_database_is_put_together_from_its_records(data: dict[str, Any]) -> None:
    assert joined(texts(data), data) == canonical(data)
