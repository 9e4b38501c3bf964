"""User sides: what sits in the user's seat."""

from usersim_env.users.base import User, UserSession
from usersim_env.users.scripted import ScriptedUser

__all__ = ["ScriptedUser", "User", "UserSession"]
