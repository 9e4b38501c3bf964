"""Does the user side agree to what its task wants? A command too: ``python tests/users/agenda/agreement.py``.

The clerk asks properly and proposes the calls that the task expects, one by one. A task agrees if the calls that were
performed in the end are the expected ones. Only tasks that expect a call that writes can show anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from usersim_env.baselines.clerk import Clerk
from usersim_env.domains import get_domain, get_task
from usersim_env.env.tau_env import TauEnv
from usersim_env.rollouts import play
from usersim_env.users.agenda import Agenda, AgendaUser
from usersim_env.users.agenda.checked import checked_agendas
from usersim_env.users.agenda.model import Entry

DOMAINS = ("retail", "airline")
PROPER = Clerk(ask_again=0.0, wrong_argument=0.0)
SLIPPING = Clerk(ask_again=0.0, wrong_argument=1.0)
STEP = 7
"""In the control, a task gets the wishes of the task that is so many places further."""


class Row(NamedTuple):
    """One task that expects writes: how many, how many were performed, whether they are the same, what was said."""

    task_id: str
    expected: int
    performed: int
    exact: bool
    wrong: int
    said: tuple[str, ...]
    reward: float | None


def rows(user: AgendaUser, clerk: Clerk, domain: str, seed: int = 0) -> Iterator[Row]:
    """Plays every test task of a domain that expects a call that writes."""
    env = TauEnv(domain, user)
    for task in get_domain(domain).tasks("test"):
        if expected := writes(task.id):
            trace = play(clerk, env, task.id, seed)
            written = get_domain(domain).written or ()
            acts = [event for event in trace.events if event["event"] == "act"]
            done = [(act["name"], dict(act["arguments"])) for act in acts if act["name"] in written]
            said = tuple(str(act["arguments"].get("content", "")) for act in acts)
            wrong = sum(call not in expected for call in done)
            yield Row(task.id, len(expected), len(done), done == expected, wrong, said, trace.reward)


def writes(task_id: str) -> list[tuple[str, dict[str, Any]]]:
    """Name and arguments of the expected calls that write."""
    task = get_task(task_id)
    written = get_domain(task.domain).written or ()
    return [(call.name, dict(call.arguments)) for call in task.expected_calls if call.name in written]


def agreed(user: AgendaUser, clerk: Clerk, domain: str, seed: int = 0) -> tuple[int, int]:
    """Tasks whose performed calls are the expected ones, and tasks with writes."""
    found = list(rows(user, clerk, domain, seed))
    return sum(row.exact for row in found), len(found)


def swapped(domain: str) -> Mapping[str, Agenda]:
    """Every task with another task's agenda, but its own identity, so that the clerk finds the account."""
    ids = [task_id for task_id in checked_agendas() if task_id.startswith(domain)]
    agendas = [checked_agendas()[task_id][1] for task_id in ids]
    pairs = zip(ids, agendas, [*agendas[STEP:], *agendas[:STEP]], strict=True)
    return {task_id: Agenda((*_who(own, True), *_who(other, False)), draft=False) for task_id, own, other in pairs}


def _who(agenda: Agenda, identity: bool) -> list[Entry]:
    return [entry for entry in agenda.entries if (entry.kind == "fact" and not entry.text) is identity]


def main() -> None:
    """Prints the table of docs/agendas.md."""
    print("| user side | clerk | retail | airline |\n|---|---|---|---|")
    cases: list[tuple[str, dict[str, AgendaUser], str, Clerk]] = [
        ("checked agendas", {d: AgendaUser() for d in DOMAINS}, "proposes the expected calls", PROPER),
        ("drafts", {d: AgendaUser(agendas="draft") for d in DOMAINS}, "the same", PROPER),
        ("another task's agenda", {d: AgendaUser(agendas=swapped(d)) for d in DOMAINS}, "the same", PROPER),
        ("checked agendas", {d: AgendaUser() for d in DOMAINS}, "one argument of every call is wrong", SLIPPING),
        ("drafts", {d: AgendaUser(agendas="draft") for d in DOMAINS}, "the same", SLIPPING),
        ("checked, humanlike", {d: AgendaUser("humanlike") for d in DOMAINS}, "proposes the expected calls", PROPER),
    ]
    for name, users, what, clerk in cases:
        cells = []
        for domain, user in users.items():
            found = list(rows(user, clerk, domain))
            exact, wrong = sum(row.exact for row in found), sum(row.wrong for row in found)
            expected = sum(row.expected for row in found)
            cells.append(f"{exact} of {len(found)}" + (f" ({wrong} of {expected} calls wrong)" if wrong else ""))
        print(f"| {name} | {what} | {' | '.join(cells)} |")
    print("\nTasks that do not agree (checked agendas, three seeds):")
    played = [
        (seed, row) for seed in range(3) for domain in DOMAINS for row in rows(AgendaUser(), PROPER, domain, seed)
    ]
    lines = [
        f"- {row.task_id} (seed {seed}): {row.performed} of {row.expected}" for seed, row in played if not row.exact
    ]
    print("\n".join(lines) or "none")


if __name__ == "__main__":
    main()
