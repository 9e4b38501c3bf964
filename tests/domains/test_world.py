"""Tools on a world: nothing raised, nothing shared, errors worded as τ-bench words them."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from usersim_env.domains import Domain, Task, Tool, World, get_domain, get_task
from usersim_env.domains.canonical import canonical, sha256
from usersim_env.errors import UnknownName
from usersim_env.messages import ToolCall

DATA: dict[str, dict[str, Any]] = {"rows": {"a": {"n": 1, "list": []}}, "fixed": {"f": {"n": 0}}}


def add(data: Any, key: str, value: Any) -> str:
    data["rows"][key] = {"n": 0, "value": value}
    return "added"


def half(data: Any, amount: Any) -> str:
    data["rows"]["a"]["n"] = 99
    data["rows"]["a"]["list"].append(amount["x"])
    return "done"


def look(data: Any) -> str:
    return str(data["rows"]["a"]["n"])


def domain(written: bool = True) -> Domain:
    functions: dict[str, Callable[..., Any]] = {
        "add": add,
        "half": half,
        "look": look,
        "mute": lambda data: None,
        "number": lambda data: 3,
    }
    tools = {name: Tool(name, {"function": {"name": name}}, function) for name, function in functions.items()}
    writers = {"add": frozenset({"rows"}), "half": frozenset({"rows"})} if written else None
    return Domain("test", "", tools, copy.deepcopy(DATA), {}, writers, {})


@pytest.fixture(params=[True, False], ids=["overlay", "deep copy"])
def world(request: pytest.FixtureRequest) -> World:
    return World(domain(request.param))


def told(world: World, name: str, **arguments: Any) -> tuple[str, bool]:
    result = world.call(ToolCall(name, arguments))
    assert result.name == name
    return result.content, result.error


def test_a_tool_writes_and_another_reads(world: World) -> None:
    assert told(world, "look") == ("1", False)
    assert told(world, "half", amount={"x": 1}) == ("done", False)
    assert told(world, "look") == ("99", False)
    assert told(world.fresh(), "look") == ("1", False)
    assert world.domain.data == DATA, "the base is never written"


def test_errors_are_texts(world: World) -> None:
    assert told(world, "nothing") == ("Unknown action nothing", True)
    assert told(world, "mute") == ("Error: mute returned no text", True)
    assert told(world, "number") == ("Error: number returned no text", True)
    assert told(world, "add", key="k", value=float("nan")) == (
        "Error: arguments.value is nan, which JSON does not have", True
    )  # fmt: skip
    text, error = told(world, "look", more=1)
    assert "look() got an unexpected keyword argument 'more'" in text and error
    assert world.changed() == {}


def test_an_argument_named_data_is_an_error(world: World) -> None:
    text, error = told(world, "look", data={"rows": {"a": {"n": 7}}})
    assert text.startswith("Error: ") and "multiple values for keyword argument 'data'" in text and error


def test_what_was_written_before_an_exception_stays_as_upstream(world: World) -> None:
    assert told(world, "half", amount={}) == ("Error: 'x'", True)
    assert told(world, "look") == ("99", False)
    assert world.changed() == {("rows", "a"): canonical({"n": 99, "list": []})}


def test_arguments_are_never_part_of_the_database(world: World) -> None:
    value = {"inner": [1]}
    world.call(ToolCall("add", {"key": "k", "value": value}))
    before = world.digest()
    value["inner"].append(2)
    assert world.digest() == before
    world.call(ToolCall("half", {"amount": {"x": value}}))
    assert value == {"inner": [1, 2]}


def test_both_kinds_of_world_agree() -> None:
    worlds = [World(domain(True)), World(domain(False))]
    for world in worlds:
        told(world, "add", key="k", value=[1])
        told(world, "half", amount={"x": 1})
    assert worlds[0].changed() == worlds[1].changed() != {}
    assert worlds[0].digest() == worlds[1].digest()
    assert worlds[0].upstream_hash() == worlds[1].upstream_hash() != World(domain()).upstream_hash()


def test_upstream_hash_is_of_the_whole_database(world: World) -> None:
    assert world.upstream_hash() == sha256(canonical(DATA))


def test_a_domain_that_names_no_writers_may_remove_and_add_tables() -> None:
    found = domain(False)

    def wreck(data: Any) -> str:
        del data["rows"]["a"], data["fixed"]
        data["new"] = {"k": 1}
        return ""

    world = World(dataclasses.replace(found, tools={"wreck": Tool("wreck", {}, wreck)}))
    assert told(world, "wreck") == ("", False)
    assert set(world.changed()) == {("rows", "a"), ("fixed", "f"), ("new", "k")}
    assert found.data == DATA


def test_expected_changes_belong_to_the_content_of_a_task() -> None:
    found = domain()
    task = Task("test/x/0", "test", "x", "", (ToolCall("add", {"key": "k", "value": 1}),))
    other = dataclasses.replace(task, expected_calls=())
    assert found.expected_changes(task) == {("rows", "k"): canonical({"n": 0, "value": 1})}
    assert found.expected_changes(other) == {}
    assert found.expected_changes(task) is found.expected_changes(dataclasses.replace(task, id="test/x/1"))


def test_a_domain_with_other_tools_expects_other_changes() -> None:
    found = domain()
    task = Task("test/x/0", "test", "x", "", (ToolCall("add", {"key": "k", "value": 1}),))
    assert found.expected_changes(task) != {}
    assert dataclasses.replace(found, tools={}).expected_changes(task) == {}


def test_schemas_are_built_afresh() -> None:
    found = get_domain("mock")
    schemas = found.schemas()
    assert schemas == [tool.schema for tool in found.tools.values()]
    schemas[0]["function"]["name"] = "?"
    assert found.schemas()[0]["function"]["name"] == "find_ticket"


@pytest.mark.parametrize("task_id", ["mock/test/0", "mock/train/1"])
def test_tasks_by_id(task_id: str) -> None:
    assert get_task(task_id).id == task_id


@pytest.mark.parametrize(
    "task_id", ["mock/test/00", "mock/test/٠", "mock/test/" + "9" * 9999, "mock/test/-1", "mock/test", 3, None]
)
def test_an_unknown_task_lists_those_that_exist(task_id: Any) -> None:
    with pytest.raises(UnknownName, match="Tasks of mock: mock/test/0 … mock/test/3, mock/train/0 … mock/train/1"):
        get_domain("mock").task(task_id)


def test_unknown_splits_and_domains_are_named() -> None:
    with pytest.raises(UnknownName, match=r"Unknown split of mock 'tset'\. Did you mean 'test'\?"):
        get_domain("mock").tasks("tset")
    with pytest.raises(UnknownName, match=r"Unknown domain 'retial'\. Did you mean 'retail'\?"):
        get_domain("retial")
    with pytest.raises(UnknownName, match=r"Unknown task 'hotel/test/1'\. .*retail/test/0"):
        get_task("hotel/test/1")
