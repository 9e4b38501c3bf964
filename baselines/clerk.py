"""`Clerk`: a rule-based agent that serves the customer step by step, and gets nowhere without an answer.

It greets, identifies the customer, asks what is needed, proposes, waits for a yes, and acts. The one thing that rules
cannot work out, which calls are the right ones, it looks up: it is privileged. So its success says nothing about
the difficulty of a task and much about the user side: whether it answers, how clearly, and whether it stays.
"""

from __future__ import annotations

import json
import random
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeAlias, TypeVar

from usersim_env.agent import Action, Observation
from usersim_env.baselines import clerk_text as say
from usersim_env.baselines.clerk_reading import Answer, has_told, is_farewell, lookups, read_answer, states_wish
from usersim_env.baselines.clerk_slips import slip
from usersim_env.domains import Task, get_domain, get_task
from usersim_env.errors import UsageError
from usersim_env.messages import RESPOND, ToolCall

T = TypeVar("T")
Dialogue: TypeAlias = Generator[Action, Observation, T]
"""A part of the dialogue: yields actions, is sent observations, returns what came of it."""

MAX_LOOKUPS = 4
"""Tool calls per answer that try to find the customer in it."""


@dataclass(frozen=True)
class Clerk:
    """Privileged: looks up the expected calls, and performs each only after the dialogue that it needs.

    The defaults are assumptions: a clerk that never acts without a yes, asks for every tenth thing that it was told
    already, and gets an argument of every twentieth call wrong. A slip is in the proposal too, so that an attentive
    customer can object; then it is corrected and proposed again, once.

    Args:
        skip_confirmation: probability per call that it is performed without being proposed first.
        ask_again: probability per detail that was given already of being asked for it again.
        wrong_argument: probability per call that one of its arguments is wrong.
        attempts: questions about the customer's identity before the clerk gives up.
    """

    name: ClassVar[str] = "clerk"
    privileged: ClassVar[bool] = True

    skip_confirmation: float = 0.0
    ask_again: float = 0.1
    wrong_argument: float = 0.05
    attempts: int = 3

    def __post_init__(self) -> None:
        for name in ("skip_confirmation", "ask_again", "wrong_argument"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UsageError(f"{name} is a probability from 0 to 1, got {getattr(self, name)!r}.")
        if self.attempts < 1:
            raise UsageError(f"attempts is at least 1, got {self.attempts!r}.")

    def begin(self, info: Mapping[str, Any], seed: int) -> ClerkSession:
        """Starts one episode of ``info["task_id"]``; all that is drawn depends on the seed and the task.

        Raises:
            UnknownName: no such task.
            UsageError: a task of a domain that the clerk was not taught.
        """
        task = get_task(info["task_id"])
        if task.domain not in say.IDENTITY:
            raise UsageError(f"The clerk serves {', '.join(say.IDENTITY)}, not {task.domain}: take another agent.")
        return ClerkSession(self, task, seed)

    def describe(self) -> dict[str, Any]:
        """The settings."""
        return asdict(self)


class ClerkSession:
    """One episode; what it says and looks up is there for other agents of the same manner (`reinforce`)."""

    def __init__(self, clerk: Clerk, task: Task, seed: int) -> None:
        self._clerk = clerk
        self._task = task
        self._rng = random.Random(f"{seed} {task.id}")
        self._records = say.Records()
        self._customer = ""
        self._heard: list[str] = []
        self._asked: set[str] = set()
        self._notes: list[str] = []  # sentences that go before the next question
        self._dialogue = self._serve()
        self._begun = False

    def act(self, observation: Observation) -> Action:
        """The next action for what was just received."""
        if observation["role"] == "user":
            self._heard.append(observation["content"])
        if self._begun:
            return self._dialogue.send(observation)
        self._begun = True
        return next(self._dialogue)

    # -- the dialogue, from top to bottom --------------------------------------------------------------------------

    def _serve(self) -> Dialogue[None]:
        self._notes.append(say.GREETING)
        if not (yield from self._identify()):
            while True:
                yield from self._say(say.NOT_IDENTIFIED)
        yield from self._read_profile()
        yield from self._ask_wish()
        domain = get_domain(self._task.domain)
        for call in self._task.expected_calls:
            if domain.written is None or call.name in domain.written:
                yield from self._handle(call)
        if self._task.required_outputs:
            self._notes.append(say.INFORM.format(outputs="; ".join(self._task.required_outputs)))
        for call in self._task.expected_calls:
            if call.name in domain.terminal:
                yield from self._handle(call)
        yield from self._close()

    def _identify(self) -> Dialogue[bool]:
        """Looks the customer up by what was said; asks until one lookup succeeds or the attempts are used up."""
        tried: list[ToolCall] = []
        for attempt in range(self._clerk.attempts + 1):
            new = [call for call in lookups(self._task.domain, self._heard) if call not in tried][:MAX_LOOKUPS]
            for call in new:
                tried.append(call)
                content = yield from self._call(call)
                if not content.startswith("Error"):
                    self._found(call, content)
                    return True
            if attempt < self._clerk.attempts:
                question = say.NOT_FOUND if tried else say.ASK_IDENTITY
                # The same again does not help: ask for what was not tried.
                identity = say.IDENTITY if new or not tried else say.OTHER_IDENTITY
                yield from self._say(question.format(identity=identity[self._task.domain]))
        return False

    def _found(self, call: ToolCall, content: str) -> None:
        if call.name == "find_ticket":
            tickets = {ticket["ticket_id"]: ticket for ticket in json.loads(content)}
            self._records.profile = {"orders": list(tickets)}
            self._records.found |= tickets
        elif call.name == "get_user_details":
            self._customer = call.arguments["user_id"]
            self._records.profile = json.loads(content)
        else:
            self._customer = content

    def _read_profile(self) -> Dialogue[None]:
        if not self._records.profile:
            content = yield from self._call(ToolCall("get_user_details", {"user_id": self._customer}))
            self._records.profile = json.loads(content)
        if self._records.first_name:
            self._notes.append(f"Thank you, {self._records.first_name}, I have found your account.")
        else:
            self._notes.append("Thank you, I have found your account.")

    def _ask_wish(self) -> Dialogue[None]:
        again = self._draw(self._clerk.ask_again)
        if not states_wish(self._heard):
            yield from self._say(say.ASK_WISH)
        elif again:
            yield from self._say(say.ASK_WISH_AGAIN)

    def _handle(self, call: ToolCall) -> Dialogue[None]:
        """One expected call: reads what it is about, asks for details, proposes, and performs it after a yes."""
        skip, wrong = self._draw(self._clerk.skip_confirmation), self._draw(self._clerk.wrong_argument)
        yield from self._read(call)
        if not self._is_theirs(call):
            self._notes.append(say.NOT_YOURS)
            return
        yield from self._ask_details(call)
        if wrong:
            schema = get_domain(self._task.domain).tools[call.name].schema
            offered = slip(call, schema["function"]["parameters"]["properties"], self._records, self._rng)
        else:
            offered = call
        answer: Answer = "yes" if skip else (yield from self._propose(offered))
        if answer == "no" and offered != call:
            self._notes.append(say.CORRECTED)
            offered = call
            answer = yield from self._propose(call)
        if answer == "yes":
            yield from self._perform(offered, unasked=skip)
        else:
            self._notes.append(say.SKIPPED if answer == "no" else say.STILL_UNCLEAR)

    def _read(self, call: ToolCall) -> Dialogue[None]:
        """Reads the order or reservation, and the products of its new items."""
        arguments = call.arguments
        if "reservation_id" in arguments:
            yield from self._look_up("get_reservation_details", "reservation_id", arguments["reservation_id"])
        if "order_id" not in arguments:
            return
        yield from self._look_up("get_order_details", "order_id", arguments["order_id"])
        if "new_item_ids" in arguments:
            products = [self._records.item(item_id).get("product_id") for item_id in arguments["item_ids"]]
            for product in dict.fromkeys(p for p in products if p is not None):
                yield from self._look_up("get_product_details", "product_id", product)

    def _look_up(self, tool: str, argument: str, key: str) -> Dialogue[None]:
        if key not in self._records.found:
            content = yield from self._call(ToolCall(tool, {argument: key}))
            if not content.startswith("Error"):
                self._records.found[key] = json.loads(content)

    def _is_theirs(self, call: ToolCall) -> bool:
        keys = [call.arguments[name] for name in ("order_id", "reservation_id", "ticket_id") if name in call.arguments]
        theirs = call.arguments.get("user_id", self._customer) == self._customer
        return theirs and all(key in self._records.owned() for key in keys)

    def _ask_details(self, call: ToolCall) -> Dialogue[None]:
        """One question for all details that are missing; each is asked for once, and again only by chance."""
        kinds = []
        for kind in say.needs(call):
            again = self._draw(self._clerk.ask_again)
            known = kind in self._asked or has_told(kind, self._heard)
            if again or not known:
                kinds.append(kind)
        self._asked |= set(kinds)
        if kinds:
            yield from self._say(say.ask_for(kinds))

    def _propose(self, call: ToolCall) -> Dialogue[Answer]:
        """Proposes a call and reads the answer; an unclear one is asked about once."""
        self._notes.append(f"I would {say.propose(call, self._records)}.")
        answer = read_answer((yield from self._say(say.CONFIRM)))
        if answer == "unclear":
            answer = read_answer((yield from self._say(say.UNCLEAR)))
        return answer

    def _perform(self, call: ToolCall, unasked: bool) -> Dialogue[None]:
        content = yield from self._call(call)
        if content.startswith("Error"):
            self._notes.append(say.FAILED.format(error=content.removeprefix("Error:").strip()))
        elif unasked:
            self._notes.append(say.DONE_UNASKED.format(proposal=say.propose(call, self._records)))
        else:
            self._notes.append(say.DONE)

    def _close(self) -> Dialogue[None]:
        text = yield from self._say(say.ANYTHING_ELSE)
        while read_answer(text) != "no" and not is_farewell(text):
            self._notes.append(say.NOTHING_MORE)
            text = yield from self._say(say.ANYTHING_ELSE)
        while True:
            yield from self._say(say.GOODBYE)

    # -- single actions --------------------------------------------------------------------------------------------

    def _say(self, text: str) -> Dialogue[str]:
        content = " ".join([*self._notes, text])
        self._notes.clear()
        observation = yield {"name": RESPOND, "arguments": {"content": content}}
        return observation["content"]

    def _call(self, call: ToolCall) -> Dialogue[str]:
        observation = yield {"name": call.name, "arguments": dict(call.arguments)}
        return observation["content"]

    def _draw(self, probability: float) -> bool:
        return self._rng.random() < probability
