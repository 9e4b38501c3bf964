"""τ-bench's domains as Gymnasium environments whose user side can be swapped.

Importing the package registers the ids, ``gym.make("TauRetail-agenda-v0")``, and gives what a script uses by its name:
``import usersim_env as ue``. What needs an extra, or much time to import, is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from usersim_env import errors, moved
from usersim_env.agent import Action, Agent, AgentSession, Observation, ScriptedAgent
from usersim_env.conversation.scene import Scene
from usersim_env.env.settings import EnvSettings
from usersim_env.env.tau_env import TauEnv
from usersim_env.feedback.survey import QUESTIONS, Survey
from usersim_env.feedback.values import Effort, Failure, Feedback
from usersim_env.messages import Message, Say, Stop, ToolCall, ToolResult
from usersim_env.registration import make, register_all, register_domain
from usersim_env.traces.file import TraceWriter, iter_traces, read_traces
from usersim_env.traces.trace import Trace
from usersim_env.users import ScriptedUser, User, UserSession
from usersim_env.users.agenda import AgendaUser
from usersim_env.users.browser import BrowserUser
from usersim_env.users.llm import LLMUser
from usersim_env.users.replay import ReplayUser
from usersim_env.users.terminal import TerminalUser
from usersim_env.version import __version__

if TYPE_CHECKING:
    from usersim_env import adapters, checking, gap, importers, multi_agent, rollouts, wrappers
    from usersim_env.gap import GapMonitor, GapResult, GapSettings, MonitorSettings, compare, write_report
    from usersim_env.gap.usi import user_sim_index
    from usersim_env.llm import Cassette, Model
    from usersim_env.rollouts import RolloutResult, RolloutSettings, rollout, rollout_async

_LATER = {
    "Cassette": "llm",
    "GapMonitor": "gap",
    "GapResult": "gap",
    "GapSettings": "gap",
    "Model": "llm",
    "MonitorSettings": "gap",
    "RolloutResult": "rollouts",
    "RolloutSettings": "rollouts",
    "compare": "gap",
    "rollout": "rollouts",
    "rollout_async": "rollouts",
    "user_sim_index": "gap.usi",
    "write_report": "gap",
}
"""Name → module that is imported when it is first asked for."""

_ROOMS = ("adapters", "checking", "gap", "importers", "multi_agent", "rollouts", "wrappers")
"""Packages that need no import of their own: ``ue.wrappers.ChatHistory``."""

__all__ = [
    "QUESTIONS",
    "Action",
    "AgendaUser",
    "Agent",
    "AgentSession",
    "BrowserUser",
    "Cassette",
    "Effort",
    "EnvSettings",
    "Failure",
    "Feedback",
    "GapMonitor",
    "GapResult",
    "GapSettings",
    "LLMUser",
    "Message",
    "Model",
    "MonitorSettings",
    "Observation",
    "ReplayUser",
    "RolloutResult",
    "RolloutSettings",
    "Say",
    "Scene",
    "ScriptedAgent",
    "ScriptedUser",
    "Stop",
    "Survey",
    "TauEnv",
    "TerminalUser",
    "ToolCall",
    "ToolResult",
    "Trace",
    "TraceWriter",
    "User",
    "UserSession",
    "__version__",
    "adapters",
    "checking",
    "compare",
    "errors",
    "gap",
    "importers",
    "iter_traces",
    "make",
    "multi_agent",
    "read_traces",
    "register_domain",
    "rollout",
    "rollout_async",
    "rollouts",
    "user_sim_index",
    "wrappers",
    "write_report",
]


class _Root(ModuleType):
    """This module, whose `rollout` stays the function when somebody imports the old ``usersim_env.rollout``."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name == "rollout" and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


if not TYPE_CHECKING:  # a checker knows the names from their imports, and that there are no others

    def __getattr__(name: str) -> Any:
        if name in _ROOMS:
            return importlib.import_module(f"{__name__}.{name}")
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


moved.install()
register_all()
sys.modules[__name__].__class__ = _Root
