"""Ten thousand random and malformed actions: each ends as the contract says, and the trace keeps them all."""

from __future__ import annotations

import json
import math
import random
from collections import UserDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from usersim_env import ScriptedUser, TauEnv, Trace, read_traces
from usersim_env.conversation.machine import Conversation
from usersim_env.domains import World, get_domain
from usersim_env.errors import InvalidAction

COUNT = 10_000
TRIES, STEPS = 100, 60
MEGABYTE = "é" * 500_000
Draw = random.Random


class Rude:
    """Raises whatever is asked of it."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __getattr__(self, name: str) -> Any:
        raise KeyError(name)


class Text(str):
    """A str that lies when it is printed."""

    def __str__(self) -> str:
        raise RuntimeError("no str")

    __repr__ = __format__ = __str__  # type: ignore[assignment]


def cycle() -> list[Any]:
    ring: list[Any] = [1]
    ring += [ring, ring, {"again": ring}]
    return ring


def lattice() -> list[Any]:
    """2 ** 30 leaves, in thirty small lists."""
    lists: list[Any] = ["leaf"]
    for _ in range(30):
        lists = [lists, lists]
    return lists


def deep(levels: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(levels):
        nested = [nested]
    return nested


def spoilt_key(rng: Draw) -> Any:
    return rng.choice([3, None, b"k", ("a", 1), Rude(), 1.5, Text("k"), "", "\ud800", "k" * 10_000])


LEAVES: tuple[Callable[[Draw], Any], ...] = (
    lambda rng: None,
    lambda rng: rng.choice([True, False]),
    lambda rng: rng.randint(-(10**6), 10**6),
    lambda rng: rng.choice([math.nan, math.inf, -math.inf, 1e308, -0.0, 5e-324]),
    lambda rng: rng.choice([10**299, 10**300, -(10**5000), 1 << 100_000]),
    lambda rng: rng.choice(["", "#W0000000", "T-1001", "ada@mock.example", "9**9**9", "a,b" * 50, "\x00\u2028\r\n"]),
    lambda rng: rng.choice(["\ud800", "x\udfff", "🙂", "Error: x", "###STOP###", "' OR 1=1", "{}", "../../etc"]),
    lambda rng: rng.choice([b"bytes", bytearray(2), {1, 2}, object(), len, Rude(), Text("t"), complex(1, math.nan)]),
    lambda rng: rng.choice([np.int64(3), np.float64("nan"), np.bool_(1), np.str_("s"), np.zeros(3), np.array(2.5)]),
    lambda rng: rng.choice([range(3), (1, 2), UserDict(a=1), iter([1]), ..., Exception("e"), type]),
)
RARE: tuple[Callable[[], Any], ...] = (
    *(cycle, lambda: deep(31), lambda: deep(33), lambda: deep(900)),
    *(lambda: MEGABYTE, lambda: {"k" * 100_000: math.nan}, lambda: [0] * 50_000),
)


def junk(rng: Draw, depth: int = 4) -> Any:
    kind = rng.random()
    if depth == 0 or kind < 0.6:
        return rng.choice(LEAVES)(rng)
    if kind < 0.8:
        return [junk(rng, depth - 1) for _ in range(rng.randint(0, 4))]
    keys = [spoilt_key(rng) if rng.random() < 0.1 else f"k{i}" for i in range(rng.randint(0, 4))]
    return {key: junk(rng, depth - 1) for key in keys}


def action(rng: Draw, env: TauEnv) -> Any:
    """A valid call, a spoilt one, or something that is no action at all."""
    call = env.action_space.sample()
    while call["name"] == "transfer_to_human_agents" and rng.random() < 0.9:  # it would end most episodes at once
        call = env.action_space.sample()
    arguments, kind = call["arguments"], rng.random()
    if kind < 0.1:
        return junk(rng) if rng.random() < 0.5 else rng.choice([{}, {"name": 1, "arguments": {}}, {"name": "respond"}])
    if kind < 0.2:
        call["name"] = rng.choice(["", "nope", "Respond", "\ud800", Text("respond"), np.str_("respond"), "n" * 10_000])
    elif kind < 0.35 and arguments:
        del arguments[rng.choice(list(arguments))]
    elif kind < 0.7 and arguments:
        arguments[rng.choice(list(arguments))] = junk(rng)
    elif kind < 0.8:
        arguments[spoilt_key(rng)] = junk(rng)
    elif kind < 0.805:
        arguments[rng.choice(["content", "email", "data", "self"])] = rng.choice(RARE)()
    return call


def is_action(value: Any) -> bool:
    """The contract's own words: a dict with a str name and a dict of arguments."""
    return isinstance(value, dict) and isinstance(value.get("name"), str) and isinstance(value.get("arguments"), dict)


def check_episode(env: TauEnv, rng: Draw) -> tuple[Trace, int]:
    """Plays one episode of junk; returns its trace and how many actions were taken."""
    env.reset(seed=rng.randrange(1 << 30), options={"tools": False})
    taken = refused = 0
    over = False
    while not over and taken + refused < TRIES:
        tried, known = action(rng, env), len(env.trace().events) if rng.random() < 0.02 else None
        if not is_action(tried):
            with pytest.raises(InvalidAction, match="An action "):
                env.step(tried)
            assert known is None or len(env.trace().events) == known
            refused += 1
            continue
        observation, reward, terminated, truncated, info = env.step(tried)
        taken += 1
        over = terminated or truncated
        assert observation in env.observation_space
        assert observation["role"] == "user" or type(observation["content"]) is str
        assert info["valid"] is True and "failure" not in info
        assert reward == 0.0 or over
    trace = env.trace()
    assert sum(event["event"] == "act" for event in trace.events) == taken
    return trace, taken + refused


@pytest.mark.parametrize(("domain", "share"), [("mock", 0.6), ("retail", 0.2), ("airline", 0.2)])
def test_malformed_actions(tmp_path: Path, domain: str, share: float) -> None:
    rng, done, count = Draw(f"malformed {domain}"), 0, int(COUNT * share)
    path = tmp_path / "traces.jsonl"
    user = ScriptedUser(("hello \ud800",), repeat=True)
    env = gym.make(f"Tau{domain.title()}-v0", user=user, record=path, max_steps=STEPS).unwrapped
    assert isinstance(env, TauEnv)
    env.action_space.seed(1)
    made = []
    while done < count:
        trace, tried = check_episode(env, rng)
        made.append(trace)
        done += tried
    env.close()
    traces = read_traces(path)
    assert [t.id for t in traces] == [t.id for t in made]
    assert {t.ended_by for t in traces} >= {"limit", "transfer"}
    for trace, read in zip(made, traces, strict=True):
        assert read.events == trace.events
        check_restores(read)


def check_restores(trace: Trace) -> None:
    found = get_domain(trace.domain)
    restored = Conversation.restore(found.task(trace.task_id), World(found), trace.events, trace.rules, trace.seed)
    assert tuple(restored.events) == trace.events
    assert restored.effort() == trace.effort
    assert restored.over == (trace.ended_by != "cut")
    if restored.over:
        assert restored.outcome.ended_by == trace.ended_by
        assert restored.outcome.feedback.reward == trace.reward


@pytest.mark.parametrize(
    "value",
    [cycle(), deep(5_000), {1: 2}, {Rude(): Rude()}, {b"x": math.nan}, 10**400, Rude(), [Rude()], {"a": object()}],
    ids=["cycle", "deep", "int key", "rude key", "bytes key", "huge", "rude", "in a list", "object"],
)
@pytest.mark.parametrize("name", ["respond", "find_ticket", "nope"])
def test_each_is_refused_readably_and_kept(name: str, value: Any) -> None:
    env = gym.make("TauMock-v0", user=ScriptedUser(("hi", "yes"))).unwrapped
    assert isinstance(env, TauEnv)
    env.reset(seed=0)
    arguments = value if isinstance(value, dict) else {"content": value}
    check_refused(env, {"name": name, "arguments": arguments})


def test_small_lists_that_unfold_to_a_billion_leaves() -> None:
    env = gym.make("TauMock-v0", user=ScriptedUser(("hi", "yes"))).unwrapped
    assert isinstance(env, TauEnv)
    env.reset(seed=0)
    check_refused(env, {"name": "find_ticket", "arguments": {"email": lattice()}})


def check_refused(env: TauEnv, tried: dict[str, Any]) -> None:
    observation, _, terminated, truncated, _ = env.step(tried)
    assert observation["role"] == "tool" and observation["content"].startswith("Error: ")
    assert len(observation["content"]) < 1_000
    assert not (terminated or truncated)
    event = json.loads(env.trace().to_line())["events"][-1]
    assert event["refused"] is True and event["error"] is True
    assert event["arguments"], "what came is kept, as far as it can be written"
    assert env.step({"name": "respond", "arguments": {"content": "hello"}})[0]["content"] == "yes"


@pytest.mark.parametrize("name", [Text("respond"), np.str_("respond")])
def test_a_subclass_of_str_is_a_name(name: str) -> None:
    env = gym.make("TauMock-v0", user=ScriptedUser(("hi", "yes"))).unwrapped
    env.reset(seed=0)
    assert env.step({"name": name, "arguments": {"content": Text("hello")}})[0]["content"] == "yes"


def test_a_megabyte_passes_whole_where_there_is_no_limit() -> None:
    env = gym.make("TauMock-v0", user=ScriptedUser(("hi", "yes")), max_chars=None).unwrapped
    assert isinstance(env, TauEnv)
    env.reset(seed=0)
    env.step({"name": "respond", "arguments": {"content": MEGABYTE}})
    assert env.trace().messages[1].content == MEGABYTE
