"""Domains by name: retail and airline (τ-bench's), mock (ours, needs nothing installed), and those of your own."""

from __future__ import annotations

from collections.abc import Callable

from usersim_env.domains import mock, tau_bench
from usersim_env.domains.folder import read_domain
from usersim_env.domains.functions import tool_of
from usersim_env.domains.sound import problems_of
from usersim_env.domains.task import Task
from usersim_env.domains.world import Domain, Tool, World
from usersim_env.errors import UsageError, unknown

__all__ = [
    "LOADERS",
    "Domain",
    "Task",
    "Tool",
    "World",
    "add_domain",
    "get_domain",
    "get_task",
    "read_domain",
    "tool_of",
]

LOADERS: dict[str, Callable[[], Domain]] = {
    "retail": lambda: tau_bench.load("retail"),
    "airline": lambda: tau_bench.load("airline"),
    "mock": mock.load,
}


def get_domain(name: str) -> Domain:
    """The domain, loaded once per process; an unknown name lists those that exist."""
    if name not in LOADERS:
        raise unknown("domain", name, LOADERS)
    return LOADERS[name]()


def add_domain(domain: Domain) -> None:
    """Makes a domain of your own known by its name in this process; `register_domain` gives it ids as well.

    Raises:
        UsageError: it is none, its name is taken, or it cannot be played; every reason is listed.
    """
    if not isinstance(domain, Domain):
        raise UsageError(f"A domain is a usersim_env.domains.Domain or a folder, got {type(domain).__name__}.")
    if domain.name in LOADERS:
        raise UsageError(f"There is a domain {domain.name!r} already ({', '.join(LOADERS)}): take another name.")
    if problems := problems_of(domain):
        listed = "".join(f"\n- {problem}" for problem in problems)
        raise UsageError(f"The domain {domain.name!r} cannot be played:{listed}\nSee docs/own_domain.md.")
    LOADERS[domain.name] = lambda: domain


def get_task(task_id: str) -> Task:
    """The task with an id like ``airline/test/3``, of whatever domain. Privileged: shows the expected calls."""
    name = task_id.split("/")[0] if isinstance(task_id, str) else ""
    if name not in LOADERS:
        raise unknown("task", task_id, [f"{domain}/test/0" for domain in LOADERS])
    return get_domain(name).task(task_id)
