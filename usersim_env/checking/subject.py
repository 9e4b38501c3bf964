"""`Subject`: an env under check, how to act in it, and how to build it again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import gymnasium as gym
from gymnasium.utils.env_checker import data_equivalence

from usersim_env.checking.findings import NotChecked
from usersim_env.checking.leaks import AnyEnv, AsAction
from usersim_env.env.tau_env import TauEnv
from usersim_env.errors import UsageError
from usersim_env.feedback.survey import QUESTIONS
from usersim_env.messages import RESPOND, Stop, ToolCall, call_to_chat
from usersim_env.traces.trace import Trace
from usersim_env.users.base import User
from usersim_env.users.scripted import ScriptedUser

ANSWERS = {question.field: next(iter(question.answers)) for question in QUESTIONS}
OPENING, REPLY = "Good day. Grüße 🙂", "Yes, please."
TALKER = ScriptedUser((OPENING, REPLY, "Thank you."), repeat=True, answers=ANSWERS)
GREETINGS = 6
Step: TypeAlias = tuple[Any, float, bool, bool, dict[str, Any]]


def as_call(call: ToolCall) -> dict[str, Any]:
    """The call as an action of `TauEnv`."""
    return {"name": call.name, "arguments": dict(call.arguments)}


def _as_message(call: ToolCall) -> Any:
    if call.name == RESPOND:
        return {"role": "assistant", "content": call.arguments["content"]}
    return call_to_chat(call, "call_0")


def _as_text(call: ToolCall) -> Any:
    return call.arguments["content"] if call.name == RESPOND else f"<tool_call>{json.dumps(as_call(call))}</tool_call>"


def says(content: str) -> ToolCall:
    """The call that speaks to the user side."""
    return ToolCall(RESPOND, {"content": content})


@dataclass(frozen=True)
class Subject:
    """What the contracts look at.

    Attributes:
        env: under check.
        rebuild: builds it again; ``None`` where that is not known.
        as_action: how a call looks as an action; ``None`` for an action space that nobody here knows.
        repeatable: whether an episode is a function of its seed.
    """

    env: AnyEnv
    rebuild: Callable[[], AnyEnv] | None
    as_action: AsAction | None
    repeatable: bool

    @property
    def core(self) -> TauEnv:
        """The env at the bottom."""
        core = self.env.unwrapped
        assert isinstance(core, TauEnv)
        return core

    @property
    def name(self) -> str:
        """For messages."""
        return str(self.env)

    @property
    def task_ids(self) -> tuple[str, ...]:
        """At most four of the env's tasks, from all over."""
        ids = self.core.task_ids
        return ids[:: max(1, len(ids) // 4)][:4]

    def act(self, call: ToolCall) -> Any:
        """The call as an action of the env."""
        if self.as_action is None:
            raise NotChecked(f"no known action space: {self.env.action_space}. Say as_action=… to check_env.")
        return self.as_action(call)

    def another(self) -> AnyEnv:
        """A second env like it."""
        if self.rebuild is None:
            raise NotChecked("the env has no spec to build another one from. Make it with gym.make, or give the id.")
        return self.rebuild()

    def step(self, call: ToolCall, env: AnyEnv | None = None) -> Step:
        """One step of the env (or of another like it)."""
        observation, reward, terminated, truncated, info = (env or self.env).step(self.act(call))
        return observation, float(reward), terminated, truncated, info

    def start(self, user: User | None = TALKER, seed: int | None = 0, env: AnyEnv | None = None) -> tuple[Any, Any]:
        """Begins an episode with a user side; ``None``: with the env's own."""
        return (env or self.env).reset(seed=seed, options={} if user is None else {"user": user})

    def greet(self, user: User | None, seed: int | None, env: AnyEnv | None = None) -> Iterator[Any]:
        """An episode of greetings, step by step: everything that it gives back, and its trace without times."""
        env = env or self.env
        yield _timeless(self.start(user, seed, env))
        for turn in range(GREETINGS):
            step = self.step(says(f"Hello! Question {turn}: what can I do for you?"), env)
            yield _timeless(step)
            if step[2] or step[3]:
                break
        core = env.unwrapped
        assert isinstance(core, TauEnv)
        yield told_by(core.trace())

    def until_over(self, call: ToolCall, most: int) -> Step:
        """Makes one call again and again until the episode ends, or so often."""
        for _ in range(most):
            step = self.step(call)
            if step[2] or step[3]:
                break
        return step


STOPPING = ScriptedUser(("Good day.", Stop()), answers=ANSWERS)
"""Stops at the first reply, without a word."""


def subject_of(env: AnyEnv | str, as_action: AsAction | None, keywords: dict[str, Any]) -> Subject:
    """Makes the env behind an id, and finds out how to act in it.

    Raises:
        UsageError: neither an id nor an env of this package, or keywords for an env that is made already.
    """
    rebuild: Callable[[], AnyEnv] | None = None
    if isinstance(env, str):
        name = env
        # The checker that gym.make adds would raise before the contracts can say what is wrong.
        rebuild = lambda: gym.make(name, disable_env_checker=True, **keywords)  # noqa: E731
        env = rebuild()
    elif keywords:
        raise UsageError(f"{', '.join(keywords)}: goes with an id; an env that is made keeps its settings.")
    if not isinstance(env, gym.Env) or not isinstance(env.unwrapped, TauEnv):
        got = type(env.unwrapped if isinstance(env, gym.Env) else env).__name__
        raise UsageError(f"check_env takes an id such as 'TauMock-agenda-v0' or an env of this package, got {got}.")
    spec = env.spec
    if rebuild is None and spec is not None:
        found = spec
        rebuild = lambda: gym.make(found, disable_env_checker=True)  # noqa: E731
    if as_action is None:
        space, probe = env.action_space, says("Hello!")
        as_action = next((shape for shape in (as_call, _as_message, _as_text) if shape(probe) in space), None)
    return Subject(env, rebuild, as_action, spec is None or not spec.nondeterministic)


def _timeless(came: tuple[Any, ...]) -> tuple[Any, ...]:
    """Gymnasium's own statistics hold times."""
    return *came[:-1], {name: value for name, value in came[-1].items() if name != "episode"}


def told_by(trace: Trace) -> tuple[Any, ...]:
    """What a trace holds, but for times and host."""
    return trace.id, trace.seed, trace.events, trace.reward, trace.ended_by


def same(one: Any, other: Any) -> bool:
    """Whether two things that envs gave back are equal, arrays included."""
    return data_equivalence(one, other, exact=True)
