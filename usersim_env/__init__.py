"""τ-bench's domains as Gymnasium environments whose user side can be swapped.

Importing the package registers the ids: ``gym.make("TauRetail-agenda-v0")``.
"""

from usersim_env.env import TauEnv
from usersim_env.env_settings import EnvSettings
from usersim_env.feedback import Effort, Failure, Feedback
from usersim_env.messages import Say, Stop, ToolCall, ToolResult
from usersim_env.registration import register_all, register_domain
from usersim_env.scene import Scene
from usersim_env.survey import QUESTIONS, Survey
from usersim_env.trace import Trace
from usersim_env.trace_file import TraceWriter, read_traces
from usersim_env.users import ScriptedUser, User, UserSession
from usersim_env.version import __version__

__all__ = [
    "QUESTIONS",
    "Effort",
    "EnvSettings",
    "Failure",
    "Feedback",
    "Say",
    "Scene",
    "ScriptedUser",
    "Stop",
    "Survey",
    "TauEnv",
    "ToolCall",
    "ToolResult",
    "Trace",
    "TraceWriter",
    "User",
    "UserSession",
    "__version__",
    "read_traces",
    "register_domain",
]

register_all()
