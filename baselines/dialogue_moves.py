"""Dialogue moves: what a policy can do as a clerk, and what the moves say and do; `reinforce` learns which to take.

The words, the reading and the look-ups are the clerk's. The planted mechanism is here: see `MISREAD`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from usersim_env.baselines import clerk_text as say
from usersim_env.baselines.clerk import MAX_LOOKUPS, Clerk, ClerkSession, Dialogue
from usersim_env.baselines.clerk_reading import has_told, lookups, read_answer, states_wish
from usersim_env.baselines.clerk_slips import slip
from usersim_env.domains import Task, get_domain, get_task
from usersim_env.messages import ToolCall

Array = NDArray[np.float64]

# The policy: which move, given the state of the dialogue -------------------------------------------------------------

MOVES = ("greet", "identify", "ask", "propose", "confirm", "perform", "explain", "hand_over")
FEATURES = (
    *("always", "greeted", "found", "lookup_at_hand", "identity_questions", "wish_stated", "call_left", "missing"),
    *(
        "asked",
        "proposed",
        "yes",
        "no",
        "unclear",
        "to_report",
        "output_left",
        "something_done",
        "closing_asked",
        "turns",
    ),
)


class Step(NamedTuple):
    """One decision: the features, which moves were possible, and the index of the one made."""

    features: Array
    possible: NDArray[np.bool_]
    move: int


def probabilities(weights: Array, features: Array, possible: NDArray[np.bool_]) -> Array:
    """Softmax of ``weights @ features`` over the possible moves; 0 for the others."""
    logits = np.where(possible, weights @ features, -np.inf)
    exponentials: Array = np.exp(logits - logits.max())
    chances: Array = exponentials / exponentials.sum()
    return chances


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
