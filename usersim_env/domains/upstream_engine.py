"""τ-bench's own engine, with its user stubbed: what ours is measured against, in tests and in ``usersim-env bench``.

No episode of this package runs on it. It is given τ-bench's own tasks and data (what a carrier package added is
left out), and copies of the tasks, because it writes into the arguments of its tasks.
"""

from __future__ import annotations

import copy
import importlib
import sys
import types
from collections.abc import Callable
from typing import Any

from usersim_env.domains.tau_bench import SOURCES, installed, paths_only
from usersim_env.errors import unknown


class SilentUser:
    """Sits in the user's seat of the upstream engine; calls no model and never stops."""

    def reset(self, instruction: str | None = None) -> str:
        """The opening."""
        return ""

    def step(self, content: str) -> str:
        """An answer to anything."""
        return ""

    def get_total_cost(self) -> float:
        """Nothing was spent."""
        return 0.0


class UpstreamEngine:
    """Makes upstream environments of one domain, each with τ-bench's data and tasks.

    Args:
        domain: ``retail`` or ``airline``.

    Raises:
        InstallError: τ-bench is not installed.
        ImportError: it is, but its engine cannot be imported here.
    """

    def __init__(self, domain: str) -> None:
        if domain not in SOURCES:
            raise unknown("domain of τ-bench", domain, SOURCES)
        self.domain = domain
        self._source = SOURCES[domain]
        package = installed()
        root = f"{package}.envs.{domain}"
        with paths_only(package, f"{package}.envs", root):
            _stub_users(f"{package}.envs.user")
            self._env: Any = importlib.import_module(f"{package}.envs.base").Env
            self.action: Callable[..., Any] = importlib.import_module(f"{package}.types").Action
            self._load: Callable[[], dict[str, Any]] = importlib.import_module(f"{root}.data").load_data
            self._tools: list[Any] = importlib.import_module(f"{root}.tools").ALL_TOOLS
            self._tasks = {
                split: getattr(importlib.import_module(f"{root}.{module}"), attribute)[:count]
                for split, (module, attribute, count) in self._source.splits.items()
            }

    def load(self) -> dict[str, Any]:
        """A freshly parsed database, without the users that a carrier package added."""
        data = self._load()
        for user in self._source.added_users:
            data["users"].pop(user, None)
        return data

    def make(self, split: str = "test") -> Any:
        """An upstream ``Env`` over a split; its user is a `SilentUser`."""
        env = self._env(
            data_load_func=self.load,
            tools=self._tools,
            tasks=copy.deepcopy(self._tasks[split]),
            wiki="",
            rules=[],
            user_strategy="human",
            user_model="",
            task_index=0,
        )
        env.user = SilentUser()
        env.terminate_tools = ["transfer_to_human_agents"]
        return env


def _stub_users(name: str) -> None:
    """Puts two names where the engine expects its language-model users, unless they are there already."""
    if name not in sys.modules:
        module: Any = types.ModuleType(name)
        module.load_user = lambda **settings: SilentUser()
        module.UserStrategy = str
        sys.modules[name] = module
