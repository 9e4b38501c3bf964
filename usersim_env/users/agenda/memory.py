"""What one session remembers: what it has said, what was asked, promised and done, and how annoyed it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from usersim_env.users.agenda.acts import Heard
from usersim_env.users.agenda.measures import stems
from usersim_env.users.agenda.model import Agenda, Goal, Rule
from usersim_env.users.agenda.persona import Persona
from usersim_env.users.agenda.slots import actions_in, content_words, slots_in

WRITES = frozenset({"cancel", "return", "exchange", "modify", "address", "payment", "book", "change", "refund"})
"""Kinds of wishes that only an act of the agent can serve; the others are served by talk."""
SWAPS = frozenset({"exchange", "modify", "change"})
"""Kinds of wishes that people name as they please."""
_FREE_STEPS = 4
_TOPIC = {
    "order_id": "order",
    "reservation_id": "reservation",
    "payment_id": "payment",
    "payment": "payment",
    "reason": "reason",
}
"""The topic of the question that a slot answers."""


class Memory:
    """Mutable state of one session, a function of the agenda and of the messages that it was shown."""

    def __init__(self, agenda: Agenda, persona: Persona, mood: float) -> None:
        self.goals: tuple[Goal, ...] = tuple(agenda.of(Goal))
        self.rules: tuple[Rule, ...] = tuple(agenda.of(Rule))
        self.persona = persona
        self.patience = persona.patience * (0.6 + 0.8 * mood)
        self.voiced: set[int] = set()
        self.done: set[int] = set()
        self.reminded: Counter[int] = Counter()
        self.replaced: set[int] = set()
        self.fired: set[int] = set()
        self.spoken: list[int] = []
        self.reported: frozenset[str] = frozenset()
        self.zip_code = ""
        self.objections: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.told: set[str] = set()
        self.repeats = 0
        self.errors = 0
        self.refusals = 0
        self.served = 0
        self.annoyance = 0.0
        self.waited = 0
        self.turns = 0
        self.said: Counter[str] = Counter()
        self.agreed = ""
        self._heard: Counter[str] = Counter()

    def hear(self, heard: Heard, waited: int) -> None:
        """Takes in one message of the agent and the steps that it took."""
        p = self.persona
        self.waited += waited
        self.annoyance += p.annoyed_by_waiting * max(0, waited - _FREE_STEPS)
        self._heard[heard.text] += 1
        again = [topic for topic in heard.topics if self.asked[topic] or topic in self.told]
        if self._heard[heard.text] > 1 or (again and "error" not in heard.acts):
            self.repeats += 1
            self.annoyance += p.annoyed_by_repeats * (1.0 + 0.25 * (self._heard[heard.text] - 1))
        self.asked.update(heard.topics)
        if "error" in heard.acts:
            self.errors += 1
            self.annoyance += p.annoyed_by_errors
        if "deny" in heard.acts:
            self.refusals += 1
            self.annoyance += p.annoyed_by_errors
        if "done" in heard.acts:
            self.reported |= stems(f"{self.agreed} {heard.text}")
            self._mark_done(self.agreed or heard.text)
        if "confirm" not in heard.acts:
            self.agreed = ""

    def voice(self, which: Iterable[int]) -> None:
        """Notes that wishes are said, and with them the details in them."""
        for i in which:
            self.voiced.add(i)
            self.told |= {_TOPIC[name] for name, _ in self.goals[i].slots if name in _TOPIC}

    def fire(self, at: int, replaces: Iterable[int] = ()) -> str:
        """Notes that a rule is said, and the wishes that it takes the place of; gives its words."""
        self.fired.add(at)
        self.spoken.append(at)
        self.replaced.update(replaces)
        return self.rules[at].text

    @property
    def n_served(self) -> int:
        """Wishes that were said, not replaced, and are served."""
        return len(self.voiced - self.replaced) - len(self.open())

    @property
    def fed_up(self) -> bool:
        """Whether it has had enough, or has talked long enough."""
        return self.annoyance >= self.patience or self.turns >= self.persona.max_turns

    def unvoiced(self) -> list[int]:
        """Wishes not said yet, by index."""
        return [i for i in range(len(self.goals)) if i not in self.voiced | self.replaced]

    def open(self) -> list[int]:
        """Wishes said, not served, that take an act of the agent."""
        return [
            i
            for i, goal in enumerate(self.goals)
            if goal.action in WRITES and i in self.voiced and i not in self.done | self.replaced
        ]

    def waiting_rules(self, trigger: str) -> list[int]:
        """Rules of one trigger that have not been said and have words to say."""
        return [i for i, rule in enumerate(self.rules) if rule.trigger == trigger and i not in self.fired and rule.text]

    def _mark_done(self, what: str) -> None:
        self.served += 1
        before = len(self.done)
        for i in sorted(self.voiced):
            if i not in self.done and serves(what, self.goals[i]):
                self.done.add(i)
        if len(self.done) == before and (left := self.open()):
            self.done.add(left[0])


def serves(what: str, goal: Goal) -> bool:
    """Whether a proposal or report is about a wish: the same order where both name one, the same kind of act."""
    actions = actions_in(what)
    wanted = actions_in(goal.text) | {goal.action}
    if actions & SWAPS:
        actions |= SWAPS
    theirs = {s for s in slots_in(what) if s.name in ("order_id", "reservation_id")}
    ours = {s for s in goal.slots if s.name in ("order_id", "reservation_id")}
    if theirs and ours and not theirs & ours:
        return False
    return bool(actions & wanted) or len(content_words(what) & content_words(goal.text)) >= 3
