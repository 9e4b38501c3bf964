"""The only door to a language model: one call, retries, cost, cassette."""

from usersim_env.llm.cassette import Cassette
from usersim_env.llm.failures import ModelError
from usersim_env.llm.model import Model, as_model
from usersim_env.llm.request import Completion, Request
from usersim_env.llm.session import ModelSession, Usage
from usersim_env.llm.thoughts import Unreadable, Written, read_written
from usersim_env.llm.transport import close_connections, prices, require_litellm

__all__ = [
    "Cassette",
    "Completion",
    "Model",
    "ModelError",
    "ModelSession",
    "Request",
    "Unreadable",
    "Usage",
    "Written",
    "as_model",
    "close_connections",
    "prices",
    "read_written",
    "require_litellm",
]
