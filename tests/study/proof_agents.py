"""Agents for the proofs: functions of the transcript, whose answers repeat the words that they answer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any

from usersim_env.agent import Action

TOOL = "list_all_product_types"
Messages = list[dict[str, Any]]


def answer(messages: Messages, seconds: float = 0.0) -> Action:
    """Repeats the person's last words and says how long it took, so that a client can tell both."""
    words = [m["content"] for m in messages if m["role"] == "user"]
    return {"name": "respond", "arguments": {"content": f"{len(words)}. {words[-1]} [{seconds:.3f} s]"}}


async def at_once(messages: Messages, info: Mapping[str, Any]) -> Action:
    """Answers at once."""
    return answer(messages)


async def slow(messages: Messages, info: Mapping[str, Any]) -> Action:
    """Looks something up at once, and answers after 1 to 3 s."""
    if messages[-1]["role"] == "user":
        return {"name": TOOL, "arguments": {}}
    seconds = random.Random(f"{info['seed']} {len(messages)}").uniform(1.0, 3.0)
    await asyncio.sleep(seconds)
    return answer(messages, seconds)


async def short(messages: Messages, info: Mapping[str, Any]) -> Action:
    """As `slow`, in 0 to 50 ms: for kills."""
    if messages[-1]["role"] == "user":
        return {"name": TOOL, "arguments": {}}
    await asyncio.sleep(random.Random(f"{info['seed']} {len(messages)}").uniform(0.0, 0.05))
    return answer(messages)
