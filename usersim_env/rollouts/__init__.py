"""Runs agents over tasks and seeds: one by one, many at once on one event loop, or on a Ray cluster."""

from usersim_env.rollouts.awaited import rollout_async, rollout_stream
from usersim_env.rollouts.on_ray import RaySettings
from usersim_env.rollouts.plan import Plan, RolloutSettings, opened, select_tasks
from usersim_env.rollouts.playing import agent_seed, aplay, play
from usersim_env.rollouts.progress import ProgressBar
from usersim_env.rollouts.result import LOUD, RolloutResult, failure_name
from usersim_env.rollouts.serial import BACKENDS, rollout

__all__ = [
    "BACKENDS",
    "LOUD",
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
