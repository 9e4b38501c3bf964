"""`reinforce`: a softmax policy over dialogue moves, learned by REINFORCE with a baseline, and its gap while it learns.

Read from top to bottom: the policy, the dialogue that it steers, the training loop, the command. It is trained on
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
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from usersim_env.agent import Observation
from usersim_env.baselines import clerk_text as say
from usersim_env.baselines.clerk import MAX_LOOKUPS, Clerk, ClerkSession, Dialogue
from usersim_env.baselines.clerk_reading import has_told, lookups, read_answer, states_wish
from usersim_env.baselines.clerk_slips import slip
from usersim_env.domains import Task, get_domain, get_task
from usersim_env.errors import UsageError
from usersim_env.gap import GapMonitor, GapResult, GapSettings, Look, MonitorSettings, compare
from usersim_env.groups import drop_invalid
from usersim_env.messages import ToolCall
from usersim_env.registration import env_id
from usersim_env.rollout import RolloutSettings, agent_seed, rollout
from usersim_env.users.agenda import AgendaUser
from usersim_env.users.agenda.persona import Persona, persona_of
from usersim_env.wrappers import FeedbackReward, SwapUser

Array = NDArray[np.float64]

# The policy: which move, given the state of the dialogue -------------------------------------------------------------

MOVES = ("greet", "identify", "ask", "propose", "confirm", "perform", "explain", "hand_over")
FEATURES = (
    *("always", "greeted", "found", "lookup_at_hand", "identity_questions", "wish_stated", "call_left", "missing"),
    *("asked", "proposed", "yes", "no", "unclear", "to_report", "output_left", "something_done", "closing_asked", "turns"),
)


class Step(NamedTuple):
    """One decision: the features, which moves were possible, and the index of the one made."""

    features: Array
    possible: NDArray[np.bool_]
    move: int


class Episode(NamedTuple):
    """A return and the decisions that led to it; ``reward`` is ``None`` where the episode is not scored."""

    reward: float | None
    steps: tuple[Step, ...]


def probabilities(weights: Array, features: Array, possible: NDArray[np.bool_]) -> Array:
    """Softmax of ``weights @ features`` over the possible moves; 0 for the others."""
    logits = np.where(possible, weights @ features, -np.inf)
    exponentials: Array = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()


def score(weights: Array, step: Step) -> Array:
    """Gradient of the logarithm of the probability of the move that was made."""
    ahead = -probabilities(weights, step.features, step.possible)
    ahead[step.move] += 1.0
    return np.outer(ahead, step.features)


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


# The dialogue: what each move says and does --------------------------------------------------------------------------

MISREAD = 0.3
"""Chance per call that the desk has an argument of it wrong, until it asks or is corrected. Planted: an assumption."""


@dataclass(frozen=True, eq=False)
class Learner:
    """Privileged: looks the expected calls up; the weights decide what to say and do about them.

    Args:
        weights: moves × features.
    """

    name: ClassVar[str] = "reinforce"
    privileged: ClassVar[bool] = True

    weights: Array

    def begin(self, info: Mapping[str, Any], seed: int) -> Desk:
        """Starts one episode of ``info["task_id"]``.

        Raises:
            UnknownName: no such task.
            UsageError: a domain that the clerk was not taught.
        """
        Clerk().begin(info, seed)  # says what is wrong with the task
        return Desk(self, get_task(info["task_id"]), seed)

    def describe(self) -> dict[str, Any]:
        """A digest of the weights."""
        return {"weights": hashlib.sha256(self.weights.tobytes()).hexdigest()[:12], "misread": MISREAD}


class Desk(ClerkSession):
    """One episode: the clerk's texts and look-ups, in the order that the policy draws."""

    def __init__(self, learner: Learner, task: Task, seed: int) -> None:
        super().__init__(Clerk(), task, seed)
        domain = get_domain(task.domain)
        self.steps: list[Step] = []
        self._weights = learner.weights
        self._left = [c for c in task.expected_calls if domain.written is None or c.name in domain.written]
        self._outputs = list(task.required_outputs)
        self._tried: list[ToolCall] = []
        self._offered: ToolCall | None = None
        self._answer = ""
        self._state = dict.fromkeys(FEATURES, 0.0) | {"always": 1.0}

    def _serve(self) -> Dialogue[None]:
        moves = {name: getattr(self, f"_do_{name}") for name in MOVES}
        while True:
            features = self._features()
            possible = self._possible()
            chances = probabilities(self._weights, features, possible)
            move = min(int(np.searchsorted(np.cumsum(chances), self._rng.random())), len(MOVES) - 1)
            self.steps.append(Step(features, possible, move))
            yield from moves[MOVES[move]]()

    def _features(self) -> Array:
        state, found = self._state, self._state["found"]
        state["lookup_at_hand"] = float(not found and bool(self._untried()))
        state["wish_stated"] = float(states_wish(self._heard))
        state["call_left"] = float(found and bool(self._left))
        state["missing"] = len(self._missing()) / 2 if state["call_left"] else 0.0
        state["to_report"] = float(bool(self._notes))
        state["output_left"] = float(found and bool(self._outputs))
        state["turns"] = len(self._heard) / 10
        for answer in ("yes", "no", "unclear"):
            state[answer] = float(self._answer == answer)
        return np.array(list(state.values()))

    def _possible(self) -> NDArray[np.bool_]:
        state = self._state
        found, call = bool(state["found"]), bool(state["call_left"])
        able = (not state["greeted"], not found, True, call, call and bool(state["proposed"]), call, found, True)
        return np.array(able)

    def _untried(self) -> list[ToolCall]:
        return [call for call in lookups(self._task.domain, self._heard) if call not in self._tried][:MAX_LOOKUPS]

    def _missing(self) -> list[str]:
        """Details of the next call that were neither told nor asked for."""
        needed = say.needs(self._left[0])
        return [kind for kind in needed if kind not in self._asked and not has_told(kind, self._heard)]

    def _offer(self) -> ToolCall:
        """The next call as the desk has it now; what it has misread it keeps until it is put right."""
        if self._offered is None:
            self._offered = call = self._left[0]
            if self._draw(MISREAD):
                schema = get_domain(self._task.domain).tools[call.name].schema["function"]["parameters"]["properties"]
                self._offered = slip(call, schema, self._records, self._rng)
        return self._offered

    def _next(self) -> None:
        self._left.pop(0)
        self._offered, self._answer = None, ""
        self._state |= {"proposed": 0.0, "asked": 0.0}

    # -- the moves ---------------------------------------------------------------------------------------------------

    def _do_greet(self) -> Dialogue[None]:
        self._state["greeted"] = 1.0
        self._notes.insert(0, say.GREETING)
        yield from self._say(say.ASK_WISH)

    def _do_identify(self) -> Dialogue[None]:
        """Looks up what was said; asks if that finds nobody."""
        new = self._untried()
        for call in new:
            self._tried.append(call)
            content = yield from self._call(call)
            if not content.startswith("Error"):
                self._found(call, content)
                self._state["found"] = 1.0
                yield from self._read_profile()
                return
        self._state["identity_questions"] += 1
        question = say.NOT_FOUND if self._tried else say.ASK_IDENTITY
        identity = say.IDENTITY if new or not self._tried else say.OTHER_IDENTITY
        yield from self._say(question.format(identity=identity[self._task.domain]))

    def _do_ask(self) -> Dialogue[None]:
        """The wish, the details of the next call (the same again if none is missing), or whether there is more."""
        kinds = say.needs(self._left[0]) if self._state["call_left"] else []
        if not self._state["wish_stated"]:
            yield from self._say(say.ASK_WISH)
        elif kinds:
            missing = self._missing() or kinds
            self._asked |= set(missing)
            self._offered, self._state["asked"] = self._left[0], 1.0
            yield from self._say(say.ask_for(missing))
        elif self._state["found"]:
            self._state["closing_asked"] = 1.0
            yield from self._say(say.ANYTHING_ELSE)
        else:
            yield from self._say(say.ASK_WISH_AGAIN)

    def _do_propose(self) -> Dialogue[None]:
        if not (yield from self._ready()):
            return
        offered = self._offer()
        self._state["proposed"] = 1.0
        self._notes.append(f"I would {say.propose(offered, self._records)}.")
        self._hear(offered, (yield from self._say(say.CONFIRM)))

    def _do_confirm(self) -> Dialogue[None]:
        self._hear(self._offer(), (yield from self._say(say.UNCLEAR)))

    def _hear(self, offered: ToolCall, text: str) -> None:
        self._answer = read_answer(text)
        if self._answer == "no" and offered != self._left[0]:  # the customer noticed: now it is known
            self._offered = self._left[0]
            self._notes.append(say.CORRECTED)

    def _do_perform(self) -> Dialogue[None]:
        """Performs the next call, whatever was answered."""
        if (yield from self._ready()):
            yield from self._perform(self._offer(), unasked=self._answer != "yes")
            self._state["something_done"] = 1.0
            self._next()

    def _ready(self) -> Dialogue[bool]:
        """Reads what the next call is about; one on somebody else's account is refused and left."""
        yield from self._read(self._left[0])
        if theirs := self._is_theirs(self._left[0]):
            return theirs
        self._notes.append(say.NOT_YOURS)
        self._next()
        return False

    def _do_explain(self) -> Dialogue[None]:
        """What the customer asked to know; the policy's limits if there is no such thing (any more)."""
        outputs, self._outputs = self._outputs, []
        yield from self._say(say.INFORM.format(outputs="; ".join(outputs)) if outputs else say.NOTHING_MORE)

    def _do_hand_over(self) -> Dialogue[None]:
        (terminal,) = get_domain(self._task.domain).terminal
        yield from self._call(ToolCall(terminal, {"summary": "The customer was handed over."}))


# Training ------------------------------------------------------------------------------------------------------------

RULE = {"rule": 1.0}
MIXED = {"rule": 1.0, "survey.mean": 1.0}
"""What is trained on without and with the survey; the weights are equal, and were not tuned."""

HARD = Persona(
    **{"patience": 1.0, "disclosure": 0.0, "verbosity": 0.0, "polite_share": 0.0, "short_share": 0.5},
    **{"uncertain_share": 0.5, "pivot_share": 0.5, "typos": 0.5, "slips": 0.5, "hedging": 1.0, "attention": 0.0},
    **{"persistence": 0, "leaving": 1.0, "annoyed_by_repeats": 2.0, "annoyed_by_errors": 2.0},
    **{"annoyed_by_waiting": 0.5, "leniency": -1.0, "human_like": 0.0, "max_turns": 10},
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
        numbers = {name: a + rng.random() * (getattr(HARD, name) - a) for name, a in start.items()}
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
    episodes: int = 1600
    batch: int = 16
    rate: float = 1.0
    looks: int = 4
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
        keywords = {"user": AgendaUser(persona), "split": split, "max_steps": self.max_steps}
        return gym.make(env_id(self.domain), disable_env_checker=True, **keywords)

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
    weights = np.zeros((len(MOVES), len(FEATURES)))
    yield 0, Learner(weights), None
    env = training.make_training()
    seeds = np.random.SeedSequence((training.seed, 0x5452_4149)).generate_state(training.episodes)
    for start in range(0, training.episodes, training.batch):
        batch = [play(env, Learner(weights), int(s)) for s in seeds[start : start + training.batch]]
        weights = weights + training.rate * gradient(weights, batch)
        returns = [episode.reward for episode in batch if episode.reward is not None]
        yield start + len(batch), Learner(weights), float(np.mean(returns)) if returns else None
    env.close()
