"""`CallingWrapper`: what `ParseToolCalls` and `ChatAction` share, from calls to one observation."""

from __future__ import annotations

import json
from typing import Any

from usersim_env.domains.canonical import evidence
from usersim_env.wrappers.base import AnyEnv, Reset, Step, TauWrapper, takes_calls
from usersim_env.wrappers.call_formats import Malformed, Parsed

MALFORMED = "malformed_call"
"""Name of the action that stands for what could not be read: no tool has it, so it costs a step and is in the trace."""

_SHOWN = 2000


class CallingWrapper(TauWrapper):
    """Takes what a model wrote, and makes the calls in it one after the other until the episode ends.

    Attributes:
        malformed: how many actions of this episode could not be read.
        hint: what a readable action looks like.
    """

    hint = ""

    def __init__(self, env: AnyEnv, **settings: Any) -> None:
        super().__init__(env, **settings)
        self.calls = takes_calls(env, type(self).__name__)
        self.malformed = 0

    def parse(self, action: Any) -> Parsed:
        """The calls of an action, in order, or what is wrong with it."""
        raise NotImplementedError

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        """Starts an episode; the count of malformed actions begins anew."""
        observation, info = self.env.reset(seed=seed, options=options)
        self.malformed = 0
        return observation, info | {"malformed": 0}

    def step(self, action: Any) -> Step:
        """Makes the calls of one action; what cannot be read becomes one step that changes nothing."""
        parsed = self.parse(action)
        problem = ""
        if isinstance(parsed, Malformed):
            problem = f"{parsed.problem} {self.hint}"
            parsed = [{"name": MALFORMED, "arguments": {"problem": parsed.problem, "text": _shown(action)}}]
        seen: list[Any] = []
        total, terminated, truncated = 0.0, False, False
        info: dict[str, Any] = {}
        for call in parsed:
            observation, reward, terminated, truncated, info = self.env.step(call)
            seen.append(observation)
            total += float(reward)
            if terminated or truncated:
                break
        self.malformed += bool(problem)
        info = info | {"malformed": self.malformed}
        if problem:
            return _told(seen[0], problem), total, terminated, truncated, info
        if len(seen) > 1:
            info["observations"] = tuple(seen)
        return _joined(seen), total, terminated, truncated, info


def _shown(action: Any) -> str:
    text = str.__str__(action) if isinstance(action, str) else json.dumps(evidence(action))
    return text[:_SHOWN]


def _told(observation: Any, problem: str) -> Any:
    """The env can only say that it does not know the tool; the model should read why."""
    if isinstance(observation, dict) and observation.get("name") == MALFORMED:
        return observation | {"content": f"Error: {problem}"}
    return observation


def _joined(seen: list[Any]) -> Any:
    """One observation for several calls. A history holds them all already: its last one is enough."""
    if len(seen) == 1 or not isinstance(seen[-1], dict):
        return seen[-1]
    name = ", ".join(observation["name"] for observation in seen)
    lines = (f"[{n}] {one['name']}: {one['content']}" for n, one in enumerate(seen, 1))
    return {"role": seen[-1]["role"], "name": name, "content": "\n".join(lines)}
