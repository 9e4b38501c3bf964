"""JSON values in the shape that τ-bench hashes, copied, and checked.

Two databases are equal for τ-bench when the text of their nested tuples is equal. That is stricter than
``==`` (``1`` and ``1.0`` and ``True`` differ) and looser (a list of pairs equals a dict), so every verdict
goes through `canonical`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from usersim_env.errors import UsageError

MAX_DEPTH = 32
MAX_DIGITS = 300
MAX_VALUES = 100_000
_LIMIT = 10**MAX_DIGITS

_PLAIN: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (dict, dict.copy),
    (list, list.copy),
    (tuple, lambda value: list(tuple.__iter__(value))),
)
"""Base class → the plain value of a subclass, whatever the subclass overrides."""


class NotJson(UsageError):
    """An argument that is not a JSON value, or is nested or long beyond any use."""


def copied(value: Any) -> Any:
    """A deep copy of a JSON value; a dict keeps its order. Much faster than `copy.deepcopy`."""
    if type(value) is dict:
        new = value.copy()
        for key, item in value.items():
            if type(item) is dict or type(item) is list:
                new[key] = copied(item)
        return new
    if type(value) is list:
        return [copied(item) if type(item) is dict or type(item) is list else item for item in value]
    return value


def copier(value: Any) -> Callable[[], Any]:
    """A function that builds a JSON value afresh at every call, twice as fast as any copy of it."""
    build: Callable[[], Any] = eval(f"lambda: {checked(value)!r}", {"__builtins__": {}})
    return build


def checked(value: Any, where: str = "arguments") -> Any:
    """A deep copy of ``value`` if it is JSON: dict with str keys, list, str, finite number, bool, None.

    NumPy scalars and subclasses of the JSON types become the plain type, a tuple becomes a list.

    Raises:
        NotJson: what was found, and where.
    """
    return _checked(value, where, MAX_DEPTH, [MAX_VALUES])


def _checked(value: Any, where: str, depth: int, left: list[int]) -> Any:
    """``left`` holds how many more values may come: shared or cyclic parts would multiply without end."""
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return value
    if kind is int:
        if not -_LIMIT < value < _LIMIT:
            raise NotJson(f"{where} is a number of more than {MAX_DIGITS} digits")
        return value
    if kind is float:
        if not math.isfinite(value):
            raise NotJson(f"{where} is {value}, which JSON does not have")
        return value
    if kind is not dict and kind is not list:
        return _checked(_plain(value, where), where, depth, left)
    if depth == 0:
        raise NotJson(f"{where} is nested more than {MAX_DEPTH} deep")
    left[0] -= len(value)
    if left[0] < 0:
        raise NotJson(f"{where} ends a structure of more than {MAX_VALUES} values")
    depth -= 1
    if kind is list:
        return [v if type(v) is str else _checked(v, f"{where}[{i}]", depth, left) for i, v in enumerate(value)]
    return {
        k if type(k) is str else _key(k, where): v if type(v) is str else _checked(v, f"{where}.{k}", depth, left)
        for k, v in value.items()
    }


def _plain(value: Any, where: str) -> Any:
    """What a NumPy scalar, or an instance of a subclass of a JSON type, holds; anything else is refused."""
    for base, plain in _PLAIN:
        if isinstance(value, base):
            return plain(value)
    item = getattr(value, "item", None)
    held = item() if callable(item) and getattr(value, "shape", None) == () else value
    if held is None or type(held) in (str, bool, int, float):
        return held
    raise NotJson(f"{where} is a {type(value).__name__}, not a JSON value")


def _key(key: Any, where: str) -> str:
    if isinstance(key, str):
        return str.__str__(key)
    raise NotJson(f"{where} has the key {key!r}, a {type(key).__name__}; keys are strings")


def evidence(value: Any) -> Any:
    """A value that is not JSON, as JSON that keeps what came: foreign parts become ``{"$repr": …}``."""
    return _evidence(value, 3 * MAX_DEPTH, [MAX_VALUES])


def _evidence(value: Any, depth: int, left: list[int]) -> Any:
    kind = type(value)
    left[0] -= 1
    if depth == 0 or left[0] < 0:
        return {"$repr": f"<{kind.__name__}, nested deeper or longer than is kept>"}
    if kind is dict and all(type(k) is str for k in value):
        return {k: _evidence(v, depth - 1, left) for k, v in _first(value.items(), left)}
    if kind is dict:
        pairs = _first(value.items(), left)
        return {"$items": [[_evidence(k, depth - 1, left), _evidence(v, depth - 1, left)] for k, v in pairs]}
    if kind is list:
        return [_evidence(v, depth - 1, left) for v in _first(value, left)]
    if kind is int:
        return value if -_LIMIT < value < _LIMIT else {"$repr": hex(value)}
    if value is None or kind is str or kind is bool or (kind is float and math.isfinite(value)):
        return value
    try:
        return {"$repr": repr(value)}
    except Exception as error:  # a foreign object's repr may do anything
        return {"$repr": f"<{kind.__name__} whose repr raises {type(error).__name__}>"}


def _first(items: Iterable[Any], left: list[int]) -> Iterator[Any]:
    """The items, as long as there is room for them; the first one beyond it says that more came."""
    for item in items:
        yield item
        if left[0] < 0:
            return


def canonical(value: Any) -> str:
    """The text that τ-bench compares: dicts as sorted pairs, lists as tuples, in Python's notation."""
    return str(_tuples(value))


def _tuples(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return tuple([(k, _tuples(value[k])) for k in sorted(value)])
    if kind is list:
        return tuple([_tuples(v) for v in value])
    return value


def sha256(text: str) -> str:
    """Hex digest of a text; lone surrogates are hashed as they are."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
