"""Surveys that a model fills in about other people's sessions, and the file that keeps them."""

from usersim_env.rating.rater import RateResult, rate, read_recordings

__all__ = ["RateResult", "rate", "read_recordings"]
