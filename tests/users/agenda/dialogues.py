"""Twenty dialogues drawn at random, for anyone to judge; ``python tests/users/agenda/dialogues.py`` prints them.

Its output is docs/agenda_dialogues.md.
"""

from __future__ import annotations

import random
from collections.abc import Container, Iterator, Mapping
from typing import Any

from usersim_env.baselines.clerk import Clerk
from usersim_env.domains import get_domain, get_task
from usersim_env.env.tau_env import TauEnv
from usersim_env.rollouts import play
from usersim_env.users.agenda import PERSONAS, AgendaUser
from usersim_env.users.agenda.checked import checked_agendas

SEED = 20
HEAD = f"""# Twenty dialogues of the agenda user

Drawn at random (seed {SEED}) from the 165 test tasks, the two personas in turn, with the `clerk` as it is by default:
it asks for some things twice and gets some arguments wrong. The clerk is told the expected calls, so a good end says
nothing about the task. The user side is synthetic, with either persona. Nothing was left out or edited; of the tool
calls only those that write are shown. The instructions are τ-bench's (MIT licence).

`python tests/users/agenda/dialogues.py` prints this page.
"""


def drawn() -> list[tuple[str, str]]:
    """Twenty pairs of task id and persona."""
    ids = random.Random(SEED).sample(sorted(checked_agendas()), 20)
    personas = sorted(PERSONAS)
    return [(task_id, personas[i % len(personas)]) for i, task_id in enumerate(ids)]


def dialogue(task_id: str, persona: str) -> Iterator[str]:
    """The lines of one dialogue, in Markdown."""
    domain = task_id.partition("/")[0]
    trace = play(Clerk(), TauEnv(domain, AgendaUser(persona)), task_id, SEED)
    yield f"\n## {task_id}, {persona}\n"
    yield f"> {get_task(task_id).instruction.strip()}\n"
    for event in trace.events:
        if line := _line(event, get_domain(domain).written or ()):
            yield line
    yield f"\nRule reward: {trace.reward}. The user side left: {trace.user.notes['ended'] or 'no'}."


def _line(event: Mapping[str, Any], written: Container[str]) -> str:
    if event["event"] == "say":
        return f"- **User:** {event['content']}"
    if event["event"] == "stop":
        return f"- **User** leaves: {event['content'] or '(no word)'}"
    if event["event"] == "act" and event["name"] == "respond":
        return f"- **Agent:** {event['arguments']['content']}"
    return f"- *{event['name']}*" if event["event"] == "act" and event["name"] in written else ""


if __name__ == "__main__":
    print(HEAD, end="")
    for pair in drawn():
        print("\n".join(dialogue(*pair)))
