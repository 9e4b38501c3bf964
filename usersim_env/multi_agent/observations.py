"""What the two seats see, and its spaces. Text stands inside dicts: PettingZoo takes no plain text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from gymnasium import spaces

from usersim_env.conversation.scene import Scene
from usersim_env.spaces import UnicodeText

Observation: TypeAlias = dict[str, Any]

OPEN, REPLY, SURVEY, WAIT, OVER = "open", "reply", "survey", "wait", "over"
"""Phases of the user seat: what it is asked for now. In `WAIT` and `OVER` it is asked for nothing."""


def agent_space() -> spaces.Space[Observation]:
    """``role``, ``name``, ``content`` of what the agent has just received; ``policy`` and ``tools`` (JSON)."""
    text = UnicodeText()
    return spaces.Dict(dict.fromkeys(("role", "name", "content", "policy", "tools"), text))


def user_space() -> spaces.Space[Observation]:
    """What `user_observation` gives."""
    text = UnicodeText()
    turn = spaces.Dict({"role": text, "content": text})
    question = spaces.Dict({"field": text, "question": text, "answers": spaces.Sequence(text)})
    parts: dict[str, spaces.Space[Any]] = dict.fromkeys(("phase", "instruction", "message", "error"), text)
    return spaces.Dict(parts | {"transcript": spaces.Sequence(turn), "form": spaces.Sequence(question)})


def agent_observation(received: Mapping[str, str], policy: str, tools: str) -> Observation:
    """What the agent has just received (as `TauEnv` gives it), with its policy and tools."""
    return {**received, "policy": policy, "tools": tools}


def user_observation(scene: Scene, phase: str, error: str = "") -> Observation:
    """What a scene shows to the user seat.

    Args:
        scene: what the user side may know now.
        phase: ``open``, ``reply``, ``survey``, ``wait`` or ``over``.
        error: what was wrong with the seat's last action, if it was not a turn.

    Returns:
        ``phase``, ``instruction``, ``message`` (the agent's last words), ``error``: texts; ``transcript``: a tuple of
        ``{"role": "agent" | "user", "content"}``; ``form``: a tuple of ``{"field", "question", "answers"}``, empty
        but when the survey is asked for.
    """
    said = [message.content for message in scene.transcript if message.role == "agent"]
    questions = scene.form if phase == SURVEY else ()
    return {
        "phase": phase,
        "instruction": scene.instruction,
        "message": said[-1] if said else "",
        "error": error,
        "transcript": tuple({"role": m.role, "content": m.content} for m in scene.transcript),
        "form": tuple({"field": q.field, "question": q.text, "answers": tuple(q.answers)} for q in questions),
    }
