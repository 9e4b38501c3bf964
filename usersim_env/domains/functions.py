"""A tool from a plain function: the schema is read from its annotations and its docstring."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from pydantic import create_model
from pydantic.errors import PydanticUserError

from usersim_env.domains.world import Tool
from usersim_env.errors import UsageError


def tool_of(function: Callable[..., Any]) -> Tool:
    """The tool that a function ``name(data, argument: type, …) -> str`` with a docstring is.

    Types are those of JSON: str, int, float, bool, list[str], ``Literal["a", "b"]``, pydantic models.

    Raises:
        UsageError: no docstring, no ``data`` in front, or an argument without a type that JSON has.
    """
    name = getattr(function, "__name__", None)
    if not callable(function) or name is None:
        raise UsageError(f"A tool is a function (or a Tool), got {function!r:.80}.")
    description = inspect.getdoc(function)
    if not description:
        raise UsageError(f"The tool {name} has no docstring: the agent reads it as the tool's description.")
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or parameters[0].name != "data":
        raise UsageError(f"The tool {name} takes the database first: def {name}(data, …) -> str.")
    fields: dict[str, Any] = {}
    try:
        hints = get_type_hints(function)
        for parameter in parameters[1:]:
            if parameter.name not in hints or parameter.kind is parameter.VAR_KEYWORD:
                raise UsageError(f"The tool {name} gives no type for {parameter.name}, such as {parameter.name}: str.")
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[parameter.name] = (hints[parameter.name], default)
        schema = create_model(name, **fields).model_json_schema()
    except (NameError, PydanticUserError, TypeError) as error:
        raise UsageError(f"The tool {name} has a type that JSON does not have: {error}") from None
    parts = _untitled(schema)
    parameters_of = {"type": "object", "properties": {}} | parts
    described = {"name": name, "description": description, "parameters": parameters_of}
    return Tool(name, {"type": "function", "function": described}, function)


def _untitled(schema: Any) -> Any:
    """Without the titles that pydantic makes of names."""
    if isinstance(schema, dict):
        return {k: _untitled(v) for k, v in schema.items() if k != "title" or not isinstance(v, str)}
    return [_untitled(item) for item in schema] if isinstance(schema, list) else schema
