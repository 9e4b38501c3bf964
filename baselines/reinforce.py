"""`reinforce`: a softmax policy over dialogue moves, learned by REINFORCE with a baseline, and its gap while it learns.

Read from top to bottom: the gradient, the training loop, the gap, the command; what the moves say and do is in
`dialogue_moves`. It is trained on
retail's `train` tasks with the `cooperative` agenda user; a `GapMonitor` plays it throughout on held-out `test` tasks
with that user and with `humanlike`. Both are rule-based and **synthetic**: what comes out illustrates how a gap opens
and is measured, with a planted mechanism, and says nothing about people.

Like the clerk, whose words it uses, the learner is *privileged*: it looks the expected calls up. What it learns is how
to talk around them. The planted mechanism: three calls in ten it has misread. It can ask (which costs patience),
propose and be corrected (which takes an attentive customer), or act unasked. What is best depends on who sits there.

Source: R. J. Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning",
Machine Learning 8 (1992); the baseline of an episode is the mean return of the others of its batch.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from usersim_env.baselines.command import run_script
from usersim_env.baselines.dialogue_moves import FEATURES, MOVES, Array, Learner, Step, probabilities
from usersim_env.domains import get_domain
from usersim_env.errors import UsageError
from usersim_env.feedback.groups import drop_invalid
from usersim_env.gap import GapMonitor, GapResult, GapSettings, Look, MonitorSettings, compare
from usersim_env.gap.wording import gap_cell
from usersim_env.registration import env_id
from usersim_env.rollouts import RolloutSettings, agent_seed, rollout
from usersim_env.users.agenda import AgendaUser
from usersim_env.users.agenda.persona import Persona, persona_of
from usersim_env.wrappers import FeedbackReward, SwapUser
from usersim_env.wrappers.base import tau_env

# The gradient --------------------------------------------------------------------------------------------------------


class Episode(NamedTuple):
    """A return and the decisions that led to it; ``reward`` is ``None`` where the episode is not scored."""

    reward: float | None
    steps: tuple[Step, ...]


def score(weights: Array, step: Step) -> Array:
    """Gradient of the logarithm of the probability of the move that was made."""
    ahead = -probabilities(weights, step.features, step.possible)
    ahead[step.move] += 1.0
    return ahead[:, None] * step.features


def gradient(weights: Array, batch: Sequence[Episode]) -> Array:
    """REINFORCE: mean over episodes of (return − mean return of the others) · Σ score.

    Episodes that are not scored are in neither the mean nor the baseline. Fewer than two scored ones give 0.
    """
    found = np.zeros_like(weights)
    for scored in drop_invalid([batch]):
        returns = np.array([episode.reward for episode in scored], dtype=float)
        n = len(scored)
        for advantage, episode in zip((returns - returns.mean()) * n / (n - 1), scored, strict=True):
            for step in episode.steps:
                found += advantage / n * score(weights, step)
    return found


# Training ------------------------------------------------------------------------------------------------------------

RULE = {"rule": 1.0}
MIXED = {"rule": 1.0, "survey.mean": 1.0}
"""What is trained on without and with the survey; the weights are equal, and were not tuned."""

HARD = Persona(
    patience=1.0,
    disclosure=0.0,
    verbosity=0.0,
    polite_share=0.0,
    short_share=0.5,
    uncertain_share=0.5,
    pivot_share=0.5,
    typos=0.5,
    slips=0.5,
    hedging=1.0,
    attention=0.0,
    persistence=0,
    leaving=1.0,
    annoyed_by_repeats=2.0,
    annoyed_by_errors=2.0,
    annoyed_by_waiting=0.5,
    leniency=-1.0,
    human_like=0.0,
    max_turns=10,
)
"""A customer whom hardly anybody could serve: the far end of what strangers are drawn from. Round numbers, assumed."""


def strangers(near: Persona | str, seed: int, count: int = 8) -> list[AgendaUser]:
    """User sides for a mixture: each number lies anywhere between a persona's and that of `HARD`.

    They know nothing of the side that the policy is evaluated with.
    """
    rng = np.random.default_rng((seed, 0x4D49_5854))
    start = asdict(persona_of(near))
    found = []
    for _ in range(count):
        numbers: dict[str, Any] = {name: a + rng.random() * (getattr(HARD, name) - a) for name, a in start.items()}
        found.append(AgendaUser(Persona(**numbers)))
    return found


@dataclass(frozen=True)
class Training:
    """One run. The defaults are those of the figure in docs/rl.md.

    Attributes:
        survey: train on `MIXED` in place of the rule reward.
        mixture: in half of the episodes a stranger sits in the user's seat, not the ``persona``.
        episodes, batch: how many in all, and per update.
        rate: step along the gradient.
        looks: how often the monitor looks after the start.
        tasks: of the held-out split that it plays; ``None``: all.
    """

    seed: int = 0
    survey: bool = False
    mixture: bool = False
    episodes: int = 1200
    batch: int = 16
    rate: float = 1.0
    looks: int = 3
    domain: str = "retail"
    persona: Persona | str = "cooperative"
    reference: Persona | str = "humanlike"
    tasks: Sequence[str] | None = None
    max_steps: int = 30

    def __post_init__(self) -> None:
        for name, low in {"seed": 0, "episodes": 1, "batch": 2, "looks": 1}.items():
            if getattr(self, name) < low:
                raise UsageError(f"{name} is at least {low}, got {getattr(self, name)!r}.")

    def make(self, persona: Persona | str, split: str = "test") -> gym.Env[Any, Any]:
        """An env of the run, not wrapped."""
        return gym.make(env_id(self.domain), split=split, **self.keywords(persona))

    def keywords(self, persona: Persona | str) -> dict[str, Any]:
        """What `gym.make` gets for a user side of the run."""
        return {"user": AgendaUser(persona), "max_steps": self.max_steps}

    def make_training(self) -> gym.Env[Any, Any]:
        """The env that is trained in, with the remedies."""
        env = self.make(self.persona, "train")
        if self.mixture:
            others = strangers(self.persona, self.seed)
            env = SwapUser(env, [AgendaUser(self.persona), *others], [len(others), *[1.0] * len(others)])
        return FeedbackReward(env, MIXED if self.survey else RULE)


def play(env: gym.Env[Any, Any], learner: Learner, seed: int) -> Episode:
    """One training episode, of a task that the env draws."""
    observation, info = env.reset(seed=seed, options={"tools": False})
    desk = learner.begin(info, agent_seed(info["task_id"], seed))
    total, over = 0.0, not info["valid"]
    while not over:
        observation, reward, terminated, truncated, info = env.step(desk.act(observation))
        total += float(reward)
        over = terminated or truncated
    return Episode(total if info["valid"] else None, tuple(desk.steps))


def train(training: Training) -> Iterator[tuple[int, Learner, float | None]]:
    """Yields the policy before training and after every update: episodes so far, policy, mean return of the batch."""
    weights: Array = np.zeros((len(MOVES), len(FEATURES)))
    yield 0, Learner(weights), None
    env = training.make_training()
    seeds = np.random.SeedSequence((training.seed, 0x5452_4149)).generate_state(training.episodes)
    for start in range(0, training.episodes, training.batch):
        batch = [play(env, Learner(weights), int(s)) for s in seeds[start : start + training.batch]]
        weights = weights + training.rate * gradient(weights, batch)
        returns = [episode.reward for episode in batch if episode.reward is not None]
        yield start + len(batch), Learner(weights), float(np.mean(returns)) if returns else None
    env.close()


# The gap while it learns ---------------------------------------------------------------------------------------------


class Run(NamedTuple):
    """What came of one run: the looks throughout, and all signals of fresh episodes with the last policy."""

    looks: tuple[Look, ...]
    final: GapResult
    replay: tuple[Look, ...]


def run(training: Training, traces: Sequence[str] = (), watcher: Callable[[Look], object] | None = None) -> Run:
    """Trains and watches.

    Args:
        training: what is trained.
        traces: files of recordings; a second monitor plays the policy against them. They are evaluated with only.
        watcher: is shown every look as it is made.
    """
    tasks = training.tasks or [task.id for task in get_domain(training.domain).tasks("test")]
    sim, reference = partial(training.make, training.persona), partial(training.make, training.reference)
    settings = MonitorSettings(
        training.episodes // training.looks, episodes=1, start_episodes=2, looks=training.looks, seed=training.seed
    )
    monitors = [GapMonitor(sim, reference, tasks, settings)]
    if traces:
        keywords: dict[str, Any] = {
            "traces": list(traces),
            "purpose": "evaluation",
            "split": "test",
            "max_steps": training.max_steps,
        }
        replay = partial(gym.make, env_id(training.domain, "replay"), **keywords)
        monitors.append(GapMonitor(sim, replay, tau_env(replay(), "run").task_ids, settings))
    for done, learner, _ in train(training):
        for monitor in monitors:
            look = monitor.maybe_look(done, learner)
            if look is not None and watcher is not None:
                watcher(look)
    fresh = RolloutSettings(tasks, [training.seed + 1_000_000], progress=False)
    played = [
        rollout(learner, env_id(training.domain), replace(fresh, keywords=training.keywords(persona))).traces
        for persona in (training.persona, training.reference)
    ]
    final = compare(played[0], played[1], GapSettings(replicates=1000))
    return Run(monitors[0].looks, final, monitors[1].looks if traces else ())


def told(look: Look) -> str:
    """One line on a look."""
    if look.success is None or look.gap is None:
        return f"{look.step:>6} episodes: fewer than two tasks are scored on both sides"
    sim, other = look.success
    gap = f"gap {look.gap.estimate:+.3f} [{look.gap.low:+.3f}, {look.gap.high:+.3f}]"
    alarm = "  |gap| has grown" if look.alarm else ""
    return f"{look.step:>6} episodes: {sim:.3f} {look.sim.label}, {other:.3f} {look.reference.label}, {gap}{alarm}"


def main(arguments: Sequence[str] | None = None) -> None:
    """``python -m usersim_env.baselines.reinforce``."""
    parser = argparse.ArgumentParser(prog="reinforce", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--survey", action="store_true", help="mix survey signals into the reward")
    parser.add_argument("--mixture", action="store_true", help="let strangers sit in the user's seat half of the time")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--episodes", type=int, default=Training.episodes, metavar="N", help="to train on")
    parser.add_argument("--traces", nargs="+", default=(), metavar="FILE", help="recordings to evaluate with as well")
    given = parser.parse_args(arguments)
    training = Training(given.seed, given.survey, given.mixture, given.episodes)
    print("Both user sides are synthetic: an illustration with a planted mechanism. The agent is privileged.")
    found = run(training, given.traces, lambda look: print(told(look), flush=True))
    start, end = found.looks[0].success, found.looks[-1].success
    if start is not None and end is not None:
        print(f"learned: {end[0] - start[0]:+.3f} simulated; of it with the reference: {end[1] - start[1]:+.3f}")
    for row in found.final.gaps:
        print(f"{row.signal:34} {row.sim:.3f} → {row.reference:.3f}  gap {gap_cell(row.gap)}")


if __name__ == "__main__":
    run_script(main)
