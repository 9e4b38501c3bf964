"""The contracts of an env: spaces, info, actions, seeds, no leak, resets, closing, its spec."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import env_checker

from usersim_env.checking.findings import Broken, NotChecked, shown
from usersim_env.checking.held import held, left
from usersim_env.checking.leaks import AnyEnv, Search
from usersim_env.checking.subject import OPENING, REPLY, STOPPING, TALKER, Subject, same, says
from usersim_env.domains import get_task
from usersim_env.domains.sound import problems_of_calls
from usersim_env.errors import InvalidAction, UnknownName
from usersim_env.messages import ToolCall

LOOK = ToolCall("no_such_tool", {"email": "nobody@nowhere.example"})
SAMPLES = 40
NO_ACTIONS: tuple[Any, ...] = (
    *(None, 3, "respond", ("respond", {}), {}, {"name": "respond"}, {"arguments": {}}),
    *({"name": 3, "arguments": {}}, {"name": "respond", "arguments": "hi"}, {"name": "respond", "arguments": None}),
)
WRONG_INSIDE: tuple[dict[str, Any], ...] = (
    *({"name": "", "arguments": {}}, {"name": "no_such_tool", "arguments": {}}, {"name": "respond", "arguments": {}}),
    *({"name": "respond", "arguments": {"content": 3}}, {"name": "respond", "arguments": {"content": None}}),
    *({"name": "no_such_tool", "arguments": {"x": object()}}, {"name": "no_such_tool", "arguments": {"x": math.nan}}),
)
BROKEN_TEXTS = ("", "<tool_call>", '<tool_call>{"name": </tool_call>', "{", "Action:", "\ud800")


def gymnasium_api(subject: Subject) -> Iterator[Broken]:
    """Gymnasium's own check_env passes, without a warning but that the env is wrapped."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        env_checker.check_env(subject.env, skip_render_check=True)
    for warning in caught:
        text = str(warning.message)
        if "different from the unwrapped version" not in text:
            yield Broken(
                "gymnasium's check_env", f"the warning {text}", "none", "See Gymnasium's documentation of Env."
            )


def options(subject: Subject) -> Iterator[Broken]:
    """The options of reset reach the env: task_id, user, tools, lazy_open; an unknown one warns."""
    env = subject.env
    advice = "A wrapper passes reset's seed and options on to the env below."
    for task_id in subject.task_ids:
        _, info = env.reset(seed=0, options={"task_id": task_id, "user": TALKER})
        if (got := info.get("task_id")) != task_id:
            yield Broken(f"reset with the option task_id={task_id!r}", f"task_id {shown(got)}", "that task", advice)
            break
    if (said := [message.content for message in subject.core.trace().messages]) != [OPENING]:
        yield Broken("reset with the option user=…", f"the turns {shown(said)}", f"its opening {OPENING!r}", advice)
    _, info = env.reset(seed=0, options={"tools": False, "user": TALKER})
    if kept := {"policy", "tools"} & set(info):
        yield Broken("reset with the option tools=False", f"{' and '.join(sorted(kept))} in info", "neither", advice)
    env.reset(seed=0, options={"lazy_open": True, "user": TALKER})
    if subject.core.trace().messages:
        yield Broken("reset with the option lazy_open=True", "words at once", "that the agent begins", advice)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        env.reset(seed=0, options={"no_such_option": 1, "user": TALKER})
    if not any("no_such_option" in str(warning.message) for warning in caught):
        yield Broken("reset with the option no_such_option=1", "no warning", "one that names it", advice)


def spaces(subject: Subject) -> Iterator[Broken]:
    """Observations and samples are in their spaces; reward, flags and info have their types at every step."""
    env = subject.env
    env.action_space.seed(1)
    observation, info = subject.start(seed=1)
    yield from _in_space(env, observation, "reset(seed=1)")
    yield from _info(info, "reset(seed=1)", "task_id", "policy", "tools")
    for index in range(SAMPLES):
        action = env.action_space.sample()
        done = f"step {index} with the sampled action {shown(action, 120)}"
        if action not in env.action_space:
            yield Broken("action_space.sample()", shown(action), "something the space contains", "Mend the space.")
        observation, reward, terminated, truncated, info = env.step(action)
        found = [*_in_space(env, observation, done), *_info(info, done), *_types(reward, terminated, truncated, done)]
        yield from found
        if found:
            break  # the same forty times over says no more
        if terminated or truncated:
            subject.start(seed=None)


def _in_space(env: AnyEnv, observation: Any, done: str) -> Iterator[Broken]:
    if observation not in env.observation_space:
        yield Broken(
            done,
            f"the observation {shown(observation)}",
            f"one of {env.observation_space}",
            "Change observation_space together with what you return.",
        )


def _types(reward: Any, terminated: Any, truncated: Any, done: str) -> Iterator[Broken]:
    if isinstance(reward, bool) or not isinstance(reward, float | int | np.number) or not math.isfinite(reward):
        yield Broken(done, f"the reward {shown(reward)}", "a finite number", "Not scored is info['valid'] = False.")
    for name, value in (("terminated", terminated), ("truncated", truncated)):
        if not isinstance(value, bool | np.bool_):
            yield Broken(done, f"{name}={shown(value)}", "True or False", "")


def _info(info: Any, done: str, *keys: str) -> Iterator[Broken]:
    if not isinstance(info, dict):
        yield Broken(done, f"the info {shown(info)}", "a dict", "")
        return
    if not isinstance(info.get("valid"), bool):
        yield Broken(
            done,
            f"info['valid'] {shown(info.get('valid'))}",
            "True or False at every step",
            "Return info | {…} of the env below; statistics and trainers read it.",
        )
    for name, value in info.items():
        if isinstance(value, dict) and name != "episode":  # that one is Gymnasium's
            yield Broken(
                done,
                f"a dict in info[{name!r}]",
                "no nested dict",
                "Vector envs turn a missing one into zeros: use a frozen dataclass, or flat keys.",
            )
    for name in keys:
        if name not in info:
            yield Broken(done, f"info without {name!r}", "it at reset", "Return info | {…} of the env below.")


def fresh_tools(subject: Subject) -> Iterator[Broken]:
    """What an agent does to info["tools"] does not reach anybody else."""
    _, info = subject.start()
    before = str(info["tools"])
    for tool in info["tools"]:
        tool["function"]["name"] = "changed"
    if str(subject.start()[1]["tools"]) != before:
        yield Broken(
            "info['tools'] was changed by the agent",
            "the changed tools at the next reset",
            "fresh ones",
            "Give a copy each time.",
        )


def malformed_actions(subject: Subject) -> Iterator[Broken]:
    """What is no action raises InvalidAction before anything changes; what is wrong inside gets a readable error."""
    subject.start(TALKER)
    calls = {"name": "respond", "arguments": {"content": ""}} in subject.env.action_space
    for action in (action for action in NO_ACTIONS if action not in subject.env.action_space):
        before = subject.core.trace().events
        try:
            subject.env.step(action)
            came = "no error"
        except InvalidAction:
            came = "InvalidAction, but the episode has changed" if subject.core.trace().events != before else ""
        except Exception as error:
            came = f"{type(error).__name__}: {error}"
        if came:
            yield Broken(
                f"step({shown(action)})",
                came,
                "InvalidAction before anything changes",
                "messages.parse_action(action) says it.",
            )
    for action in WRONG_INSIDE if calls else BROKEN_TEXTS if "" in subject.env.action_space else ():
        yield from _answered(subject, action)
    subject.start(TALKER)
    step = subject.step(says("Are you still there?"))
    if step[2] or step[3] or REPLY not in (m.content for m in subject.core.trace().messages):
        yield Broken("an ordinary respond afterwards", shown(step[0]), f"the answer {REPLY!r}", "")


def _answered(subject: Subject, action: Any) -> Iterator[Broken]:
    done = f"step({shown(action)})"
    subject.start(TALKER)
    try:
        observation, _, terminated, truncated, info = subject.env.step(action)
    except Exception as error:
        yield Broken(
            done,
            f"{type(error).__name__}: {error}",
            "an observation that says what is wrong",
            "Catch it: a mistake of the agent costs a step, not the episode.",
        )
        return
    if terminated or truncated or info.get("valid") is not True:
        yield Broken(
            done,
            f"terminated={terminated}, truncated={truncated}, valid={info.get('valid')}",
            "that the episode goes on",
            "A mistake of the agent costs a step, not the episode.",
        )
    if isinstance(observation, dict) and not str(observation.get("content", "?")).strip():
        yield Broken(done, shown(observation), "a text that says what is wrong", "")


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
    for name in ("observation_space", "action_space"):
        mine, other = getattr(subject.env, name), getattr(again, name)
        if mine != other:
            yield Broken(f"gym.make(env.spec).{name}", str(other), str(mine), advice)
    if again.unwrapped.task_ids != subject.core.task_ids:  # type: ignore[attr-defined]
        yield Broken("gym.make(env.spec)", "other tasks", "the same", advice)
    yield from _equal(
        "an episode in gym.make(env.spec)",
        list(subject.greet(TALKER, 3, again)),
        list(subject.greet(TALKER, 3)),
        advice,
    )
    again.close()


def domain(subject: Subject) -> Iterator[Broken]:
    """The expected calls run, change the same each time, and write only what is declared."""
    core = subject.core
    for problem in problems_of_calls(core._domain, core._tasks):
        yield Broken(f"the expected calls of {core._domain.name}", problem, "no such thing", "See docs/own_domain.md.")
