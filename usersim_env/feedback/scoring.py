"""τ-bench's rule reward, with its parts kept. Pure: nothing that is scored is changed.

Right is: the final database equals the one that the expected calls produce, and every required output,
lower-cased, occurs in some text of the agent with its commas removed (tau_bench/envs/base.py, 59a200c).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from usersim_env.domains.task import Task
from usersim_env.domains.world import World

SCORING_VERSION = "1"
"""Part of every trace; raised when the same episode would get another verdict."""


def check(task: Task, world: World, agent_texts: Iterable[str], finished: bool = True) -> dict[str, bool]:
    """The checks of an ended episode, named by kind and index, never by content.

    Args:
        task: what was asked for.
        world: the episode's world, left as it is.
        agent_texts: what the agent said to the user side.
        finished: false at the step limit, where τ-bench gives 0 whatever the database holds.

    Returns:
        ``finished``, ``database`` and ``output_0``, ``output_1`` … as name → passed.
    """
    texts = [text.lower().replace(",", "") for text in agent_texts] if task.required_outputs else []
    checks = {"finished": finished, "database": world.changed() == world.domain.expected_changes(task)}
    for index, output in enumerate(task.required_outputs):
        wanted = output.lower()
        checks[f"output_{index}"] = any(wanted in text for text in texts)
    return checks


def reward(checks: Mapping[str, bool]) -> float:
    """1.0 when every check passed, else 0.0."""
    return 1.0 if all(checks.values()) else 0.0
