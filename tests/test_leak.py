"""No leak: the agent never sees the instruction, expected calls or expected outputs before somebody has said them.

Observations, infos and every public attribute are searched before each action for every expected argument value and
required output of five characters or more and for every piece of the instruction of forty. What the user side and the
tools have really said is known from a recording user side and a world of the test's own, not from the env.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import gymnasium as gym
import pytest

from usersim_env import Say, Scene, ScriptedUser, Stop, Survey, TauEnv, User, UserSession
from usersim_env.domains import Task, World, get_domain
from usersim_env.messages import ToolCall
from usersim_env.users.agenda import AgendaUser

SHORTEST, PIECE = 5, 40
NEUTRAL = ScriptedUser(("Hello.", "All right."), repeat=True, answers={"reuse": "Maybe"})
FAILING = ScriptedUser(("Hello.", RuntimeError("no answer")))
Env = gym.Env[Any, Any]


class Recording(User):
    """Another user side, with its words kept."""

    kind = "scripted"

    def __init__(self, inner: User) -> None:
        self._inner = inner
        self._said: list[str] = []

    def begin(self, scene: Scene) -> UserSession:
        return RecordingSession(self._inner.begin(scene), self._said)


class RecordingSession(UserSession):
    def __init__(self, inner: UserSession, said: list[str]) -> None:
        self._inner, self._said = inner, said

    def open(self, scene: Scene) -> Say | Stop:
        return self._keep(self._inner.open(scene))

    def reply(self, scene: Scene) -> Say | Stop:
        return self._keep(self._inner.reply(scene))

    def fill_survey(self, scene: Scene) -> Survey | None:
        return self._inner.fill_survey(scene)

    def _keep(self, turn: Say | Stop) -> Say | Stop:
        self._said.append(turn.content)
        return turn


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def public_texts(task: Task) -> list[str]:
    """The policy and the tools' schemas: the same for every task, so nothing in them is a secret."""
    domain = get_domain(task.domain)
    return [domain.policy.lower(), json.dumps([tool.schema for tool in domain.tools.values()]).lower()]


def secrets_of(task: Task) -> set[str]:
    values = [leaf for call in task.expected_calls for leaf in leaves(call.arguments)] + list(task.required_outputs)
    found = {text for value in values if len(text := str(value).lower()) >= SHORTEST}
    text = task.instruction.lower()
    found |= {text[i : i + PIECE] for i in range(max(1, len(text) - PIECE + 1))}
    public = public_texts(task)
    return {secret for secret in found if not any(secret in known for known in public)}


def texts(value: Any, seen: set[int], depth: int = 12) -> Iterator[str]:
    """Every text that can be reached from a value by its items and public attributes."""
    if isinstance(value, str):
        yield value
    if isinstance(value, str | bytes | int | float | bool | type | ModuleType | None) or depth == 0:
        return
    if id(value) in seen or callable(value) or type(value).__module__.startswith("numpy"):
        return
    seen.add(id(value))
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts(key, seen, depth - 1)
            yield from texts(item, seen, depth - 1)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from texts(item, seen, depth - 1)
    for name in dir(value):
        if not name.startswith("_"):
            yield from texts(name, seen)
            yield from texts(getattr(value, name, None), seen, depth - 1)


def respond(content: str) -> dict[str, Any]:
    return {"name": "respond", "arguments": {"content": content}}


def silent(task: Task) -> list[dict[str, Any]]:
    return [respond("Thank you for your message.")] * 4


def oracle(task: Task) -> list[dict[str, Any]]:
    calls = [{"name": call.name, "arguments": dict(call.arguments)} for call in task.expected_calls]
    return [*calls, respond(" ".join(task.required_outputs)), respond("Goodbye.")]


Plan = Callable[[Task], list[dict[str, Any]]]


class Search:
    """One episode, searched before every action and at its end."""

    def __init__(self, task: Task, env: Env, recording: Recording) -> None:
        self.task, self.env, self.recording = task, env, recording
        self.secrets = secrets_of(task)
        self.known = set(public_texts(task))
        self.world = World(get_domain(task.domain))
        self.found: set[str] = set()

    def play(self, plan: Plan) -> set[str]:
        """The secrets that were to be seen before anybody had said them."""
        observation, info = self.env.reset(seed=0, options={"task_id": self.task.id})
        self._look(observation, info, [])
        for action in plan(self.task):
            said = [json.dumps(action["arguments"], ensure_ascii=False), *map(str, leaves(action["arguments"]))]
            if action["name"] != "respond":
                said.append(self.world.call(ToolCall(action["name"], action["arguments"])).content)
            observation, _, terminated, truncated, info = self.env.step(action)
            self._look(observation, info, said)
            if terminated or truncated:
                break
        return self.found

    def _look(self, observation: Any, info: Any, said: list[str]) -> None:
        spoken = [text.lower() for text in (*said, *self.recording._said)]
        self.secrets = {s for s in self.secrets if not any(s in text for text in spoken)}
        core = self.env.unwrapped
        assert isinstance(core, TauEnv)
        written = [core.trace().to_line().decode(), core.render() or ""]
        for text in set(texts([observation, info, self.env, written], set())):
            if (text := text.lower()) not in self.known:
                self.found |= {secret for secret in self.secrets if secret in text}


def search(task: Task, plan: Plan, user: User = NEUTRAL, wrap: Callable[[Env], Env] = lambda env: env) -> set[str]:
    recording = Recording(user)
    env = wrap(gym.make(f"Tau{task.domain.title()}-v0", user=recording, render_mode="ansi"))
    return Search(task, env, recording).play(plan)


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
