"""The conversation: whose turn it is, what was said, and how it ends.

`Conversation` is the machine that all drivers share. Events are the record, `Rules` what may happen, a `Scene` what the
user side is shown, and the transcript what was said aloud.
"""

from usersim_env.conversation.machine import AgentTurn, Conversation, Ended, Outcome, SurveyTurn, Turn, UserTurn
from usersim_env.conversation.rules import Rules
from usersim_env.conversation.scene import Scene

__all__ = ["AgentTurn", "Conversation", "Ended", "Outcome", "Rules", "Scene", "SurveyTurn", "Turn", "UserTurn"]
