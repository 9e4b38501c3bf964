"""The contracts of episodes: seeds, no leak, resets, closing, the spec, the domain's calls."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import gymnasium as gym

from usersim_env.checking.env_contracts import LOOK
from usersim_env.checking.findings import Broken, NotChecked, shown
from usersim_env.checking.held import held, left
from usersim_env.checking.leaks import AnyEnv, Search
from usersim_env.checking.subject import STOPPING, TALKER, Subject, same, says
from usersim_env.domains import get_task
from usersim_env.domains.sound import problems_of_calls
from usersim_env.errors import UnknownName


def seeds(subject: Subject) -> Iterator[Broken]:
    """The same seed gives the same episode: again, in another env, and with another env in between."""
    if not subject.repeatable:
        raise NotChecked("the id is registered nondeterministic")
    before = held()
    alone = [list(subject.greet(None, seed)) for seed in (1, 2)]
    yield from left("episodes were played", before)
    advice = "All chance comes from reset's seed (self.np_random, Scene.rng); no state outlives reset."
    for seed, first in zip((1, 2), alone, strict=True):
        yield from _equal(f"seed {seed} a second time in the same env", list(subject.greet(None, seed)), first, advice)
    envs = [subject.another(), subject.another()]
    mixed: list[list[Any]] = [[], []]
    runs = [subject.greet(None, seed, env) for seed, env in zip((1, 2), envs, strict=True)]
    for items in itertools.zip_longest(*runs):
        for seen, item in zip(mixed, items, strict=True):
            seen += [] if item is None else [item]
    advice = "Keep what changes in the env or the session, never in a class, a module or the User."
    for seed, first, other in zip((1, 2), alone, mixed, strict=True):
        yield from _equal(f"seed {seed} in a second env, interleaved with a third", other, first, advice)
    for env in envs:
        subject.start(None, 3, env)
    later = [[list(subject.greet(None, None, env)) for _ in range(2)] for env in envs]
    yield from _equal("episodes without a seed after reset(seed=3)", later[1], later[0], "Draw from self.np_random.")
    for env in envs:
        env.close()


def _equal(done: str, came: list[Any], expected: list[Any], advice: str) -> Iterator[Broken]:
    if not same(came, expected):
        at = next((i for i, (a, b) in enumerate(zip(came, expected, strict=False)) if not same(a, b)), -1)
        yield Broken(done, f"{shown(came[at])} at step {at}", f"what the first run gave: {shown(expected[at])}", advice)


def no_leak(subject: Subject) -> Iterator[Broken]:
    """The agent sees no instruction, expected call or expected output before somebody has said it."""
    subject.act(says(""))
    assert subject.as_action is not None
    for task_id in subject.task_ids:
        task = get_task(task_id)
        silent = [says("Thank you for your message.")] * 3
        oracle = [*task.expected_calls, says(" ".join(task.required_outputs)), says("Goodbye.")]
        for name, plan in (("says little", silent), ("makes the expected calls", oracle)):
            found = Search(subject.env, task, TALKER, subject.as_action).play(plan)
            if found:
                yield Broken(
                    f"an episode of {task_id} with an agent that {name}",
                    f"{len(found)} secrets that nobody had said, such as {shown(min(found))}",
                    "none in observations, infos, public attributes, the trace or the rendering",
                    "Keep the task in attributes with an underscore and out of info.",
                )
                return


def resets(subject: Subject) -> Iterator[Broken]:
    """A reset in mid-episode starts afresh; a bad option leaves the episode running; after the end reset is needed."""
    first = list(subject.greet(TALKER, 7))
    subject.start(TALKER, 5)
    subject.step(LOOK)
    subject.step(says("One moment."))
    yield from _equal("reset(seed=7) in mid-episode", list(subject.greet(TALKER, 7)), first, "Start afresh in reset.")
    subject.start(TALKER)
    before = subject.core.trace().events
    try:
        subject.env.reset(options={"task_id": "no/such/0"})
        yield Broken("reset with the option task_id='no/such/0'", "no error", "UnknownName", "Pass options on.")
    except UnknownName:
        if subject.core.trace().events != before:
            yield Broken(
                "a reset that raised UnknownName",
                "another episode",
                "the running one, untouched",
                "Reset the env below before you change anything of your own.",
            )
    subject.start(STOPPING)
    subject.step(says("Goodbye."))
    try:
        subject.step(says("Still there?"))
        yield Broken("step after the end", "no error", "gymnasium.error.ResetNeeded", "Let the env below raise it.")
    except gym.error.ResetNeeded:
        pass


def closing(subject: Subject) -> Iterator[Broken]:
    """Closing in mid-episode, and twice, leaves no thread and no open file."""
    advice = "close() may be called in any state, and again."
    before = held()
    env = subject.another()
    for _ in range(3):
        subject.start(TALKER, None, env)
        subject.step(LOOK, env)
    for times in ("once", "twice"):
        try:
            env.close()
        except Exception as error:
            yield Broken(f"close() {times}", f"{type(error).__name__}: {error}", "no exception", advice)
    yield from left("an env was made, used and closed", before)


def spec(subject: Subject) -> Iterator[Broken]:
    """gym.make(env.spec) builds the same stack."""
    found = subject.env.spec
    if found is None:
        raise NotChecked("the env was not made with gym.make")
    advice = "A wrapper records all arguments of its constructor: RecordConstructorArgs.__init__(self, name=value, …)."
    try:
        again = gym.make(found, disable_env_checker=True)
    except Exception as error:
        yield Broken("gym.make(env.spec)", f"{type(error).__name__}: {error}", "the same env", advice)
        return
    if (mine := _stack(subject.env)) != (other := _stack(again)):
        yield Broken("gym.make(env.spec)", f"the stack {other}", mine, advice)
    for name in ("observation_space", "action_space"):
        space, rebuilt = getattr(subject.env, name), getattr(again, name)
        if space != rebuilt:
            yield Broken(f"gym.make(env.spec).{name}", str(rebuilt), str(space), advice)
    if again.unwrapped.task_ids != subject.core.task_ids:  # type: ignore[attr-defined]
        yield Broken("gym.make(env.spec)", "other tasks", "the same", advice)
    yield from _equal(
        "an episode in gym.make(env.spec)",
        list(subject.greet(TALKER, 3, again)),
        list(subject.greet(TALKER, 3)),
        advice,
    )
    again.close()


def _stack(env: AnyEnv) -> str:
    """The stack without the checker of Gymnasium's, which is there or not by a switch."""
    return re.sub(r"<PassiveEnvChecker(.*)>", r"\1", str(env), count=1)


def domain(subject: Subject) -> Iterator[Broken]:
    """The expected calls run, change the same each time, and write only what is declared."""
    core = subject.core
    for problem in problems_of_calls(core._domain, core._tasks):
        yield Broken(f"the expected calls of {core._domain.name}", problem, "no such thing", "See docs/own_domain.md.")
