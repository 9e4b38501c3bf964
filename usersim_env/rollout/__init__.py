"""Runs agents over tasks and seeds: one by one, many at once on one event loop, or on a Ray cluster."""

from usersim_env.rollout.awaited import rollout_async, rollout_stream
from usersim_env.rollout.on_ray import RaySettings
from usersim_env.rollout.plan import Plan, RolloutSettings, opened, select_tasks
from usersim_env.rollout.playing import agent_seed, aplay, play
from usersim_env.rollout.progress import ProgressBar
from usersim_env.rollout.result import RolloutResult, failure_name
from usersim_env.rollout.serial import BACKENDS, rollout

__all__ = [
    "BACKENDS",
    "Plan",
    "ProgressBar",
    "RaySettings",
    "RolloutResult",
    "RolloutSettings",
    "agent_seed",
    "aplay",
    "failure_name",
    "opened",
    "play",
    "rollout",
    "rollout_async",
    "rollout_stream",
    "select_tasks",
]
