"""The mock domain: small, whole, and with canaries that nothing else says."""

from __future__ import annotations

import json

import pytest

from usersim_env.domains import Task, World, get_domain
from usersim_env.messages import ToolCall

TASKS = [task for split in ("test", "train") for task in get_domain("mock").tasks(split)]


def call(world: World, name: str, **arguments: str) -> str:
    return world.call(ToolCall(name, arguments)).content


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)
def test_expected_calls_are_of_known_tools_with_known_arguments(task: Task) -> None:
    tools = get_domain("mock").tools
    for expected in task.expected_calls:
        parameters = tools[expected.name].schema["function"]["parameters"]
        assert set(parameters["required"]) <= set(expected.arguments) <= set(parameters["properties"])


def test_what_each_task_changes() -> None:
    domain = get_domain("mock")
    changed = {task.id: [key for _, key in domain.expected_changes(task)] for task in TASKS}
    assert changed == {
        "mock/test/0": ["T-1001"],
        "mock/test/1": ["T-1002"],
        "mock/test/2": [],
        "mock/test/3": [],
        "mock/train/0": ["T-1001"],
        "mock/train/1": ["T-1004"],
    }


def test_tools_answer_as_the_policy_says() -> None:
    world = World(get_domain("mock"))
    assert [t["ticket_id"] for t in json.loads(call(world, "find_ticket", email="BO@mock.example"))] == [
        "T-1002",
        "T-1003",
    ]
    assert call(world, "find_ticket", email="nobody") == "Error: no customer with that e-mail"
    assert call(world, "move_ticket", ticket_id="T-9", day="monday") == "Error: ticket not found"
    assert call(world, "move_ticket", ticket_id="T-1003", day="friday") == "Error: only waiting tickets can be moved"
    assert (
        call(world, "move_ticket", ticket_id="T-1002", day="sunday") == "Error: the workshop is open monday to friday"
    )
    assert world.changed() == {}
    assert json.loads(call(world, "move_ticket", ticket_id="T-1002", day="friday"))["day"] == "friday"
    assert call(world, "transfer_to_human_agents", summary="x") == "Transfer successful"
    assert list(world.changed()) == [("tickets", "T-1002")]


def test_the_canaries_stand_in_tasks_only() -> None:
    domain = get_domain("mock")
    public = json.dumps([domain.policy, domain.data, domain.schemas()])
    private = str([task.expected_calls for task in TASKS])
    for canary in ("canary-4711-note", "canary-0815-summary", "T-1001"):
        assert canary in private
    assert "canary" not in public
    assert "108.25" not in public
