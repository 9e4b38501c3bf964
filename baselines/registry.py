"""Agents by name: ``make_agent("clerk:wrong_argument=0.2,ask_again=0")``."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from usersim_env.agent import Agent
from usersim_env.baselines.clerk import Clerk
from usersim_env.baselines.oracle import Oracle
from usersim_env.baselines.silent import Silent
from usersim_env.baselines.tool_calling import ToolCalling
from usersim_env.errors import UsageError, unknown

AGENTS: Mapping[str, type] = MappingProxyType(
    {"silent": Silent, "oracle": Oracle, "clerk": Clerk, "tool_calling": ToolCalling}
)
"""Name → class of the agents that come with the package."""

_FORM = "Expected NAME, NAME:setting=value,setting=value or module:Class, for example clerk:ask_again=0."


def make_agent(spec: str) -> Agent:
    """Builds an agent from a text.

    Args:
        spec: ``"clerk"``; ``"clerk:wrong_argument=0.2,ask_again=0"``; ``"tool_calling:model=openai/gpt-4o"``; or a
            class or function of your own, ``"my_pkg.agents:MyAgent"``, with settings after another colon.

    Raises:
        UnknownName: no such agent or setting; the message suggests one.
        UsageError: a module that cannot be imported, a value of the wrong type or range, a setting that is missing.
    """
    if not isinstance(spec, str) or not spec.strip():
        raise UsageError(f"An agent is named by a text, got {spec!r}. {_FORM}")
    name, _, rest = (part.strip() for part in spec.partition(":"))
    if name in AGENTS:
        return _build(name, AGENTS[name], rest)
    attribute, _, settings = rest.partition(":")
    if not all(part.isidentifier() for part in (*name.split("."), attribute)):
        raise unknown("agent", name, AGENTS, _FORM)
    return _build(f"{name}:{attribute}", load(name, attribute), settings)


def load(module: str, attribute: str) -> Callable[..., Any]:
    """A class or function of somebody's module.

    Raises:
        UsageError: there is no such module, or nothing callable of that name in it.
    """
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ImportError as error:
        raise UsageError(f"The agent {module}:{attribute} could not be imported: {error}. {_FORM}") from error
    if not callable(found):
        raise UsageError(f"The module {module} has no class or function {attribute!r}. {_FORM}")
    return found  # type: ignore[no-any-return]


def _build(name: str, make: Callable[..., Any], text: str) -> Agent:
    parameters = inspect.signature(make, eval_str=True).parameters
    settings: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals:
            raise UsageError(f"A setting of {name} is written setting=value, got {item!r}.")
        if key not in parameters:
            raise unknown(f"setting of {name}", key, parameters)
        settings[key] = _value(f"{key} of {name}", value, parameters[key].annotation)
    for key, parameter in parameters.items():
        needed = parameter.default is parameter.empty and parameter.kind in _NAMED
        if needed and key not in settings:
            raise UsageError(f"{name} needs {key}. Type: {name}:{key}=…")
    agent = make(**settings)
    if not callable(getattr(agent, "begin", None)):
        raise UsageError(f"{name} made a {type(agent).__name__}, which is no agent: it has no begin(info, seed).")
    return agent  # type: ignore[no-any-return]


_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _value(what: str, text: str, annotation: Any) -> Any:
    """The text as the type that the setting is annotated with; a str where it says nothing else."""
    if annotation is bool:
        if text.lower() not in _BOOLS:
            raise UsageError(f"{what} is true or false, got {text!r}.")
        return _BOOLS[text.lower()]
    if text.lower() == "none" and type(None) in typing.get_args(annotation):
        return None
    annotation = {int | None: int, float | None: float}.get(annotation, annotation)
    if annotation in (int, float):
        try:
            return annotation(text)
        except ValueError:
            kind = "an integer" if annotation is int else "a number"
            raise UsageError(f"{what} is {kind}, got {text!r}.") from None
    return text
