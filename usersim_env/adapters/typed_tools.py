"""Tools as typed Python methods, for libraries that read a tool from a function's signature and docstring."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable, Mapping
from typing import Any, Literal

from usersim_env.errors import UsageError

Act = Callable[[Any, str, dict[str, Any]], str]
"""Of the object, the tool's name and the arguments that were given: the answer."""

_TYPES: Mapping[str, Any] = {"string": str, "integer": int, "number": float, "boolean": bool, "object": dict}


def typed_method(schema: Mapping[str, Any], act: Act) -> Callable[..., str]:
    """A method with the name, types and docstring of a tool.

    Args:
        schema: the tool as an OpenAI function schema (the inner object); arguments that it does not require have the
            default ``None`` and are left out when they are not given.
        act: what the method does.

    Raises:
        UsageError: a name that cannot be one in Python.
    """
    name, properties = schema["name"], schema["parameters"].get("properties", {})
    required = schema["parameters"].get("required", [])

    def method(self: Any, **arguments: Any) -> str:
        given = {key: value for key, value in arguments.items() if value is not None}
        return act(self, name, given)

    ordered = sorted(properties, key=lambda key: key not in required)
    if not all(key.isidentifier() and not keyword.iskeyword(key) for key in (name, *ordered)):
        raise UsageError(f"The tool {name!r} or one of its arguments {ordered} cannot be named in Python.")
    hints = {key: _hint(properties[key]) if key in required else _hint(properties[key]) | None for key in ordered}
    parameters = [
        inspect.Parameter(
            key,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=inspect.Parameter.empty if key in required else None,
            annotation=hints[key],
        )
        for key in ordered
    ]
    this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    lines = [f"    {key}: {_told(properties[key], key)}" for key in ordered]
    described = " ".join(str(schema.get("description") or name).split())
    method.__name__ = method.__qualname__ = name
    method.__doc__ = "\n".join(
        [described, "", *(["Args:", *lines, ""] if lines else []), "Returns:", "    The answer."]
    )
    method.__annotations__ = {**hints, "return": str}
    method.__signature__ = inspect.Signature([this, *parameters], return_annotation=str)  # type: ignore[attr-defined]
    return method


def _told(schema: Mapping[str, Any], name: str) -> str:
    """A description in one line, with the fields of the objects inside, which a type of Python does not name."""
    text = " ".join(str(schema.get("description") or name).split())
    inner = schema.get("items", {}) if schema.get("type") == "array" else schema
    fields = inner.get("properties", {})
    if not fields:
        return text
    named = "; ".join(
        f"{key} ({field.get('type', 'string')}): {_told(field, key).rstrip('.')}" for key, field in fields.items()
    )
    return f"{text.rstrip('.')}. {'It' if inner is schema else 'Each'} has the fields {named}."


def _hint(schema: Mapping[str, Any]) -> Any:
    if "enum" in schema:
        return Literal[tuple(schema["enum"])]
    if schema.get("type") == "array":
        return list[_hint(schema.get("items", {}))]  # type: ignore[misc]
    return _TYPES.get(schema.get("type", ""), str)
