"""The examples in the wrappers' docstrings run as they stand, and the docstrings have their headings."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

import usersim_env.wrappers as wrappers

WRAPPERS = [getattr(wrappers, name) for name in wrappers.__all__ if isinstance(getattr(wrappers, name), type)]
HEADINGS = ("Description", "Action space", "Observation space", "Rewards", "Info", "Args", "Example")
ROOT = Path(__file__).resolve().parents[2]


def examples(thing: Any) -> list[doctest.DocTest]:
    module = importlib.import_module(thing.__module__)
    return [test for test in doctest.DocTestFinder(recurse=False).find(thing, module=module) if test.examples]


@pytest.mark.parametrize("thing", [*WRAPPERS, wrappers.make_vec], ids=lambda thing: thing.__name__)
def test_the_example_runs(thing: Any) -> None:
    found = examples(thing)
    assert found, "no example"
    text: list[str] = []
    for test in found:
        result = doctest.DocTestRunner().run(test, out=text.append)
        assert result.failed == 0, "".join(text)
        assert result.attempted >= 3


@pytest.mark.parametrize("wrapper", WRAPPERS, ids=lambda wrapper: wrapper.__name__)
def test_the_headings_are_there(wrapper: Any) -> None:
    text = inspect.cleandoc(wrapper.__doc__)  # from Python 3.13 on, docstrings come without their indentation
    headings = re.findall(r"^([A-Z][a-z ]+):$", text, re.M)
    assert [name for name in headings if name in HEADINGS] == list(HEADINGS)
    assert issubclass(wrapper, gym.Wrapper) and issubclass(wrapper, gym.utils.RecordConstructorArgs)


def test_one_wrapper_one_file_all_in_the_table() -> None:
    table = (ROOT / "docs/wrappers.md").read_text(encoding="utf-8")
    for wrapper in WRAPPERS:
        stem = re.sub(r"(?<!^)(?=[A-Z])", "_", wrapper.__name__).lower()
        assert wrapper.__module__ == f"usersim_env.wrappers.{stem}"
        assert f"| `{wrapper.__name__}` |" in table


def test_the_page_runs() -> None:
    page = (ROOT / "docs/wrappers.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, "docs/wrappers.md", "exec"), {})
