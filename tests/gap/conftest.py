"""A small factory of made-up traces, so that every gap in these tests is known beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from usersim_env.feedback.survey import FIELDS, label_for
from usersim_env.feedback.values import Effort, Failure
from usersim_env.traces.trace import Provenance, Seat, Trace

AGENT = Seat("agent", "clerk", {"skip_confirmation": 0.1}, privileged=True)
SIM = Seat("agenda", "cooperative")
REFERENCE = Seat("agenda", "humanlike")
HUMAN = Seat("human", "participant 7")
LLM = Seat("llm", "some-model")

POLITE = ("Hello, I would like to return my order #W1234567, please.", "Thank you so much!", "Yes, please go ahead.")
CURT = ("return W1234567", "what? i already told you", "fine", "not sure, maybe the blue one", "ok")


def make_trace(task: int = 0, user: Seat = SIM, seed: int = 0, reward: float | None = 1.0, **changes: Any) -> Trace:
    """One episode of ``mock/test/<task>``; an episode without reward has failed."""
    texts: Sequence[str] = changes.pop("texts", POLITE if user == SIM else CURT)
    events: list[dict[str, Any]] = []
    for text in texts:
        events.append({"event": "say", "content": text})
        events.append({"event": "act", "name": "respond", "arguments": {"content": f"Reply to: {text}"}})
    events.append({"event": "stop", "content": ""})
    fields: dict[str, Any] = {
        "id": f"{user.kind}-{'x' if user == HUMAN else user.name}-{task}-{seed}",
        "task_id": f"mock/test/{task}",
        "task_hash": f"hash-{task}",
        "domain": "mock",
        "agent": AGENT,
        "user": user,
        "seed": seed,
        "max_steps": 200,
        "events": tuple(events),
        "ended_by": "user" if reward is not None else "failure",
        "reward": reward,
        "checks": {} if reward is None else {"database": bool(reward)},
        "survey": None,
        "failure": None if reward is not None else Failure("user", "outage", "The model did not answer."),
        "effort": Effort(len(texts), 10, len(texts), 10, 2, 0),
        "provenance": Provenance("0.1.0", {"package": "tau_trait", "version": "0.1.1"}, "2026-01-01T00:00:00Z", 1.0),
        "scoring": "1",
    }
    return Trace(**{**fields, **changes})


def make_side(user: Seat, rewards: Sequence[Sequence[float | None]], **changes: Any) -> list[Trace]:
    """Episodes by task: ``rewards[task][seed]``."""
    return [
        make_trace(task, user, seed, reward, **changes)
        for task, found in enumerate(rewards)
        for seed, reward in enumerate(found)
    ]


def drawn_side(user: Seat, tasks: int, episodes: int, success: float, seed: int) -> list[Trace]:
    """Episodes with clustered rewards around ``success``, and surveys that follow the reward."""
    generator = np.random.default_rng(seed)
    traces = []
    for task in range(tasks):
        chance = generator.beta(4 * success, 4 * (1 - success))
        for episode in range(episodes):
            reward = float(generator.random() < chance)
            levels = {f: np.clip(0.25 + 0.45 * reward + generator.normal(0, 0.2), 0, 1) for f in FIELDS}
            texts = [(POLITE if user in (SIM, LLM) else CURT)[i % 3] for i in range(int(generator.integers(3, 7)))]
            survey = {f: label_for(f, float(x)) for f, x in levels.items()}
            traces.append(make_trace(task, user, episode, reward, survey=survey, texts=texts))
    return traces


class Make:
    """The factory in one place, for tests to ask for by the fixture `make`."""

    SIM, REFERENCE, HUMAN, LLM, AGENT = SIM, REFERENCE, HUMAN, LLM, AGENT
    trace = staticmethod(make_trace)
    side = staticmethod(make_side)
    drawn = staticmethod(drawn_side)


@pytest.fixture(scope="session")
def make() -> Any:
    """`Make`."""
    return Make
