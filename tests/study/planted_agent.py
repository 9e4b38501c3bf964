"""A defect for the proofs to find: beside this agent, the store says that it has written before it has."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from tests.study import proof_agents
from usersim_env.agent import Action
from usersim_env.study.store import Store

_append = Store.append
_late: set[asyncio.Task[None]] = set()


async def _early(self: Store, *arguments: Any) -> None:
    async def later() -> None:
        await asyncio.sleep(0.3)
        await _append(self, *arguments)

    _late.add(asyncio.create_task(later()))


Store.append = _early  # type: ignore[method-assign, assignment]


async def at_once(messages: proof_agents.Messages, info: Mapping[str, Any]) -> Action:
    """Answers at once."""
    return proof_agents.answer(messages)
