"""PettingZoo: the agent and the user side as two seats, and adapters between policies and user sides.

``from usersim_env.multi_agent import tau_v0``, then ``tau_v0.env(domain="retail")`` or ``tau_v0.parallel_env(…)``.
"""

from usersim_env.multi_agent import tau_v0
from usersim_env.multi_agent.actions import UserAction
from usersim_env.multi_agent.adapters import PolicyUser, UserPolicy
from usersim_env.multi_agent.seats import AGENT, USER, UserSeat, rule_rewards

__all__ = ["AGENT", "USER", "PolicyUser", "UserAction", "UserPolicy", "UserSeat", "rule_rewards", "tau_v0"]
