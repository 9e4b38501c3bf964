"""The package's main job, from rollouts to a report, in one call that needs no key and no network."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console

from usersim_env.baselines import make_agent
from usersim_env.gap import GapSettings, compare, print_tables, write_report
from usersim_env.registration import env_id
from usersim_env.rollouts import RolloutSettings, rollout, select_tasks

NOTE = (
    "The gap is planted: the two user sides are settings of one rule-based user. "
    "This shows how a gap is measured, not how large it is with people."
)
EPISODES = 2


def run(out: str | os.PathLike[str], selection: str = "all") -> Path:
    """The same agent on the same retail tasks with two personas of the agenda user, and the gap between them.

    Args:
        out: folder for the traces, the page and the plots; finished episodes in it are not run again.
        selection: which of retail's test tasks: ``all``, ``0-9``, ``1,4``.

    Returns:
        Path of the page.
    """
    folder = Path(out)
    console = Console(stderr=True)
    console.print(f"Both user sides are synthetic. {NOTE}", style="bold")
    tasks = select_tasks("retail", "test", selection)
    agent = make_agent("clerk")
    sides = {}
    for persona in ("cooperative", "humanlike"):
        console.print(f"{agent.name} with the {persona} user side, {len(tasks)} tasks × {EPISODES} episodes")
        settings = RolloutSettings(tasks, range(EPISODES), folder / f"{persona}.jsonl", {"persona": persona})
        sides[persona] = rollout(agent, env_id("retail", "agenda"), settings).traces
    result = compare(sides["cooperative"], sides["humanlike"], GapSettings())
    print_tables(result, note=NOTE)
    page = write_report(result, folder, note=NOTE)
    console.print(f"Page: {page}", highlight=False, soft_wrap=True)
    return page
