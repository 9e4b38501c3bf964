"""The user side in a text, for the shell: ``llm:model=openai/gpt-4o,strategy=verify,trait.patience=low``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from usersim_env.errors import UsageError, unknown
from usersim_env.llm import Cassette, Model
from usersim_env.users.llm.user import LLMUser

FORM = "llm:MODEL, or llm:model=MODEL,setting=value,…, for example llm:model=openai/gpt-4o-mini,strategy=verify"

_TRAIT = "trait."
_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _bool(text: str) -> bool:
    if text.lower() not in _BOOLS:
        raise ValueError(text)
    return _BOOLS[text.lower()]


_MODEL: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "api_base": (str, "an address"),
    "temperature": (float, "a number"),
    "max_tokens": (int, "an integer"),
    "timeout": (float, "a number of seconds"),
    "retries": (int, "an integer"),
    "backoff": (float, "a number of seconds"),
    "max_wait": (float, "a number of seconds"),
    "max_parallel": (int, "an integer"),
    "rpm": (float, "a number"),
    "send_seed": (_bool, "true or false"),
}
_USER: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "strategy": (str, "a name"),
    "adapter": (str, "a name"),
    "persona": (str, "a text"),
    "attempts": (int, "an integer"),
    "survey_model": (str, "a model"),
    "prompt": (str, "a file or tau-bench"),
}
SETTINGS = ("model", *_MODEL, "cassette", "cassette_mode", *_USER, f"{_TRAIT}NAME")
"""What can be said; keys of an account cannot, as a command line is seen by others: put them into the environment."""


def make_llm_user(spec: str) -> LLMUser:
    """The user side that a text names.

    Args:
        spec: see `FORM` and `SETTINGS`. A comma in a value cannot be written.

    Raises:
        UnknownName: a setting, strategy, adapter or trait that there is not.
        UsageError: another kind, no model, or a value of the wrong type.
    """
    kind, _, rest = spec.partition(":")
    if kind != "llm" or not rest.strip():
        raise UsageError(f"A user side is written {FORM}; got {spec!r}.")
    if "=" not in rest.partition(",")[0]:
        return LLMUser(rest.strip())
    given = dict(_items(rest))
    name = given.pop("model", None)
    if name is None:
        raise UsageError(f"The user side {spec!r} names no model: llm:model=openai/gpt-4o-mini,…")
    traits = {key.removeprefix(_TRAIT): value for key, value in given.items() if key.startswith(_TRAIT)}
    tape, mode = given.pop("cassette", None), given.pop("cassette_mode", "replay")
    cassette = None if tape is None else Cassette(tape, mode)
    model = Model(name, cassette=cassette, **_read(given, _MODEL))
    return LLMUser(model, traits=traits, **_read(given, _USER))


def _items(text: str) -> Iterator[tuple[str, str]]:
    for item in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals:
            raise UsageError(f"A setting of the user side is written setting=value, got {item!r}.")
        if key not in SETTINGS and not key.startswith(_TRAIT):
            raise unknown("setting of the user side", key, SETTINGS)
        yield key, value


def _read(given: Mapping[str, str], types: Mapping[str, tuple[Callable[[str], Any], str]]) -> dict[str, Any]:
    found = {}
    for key, (read, kind) in types.items():
        if key in given:
            try:
                found[key] = read(given[key])
            except ValueError:
                raise UsageError(f"{key} of the user side is {kind}, got {given[key]!r}.") from None
    return found
