"""A bound in front of τ-bench's ``calculate``, which evaluates whatever arithmetic it is given.

``calculate("9**9**9")`` would hang the process. The expression is bounded in length and in the summed size
of all its powers (upper bounds, on the syntax tree); whatever passes goes to upstream's own tool.
"""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Mapping
from typing import Any

MAX_LENGTH = 1_000
MAX_POWER_BITS = 20_000
TOO_LONG = f"Error: expression is longer than {MAX_LENGTH} characters"
TOO_LARGE = "Error: the powers in the expression are too large"


def guard(arguments: Mapping[str, Any]) -> str | None:
    """The refusal for an expression that is out of bounds, else ``None``."""
    expression = arguments.get("expression")
    if type(expression) is not str:
        return None
    if len(expression) > MAX_LENGTH:
        return TOO_LONG
    if "**" not in expression:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(expression.lstrip(" "), mode="eval")
        total: list[float] = []
        _bits(tree.body, total)
    except (SyntaxError, ValueError):
        return None  # upstream words this error
    except (RecursionError, MemoryError):
        return TOO_LARGE
    return TOO_LARGE if sum(total) > MAX_POWER_BITS else None


def _bits(node: ast.AST, powers: list[float]) -> float:
    """Upper bound of log2 of an integer's magnitude (at least 1); the size of every power goes to ``powers``.

    What a true division or a fraction makes is a float, whose powers cost nothing: there it need not be a bound.
    """
    if isinstance(node, ast.UnaryOp):
        return _bits(node.operand, powers)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return max(1.0, math.log2(abs(node.value) + 1))
    if not isinstance(node, ast.BinOp):
        for child in ast.iter_child_nodes(node):
            _bits(child, powers)
        return 1.0
    left, right = _bits(node.left, powers), _bits(node.right, powers)
    if isinstance(node.op, ast.Pow):
        size: float = left * 2.0 ** min(right, 64.0)
        powers.append(size)
        return size
    return max(left, right) + 1 if isinstance(node.op, ast.Add | ast.Sub) else left + right
