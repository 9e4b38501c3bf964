"""The spaces of text and of tool calls."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from gymnasium.vector.utils import batch_space

from usersim_env.domains import World, get_domain
from usersim_env.messages import ToolCall
from usersim_env.spaces import ToolAction, UnicodeText

DOMAINS = ("mock", "retail", "airline")
PYTHON: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
}


def schemas(domain: str) -> list[Any]:
    return [tool.schema for tool in get_domain(domain).tools.values()]


@pytest.mark.parametrize("text", ["", "a b", "Grüße 🙂 你好", "\ud800", "\x00\n", "x" * 1_000_000])
def test_any_text_is_contained(text: str) -> None:
    assert text in UnicodeText()


@pytest.mark.parametrize("other", [None, 3, b"bytes", ["a"], {"a": 1}])
def test_nothing_else_is(other: object) -> None:
    assert other not in UnicodeText()


def test_text_has_a_length() -> None:
    assert "abc" in UnicodeText(3) and "abcd" not in UnicodeText(3)
    assert UnicodeText(3) == UnicodeText(3) != UnicodeText(4)
    assert hash(UnicodeText(3)) == hash(UnicodeText(3))
    assert all(len(UnicodeText(2, seed=i).sample()) <= 2 for i in range(20))


def test_text_samples_are_seeded_and_not_all_ascii() -> None:
    first, second = UnicodeText(seed=1), UnicodeText(seed=1)
    samples = [first.sample() for _ in range(50)]
    assert samples == [second.sample() for _ in range(50)]
    assert len(set(samples)) > 30 and not all(text.isascii() for text in samples)
    assert all(text in first for text in samples)


@pytest.mark.parametrize("space", [UnicodeText(9), ToolAction(schemas("mock"))], ids=["text", "action"])
def test_spaces_pass_through_pickle_and_batches(space: Any) -> None:
    assert pickle.loads(pickle.dumps(space)) == space
    assert not space.is_np_flattenable
    batch = batch_space(space, 3)
    assert batch.sample() in batch
    assert type(space).__name__ in repr(space)


def check_schema(value: Any, schema: Any) -> None:
    """The part of JSON Schema that the tools use."""
    assert set(schema) <= {"type", "description", "enum", "items", "properties", "required", "additionalProperties"}
    assert isinstance(value, PYTHON[schema["type"]])
    assert value in schema.get("enum", [value])
    if schema["type"] == "object":
        assert set(schema.get("required", ())) <= set(value) <= set(schema.get("properties", {}))
        for key, item in value.items():
            check_schema(item, schema["properties"][key])
    if schema["type"] == "array":
        for item in value:
            check_schema(item, schema["items"])


@pytest.mark.parametrize("domain", DOMAINS)
def test_samples_are_valid_by_the_tools_schemas(domain: str) -> None:
    space = ToolAction(schemas(domain), seed=0)
    names = set()
    for _ in range(600):
        action = space.sample()
        assert action in space and set(action) == {"name", "arguments"}
        names.add(action["name"])
        if action["name"] != "respond":
            check_schema(action["arguments"], space.tools[action["name"]])
    assert names == {"respond", *get_domain(domain).tools}


@pytest.mark.parametrize("domain", DOMAINS)
def test_no_sample_is_a_wrong_call(domain: str) -> None:
    """A made-up id is not found; a wrong or missing argument would be another error."""
    space = ToolAction(schemas(domain), seed=1)
    for _ in range(300):
        action = space.sample()
        if action["name"] != "respond":
            result = World(get_domain(domain)).call(ToolCall(action["name"], action["arguments"]))
            assert "argument" not in result.content and "Unknown action" not in result.content


def test_samples_are_seeded() -> None:
    first, second = ToolAction(schemas("retail")), ToolAction(schemas("retail"))
    first.seed(5)
    second.seed(5)
    assert [first.sample() for _ in range(20)] == [second.sample() for _ in range(20)]


@pytest.mark.parametrize("inside", [{}, {"x": object()}, {1: 2}, {"content": float("nan")}])
def test_whatever_is_inside_is_contained(inside: Any) -> None:
    assert {"name": "no such tool", "arguments": inside} in ToolAction(schemas("mock"))


@pytest.mark.parametrize(
    "other",
    [
        *(None, "respond", ("respond", {}), {}, {"name": "a"}, {"arguments": {}}, {"name": 1, "arguments": {}}),
        *({"name": "a", "arguments": []}, {"name": "a", "arguments": "{}"}),
    ],
)
def test_another_shape_is_not(other: object) -> None:
    assert other not in ToolAction(schemas("mock"))


def test_equality_is_by_tools() -> None:
    retail, mock = ToolAction(schemas("retail")), ToolAction(schemas("mock"))
    assert retail == ToolAction(schemas("retail")) != mock
    assert retail != UnicodeText()
    assert hash(retail) == hash(ToolAction(schemas("retail")))
