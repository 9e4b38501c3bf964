"""What an episode is worth: the rule reward, the survey, the behaviour features, and the values that hold them."""

from usersim_env.feedback.behaviour import FEATURES, behaviour_features, phrase_hits
from usersim_env.feedback.survey import FIELDS, QUESTIONS, Question, Survey
from usersim_env.feedback.values import Effort, Failure, Feedback, Replayed

__all__ = [
    "FEATURES",
    "FIELDS",
    "QUESTIONS",
    "Effort",
    "Failure",
    "Feedback",
    "Question",
    "Replayed",
    "Survey",
    "behaviour_features",
    "phrase_hits",
]
