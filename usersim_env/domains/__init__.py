"""Domains by name: retail and airline (τ-bench's), and mock (ours, needs nothing installed)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from usersim_env.domains import mock, tau_bench
from usersim_env.domains.task import Task
from usersim_env.domains.world import Domain, Tool, World
from usersim_env.errors import unknown

__all__ = ["LOADERS", "Domain", "Task", "Tool", "World", "get_domain", "get_task"]

LOADERS: Mapping[str, Callable[[], Domain]] = {
    "retail": lambda: tau_bench.load("retail"),
    "airline": lambda: tau_bench.load("airline"),
    "mock": mock.load,
}


def get_domain(name: str) -> Domain:
    """The domain, loaded once per process; an unknown name lists those that exist."""
    if name not in LOADERS:
        raise unknown("domain", name, LOADERS)
    return LOADERS[name]()


def get_task(task_id: str) -> Task:
    """The task with an id like ``airline/test/3``, of whatever domain. Privileged: shows the expected calls."""
    name = task_id.split("/")[0] if isinstance(task_id, str) else ""
    if name not in LOADERS:
        raise unknown("task", task_id, [f"{domain}/test/0" for domain in LOADERS])
    return get_domain(name).task(task_id)
