"""A language model plays the user."""

from usersim_env.users.llm.user import LLMUser

__all__ = ["LLMUser"]
