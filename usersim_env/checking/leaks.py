"""The search for a leak: what an agent can see, held against what a task hides until somebody has said it.

Observations, infos and every public attribute are searched before each action for every expected argument value and
required output of five characters or more and for every piece of the instruction of forty. What the user side and the
tools have really said is known from a recording user side and a world of the search's own, not from the env.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, ClassVar, TypeAlias

import gymnasium as gym

from usersim_env.conversation.scene import Scene
from usersim_env.domains import Task, World, get_domain
from usersim_env.env.tau_env import TauEnv
from usersim_env.feedback.survey import Survey
from usersim_env.messages import RESPOND, Say, Stop, ToolCall
from usersim_env.users.base import User, UserSession

SHORTEST, PIECE = 5, 40
AnyEnv: TypeAlias = gym.Env[Any, Any]
AsAction: TypeAlias = Callable[[ToolCall], Any]
"""How a call looks as an action of an env."""


class Recording(User):
    """Another user side, with its words kept."""

    kind: ClassVar[str] = "scripted"

    def __init__(self, inner: User) -> None:
        self._inner = inner
        self._said: list[str] = []

    def begin(self, scene: Scene) -> UserSession:
        """Begins a session of the other one."""
        return _RecordingSession(self._inner.begin(scene), self._said)


class _RecordingSession(UserSession):
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
    """The values inside dicts and lists."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def texts(value: Any, seen: set[int] | None = None, depth: int = 12) -> Iterator[str]:
    """Every text that can be reached from a value by its items and public attributes."""
    seen = set() if seen is None else seen
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


def public_texts(task: Task) -> list[str]:
    """The policy and the tools' schemas: the same for every task, so nothing in them is a secret."""
    domain = get_domain(task.domain)
    return [domain.policy.lower(), json.dumps([tool.schema for tool in domain.tools.values()]).lower()]


def secrets_of(task: Task) -> set[str]:
    """What nobody may see before it was said, in small letters."""
    values = [leaf for call in task.expected_calls for leaf in leaves(call.arguments)] + list(task.required_outputs)
    found = {text for value in values if len(text := str(value).lower()) >= SHORTEST}
    text = task.instruction.lower()
    found |= {text[i : i + PIECE] for i in range(max(1, len(text) - PIECE + 1))}
    public = public_texts(task)
    return {secret for secret in found if secret and not any(secret in known for known in public)}


class Search:
    """One episode of a task, searched before every action and at its end.

    Args:
        env: of this package, in any stack of wrappers.
        user: plays in it; its words count as said.
        as_action: how a call looks as an action of the env.
    """

    def __init__(self, env: AnyEnv, task: Task, user: User, as_action: AsAction) -> None:
        self._env, self._task, self._as_action = env, task, as_action
        self._recording = Recording(user)
        self._secrets = secrets_of(task)
        self._known = set(public_texts(task))
        self._world = World(get_domain(task.domain))
        self._found: set[str] = set()

    def play(self, calls: Sequence[ToolCall]) -> set[str]:
        """The secrets that were to be seen before anybody had said them."""
        options = {"task_id": self._task.id, "user": self._recording}
        observation, info = self._env.reset(seed=0, options=options)
        self._look(observation, info, [])
        for call in calls:
            said = [json.dumps(dict(call.arguments), ensure_ascii=False), *map(str, leaves(call.arguments))]
            if call.name != RESPOND:
                said.append(self._world.call(call).content)
            observation, _, terminated, truncated, info = self._env.step(self._as_action(call))
            self._look(observation, info, said)
            if terminated or truncated:
                break
        return self._found

    def _look(self, observation: Any, info: Any, said: list[str]) -> None:
        spoken = [text.lower() for text in (*said, *self._recording._said)]
        self._secrets = {s for s in self._secrets if not any(s in text for text in spoken)}
        core = self._env.unwrapped
        assert isinstance(core, TauEnv)
        written = [core.trace().to_line().decode(), core.render() or ""]
        for text in set(texts([observation, info, self._env, written])):
            if (text := text.lower()) not in self._known:
                self._found |= {secret for secret in self._secrets if secret in text}
