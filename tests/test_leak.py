"""No leak: the agent never sees the instruction, expected calls or expected outputs before somebody has said them.

The search is `usersim_env.checking`'s; here it runs over many tasks, agents and user sides, and over planted leaks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import pytest

from usersim_env import ScriptedUser, User
from usersim_env.checking.leaks import PIECE, Search, leaves, secrets_of
from usersim_env.checking.subject import as_call, says
from usersim_env.domains import Task, get_domain
from usersim_env.messages import ToolCall
from usersim_env.users.agenda import AgendaUser

NEUTRAL = ScriptedUser(("Hello.", "All right."), repeat=True, answers={"reuse": "Maybe"})
FAILING = ScriptedUser(("Hello.", RuntimeError("no answer")))
Env = gym.Env[Any, Any]
Plan = Callable[[Task], list[ToolCall]]


def silent(task: Task) -> list[ToolCall]:
    return [says("Thank you for your message.")] * 4


def oracle(task: Task) -> list[ToolCall]:
    return [*task.expected_calls, says(" ".join(task.required_outputs)), says("Goodbye.")]


def search(task: Task, plan: Plan, user: User = NEUTRAL, wrap: Callable[[Env], Env] = lambda env: env) -> set[str]:
    env = wrap(gym.make(f"Tau{task.domain.title()}-v0", user=NEUTRAL, render_mode="ansi"))
    return Search(env, task, user, as_call).play(plan(task))


MOCK = [task for split in ("test", "train") for task in get_domain("mock").tasks(split)]
RETAIL, AIRLINE = get_domain("retail"), get_domain("airline")
BIG = [*RETAIL.tasks()[::6], *RETAIL.tasks("train")[::60], *AIRLINE.tasks()[::4]]


def named(value: Any) -> str:
    return str(getattr(value, "id", getattr(value, "__name__", getattr(value, "kind", ""))))


@pytest.mark.parametrize("task", [*MOCK, *BIG], ids=named)
@pytest.mark.parametrize("plan", [silent, oracle], ids=named)
def test_nothing_leaks(task: Task, plan: Plan) -> None:
    assert len(secrets_of(task)) > 20
    assert search(task, plan) == set()


@pytest.mark.parametrize("user", [AgendaUser(), FAILING], ids=named)
@pytest.mark.parametrize("task", [*MOCK, *BIG[::5]], ids=named)
def test_nothing_leaks_with_other_user_sides(task: Task, user: User) -> None:
    assert search(task, silent, user) == set()


def test_canaries_are_secrets() -> None:
    canaries = {secret for task in MOCK for secret in secrets_of(task) if secret.startswith("canary")}
    assert {"canary-4711-note", "canary-0815-summary"} <= canaries


class Leaky(gym.Wrapper[Any, Any, Any, Any]):
    """Shows something of the task in one place."""

    def __init__(self, env: Env, task: Task, place: str) -> None:
        super().__init__(env)
        self._task, self._place = task, place
        if place == "attribute":
            self.goal = {"calls": task.expected_calls}
        if place == "attribute of the core":
            env.unwrapped.current = task  # type: ignore[attr-defined]

    def reset(self, **keywords: Any) -> Any:
        observation, info = self.env.reset(**keywords)
        return self._spoil(observation), self._spoil_info(info)

    def step(self, action: Any) -> Any:
        observation, *rest, info = self.env.step(action)
        return self._spoil(observation), *rest, self._spoil_info(info)

    def _spoil(self, observation: dict[str, str]) -> dict[str, str]:
        hint = self._task.instruction[7 : 7 + PIECE].upper() if self._place == "observation" else ""
        return observation | {"content": observation["content"] + hint}

    def _spoil_info(self, info: dict[str, Any]) -> dict[str, Any]:
        if self._place == "info":
            return info | {"hint": ("next", self._task.expected_calls[-1])}
        if self._place == "name of a check":
            return info | {f"output {value}": True for value in leaves(self._task.expected_calls[-1].arguments)}
        return info


PLACES = ["attribute", "attribute of the core", "observation", "info", "name of a check"]


@pytest.mark.parametrize("task", [MOCK[0], BIG[0], BIG[-1]], ids=named)
@pytest.mark.parametrize("plan", [silent, oracle], ids=named)
@pytest.mark.parametrize("place", PLACES)
def test_a_planted_leak_is_found(task: Task, plan: Plan, place: str) -> None:
    assert search(task, plan, wrap=lambda env: Leaky(env, task, place))
