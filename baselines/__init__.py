"""Agents and training scripts, each read from top to bottom.

Installed as ``usersim_env.baselines``; the top-level folder is only where people look for it.

Raises:
    ImportError: when it is imported as a top-level package, which would give every class a second identity.
"""

if __name__ == "baselines":
    raise ImportError("import usersim_env.baselines, not baselines")

from usersim_env.baselines.clerk import Clerk
from usersim_env.baselines.oracle import Oracle
from usersim_env.baselines.registry import AGENTS, make_agent
from usersim_env.baselines.silent import Silent
from usersim_env.baselines.tool_calling import ToolCalling

__all__ = ["AGENTS", "Clerk", "Oracle", "Silent", "ToolCalling", "make_agent"]
