"""The bound in front of `calculate`: it lets arithmetic through unchanged and never takes long."""

from __future__ import annotations

import time
import warnings

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from usersim_env.domains import World, get_domain
from usersim_env.domains.calculate import MAX_LENGTH, MAX_POWER_BITS, TOO_LARGE, TOO_LONG, guard
from usersim_env.errors import InstallError
from usersim_env.messages import ToolCall

ALLOWED = "0123456789+-*/(). "
PIECES = st.sampled_from([*ALLOWED, "**", "//", "9", "(", ")", "**9", "(9**9)", "0.5", "-", " 12 "])
EXPRESSIONS = st.lists(PIECES, max_size=30).map("".join) | st.text(ALLOWED, max_size=MAX_LENGTH + 9)


def retail_world() -> World:
    try:
        return World(get_domain("retail"))
    except InstallError as error:
        pytest.skip(str(error))


def calculate(expression: object) -> str:
    return retail_world().call(ToolCall("calculate", {"expression": expression})).content


def upstream(expression: str) -> str:
    return str(retail_world().domain.tools["calculate"].invoke(data={}, expression=expression))


@settings(deadline=2000, max_examples=300)
@given(EXPRESSIONS)
@example("9**99**0.5")
@example("2**" + "9" * 300 + ".0")
@example("(1/0.00001)**4000")
@example("-" * 900 + "2**2")
@example("(" * 150 + "2**2" + ")" * 150)
def test_what_passes_gets_upstreams_answer(expression: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "3 (4)" makes the compiler wonder
        refusal = guard({"expression": expression})
        assert refusal in (None, TOO_LONG, TOO_LARGE)
        assert calculate(expression) == (refusal or upstream(expression))


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        ("2 + 3 * 4", "14.0"),
        ("100 * 1.05**30", "432.19"),
        ("2**10 + 3**5", "1267.0"),
        ("(1.5e3)", "Error: invalid characters in expression"),
        ("1/0", "Error: division by zero"),
        ("2**(", "Error: '(' was never closed (<string>, line 1)"),
        ("2**5000", "Error: int too large to convert to float"),
        ("0.5**(-3)", "8.0"),
    ],
)
def test_everyday_arithmetic(expression: str, answer: str) -> None:
    assert calculate(expression) == answer == upstream(expression)


HANGS = [
    "9**9**9",
    "9**(9**9)",
    "(9**9**9)",
    " 9**9**9",
    "-9**9**9",
    "(((9**99)**99)**99)**99",
    "9**9**9*0",
    "(9**9**9)(1)",
    "2**9999+2**9999+2**9999",
    "99999999**99999999",
    "(2*2*2*2*2*2*2*2)**99999999",
    "2**(99999999//2)",
    "(1-2)**9**9**9",
    "9**-(-9**9)",
]


@pytest.mark.parametrize("expression", HANGS)
def test_what_would_hang_is_refused_at_once(expression: str) -> None:
    start = time.process_time()
    assert calculate(expression) == TOO_LARGE
    assert time.process_time() - start < 5, "it was evaluated"


def test_length_is_bounded() -> None:
    assert calculate("1+" * 500 + "1") == TOO_LONG
    assert calculate("1+" * 499 + "1") == "500.0"


def test_the_powers_count_together() -> None:
    one = f"2**{MAX_POWER_BITS // 8}"
    assert guard({"expression": one}) is None
    assert guard({"expression": "+".join([one] * 9)}) == TOO_LARGE


@pytest.mark.parametrize("arguments", [{}, {"expression": 7}, {"expression": None}, {"expression": ["9**9**9"]}])
def test_other_arguments_are_upstreams_business(arguments: dict[str, object]) -> None:
    assert guard(arguments) is None
    assert retail_world().call(ToolCall("calculate", arguments)).error
