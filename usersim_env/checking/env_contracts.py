"""The contracts of an env's face: options, Gymnasium's API, spaces, info, malformed actions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium.utils import env_checker

from usersim_env.checking.findings import Broken, shown
from usersim_env.checking.held import held, left
from usersim_env.checking.leaks import AnyEnv
from usersim_env.checking.subject import OPENING, REPLY, TALKER, Subject, says
from usersim_env.errors import InvalidAction
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
    env, before = subject.env, held()
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
    yield from left("actions were sampled", before)


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
