"""The Gymnasium env, its settings, and the episode that it drives."""

from usersim_env.env.settings import EnvSettings
from usersim_env.env.tau_env import TauEnv

__all__ = ["EnvSettings", "TauEnv"]
