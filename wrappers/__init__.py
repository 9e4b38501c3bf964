"""Wrappers around the environments: one wrapper, one file.

Installed as ``usersim_env.wrappers``; the top-level folder is only where people look for it.

Raises:
    ImportError: when it is imported as a top-level package, which would give every class a second identity.
"""

if __name__ == "wrappers":
    raise ImportError("import usersim_env.wrappers, not wrappers")

from usersim_env.wrappers.allow_tools import AllowTools
from usersim_env.wrappers.chat_action import ChatAction
from usersim_env.wrappers.chat_history import ChatHistory
from usersim_env.wrappers.cost_budget import CostBudget
from usersim_env.wrappers.feedback_reward import FeedbackReward
from usersim_env.wrappers.hide_tools import HideTools
from usersim_env.wrappers.parse_tool_calls import ParseToolCalls
from usersim_env.wrappers.potential_shaping import PotentialShaping
from usersim_env.wrappers.record_trace import RecordTrace
from usersim_env.wrappers.step_penalty import StepPenalty
from usersim_env.wrappers.swap_user import SwapUser
from usersim_env.wrappers.text_observation import TextObservation, chatml
from usersim_env.wrappers.turn_budget import TurnBudget
from usersim_env.wrappers.vector import make_vec

__all__ = [
    "AllowTools",
    "ChatAction",
    "ChatHistory",
    "CostBudget",
    "FeedbackReward",
    "HideTools",
    "ParseToolCalls",
    "PotentialShaping",
    "RecordTrace",
    "StepPenalty",
    "SwapUser",
    "TextObservation",
    "TurnBudget",
    "chatml",
    "make_vec",
]
