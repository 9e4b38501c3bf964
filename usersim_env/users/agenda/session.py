"""One episode of the agenda user: what to say next, given what the agent has just said."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from usersim_env.conversation.scene import Scene
from usersim_env.feedback.survey import Survey
from usersim_env.messages import Say, Stop
from usersim_env.users.agenda import lines, objections, proposals, triggers
from usersim_env.users.agenda.acts import IDENTITY_TOPICS, Heard, listen
from usersim_env.users.agenda.answers import answer, asked_rule, identity, wish
from usersim_env.users.agenda.lines import Line, pick
from usersim_env.users.agenda.measures import stems
from usersim_env.users.agenda.memory import WRITES, Memory, serves
from usersim_env.users.agenda.model import Agenda, Fact, Goal, Order, Preference
from usersim_env.users.agenda.persona import Persona
from usersim_env.users.agenda.ratings import rate
from usersim_env.users.agenda.style import MARKS, Style
from usersim_env.users.base import UserSession

_QUIET_END = 0.125  # 35 of 40 recorded stops carry a farewell


class AgendaSession(UserSession):
    """A function of the scenes that it is shown: two sessions with the same scenes say the same."""

    def __init__(self, agenda: Agenda, persona: Persona, scene: Scene) -> None:
        self._rng = scene._replace(transcript=()).rng()
        start = self._rng.random(len(MARKS) + 1).tolist()
        self._agenda = agenda
        self._memory = Memory(agenda, persona, start[0])
        self._style = Style(persona, start[1:])
        self._persona = persona
        self._ended = ""
        self._pace = next((order.pace for order in agenda.of(Order) if order.pace), "")
        self._share = {"all": 1.0, "one": 0.0}.get(self._pace, persona.disclosure)

    def open(self, scene: Scene) -> Say | Stop:
        """The first turn: a greeting and as many wishes as the persona says at once."""
        rng = self._rng  # the one that the scene would give, after what begin has drawn
        if scene.transcript:
            heard = listen(scene.transcript[-1].content)
            self._memory.hear(heard, scene.waited)
            if set(heard.topics) - {"wish", "other"}:
                return self._say(answer(heard, self._agenda, self._memory, rng), rng)
        return self._say(self._opening(rng), rng)

    def reply(self, scene: Scene) -> Say | Stop:
        """Answers the agent's last message."""
        rng = scene.rng()
        heard = listen(scene.transcript[-1].content if scene.transcript else "")
        self._memory.hear(heard, scene.waited)
        return self._say(self._next(heard, rng), rng)

    def fill_survey(self, scene: Scene) -> Survey:
        """All eight answers, from what the session saw."""
        return rate(self._memory, self._ended, scene.rng())

    def notes(self) -> Mapping[str, Any]:
        """Whether the agenda is an unchecked draft, why it left, and how many wishes it saw served."""
        memory = self._memory
        return {
            "draft": self._agenda.draft,
            "ended": self._ended,
            "wishes": len(memory.goals),
            "served": memory.n_served,
        }

    # -- what to say -----------------------------------------------------------------------------------------------

    def _say(self, line: Line, rng: np.random.Generator) -> Say | Stop:
        self._memory.turns += 1
        if line.end and rng.random() < _QUIET_END:
            return Stop()
        text = self._style.dress(line, rng)
        return Stop(text) if line.end else Say(text)

    def _opening(self, rng: np.random.Generator) -> Line:
        memory = self._memory
        greeting = lines.GREETINGS[int(rng.integers(len(lines.GREETINGS)))]
        if not memory.goals:
            return Line(f"{greeting}I would like some help.".capitalize(), "Hi, help me")
        count = max(1, math.ceil(self._share * len(memory.goals)))
        if self._share < 0.5 and self._style.due("short"):
            return Line(lines.LEADS[int(rng.integers(len(lines.LEADS)))], "Need some help")
        line = self._wish(list(range(count)), rng)
        if self._share >= 0.75 and rng.random() < self._share - 0.5:
            mine = identity(self._agenda, ["email", "user_id"], 0)
            line = Line(f"{line.full} {mine.full}")
        return Line(greeting + _after(greeting, line.full), wish=True, ids=True)

    def _wish(self, which: list[int], rng: np.random.Generator) -> Line:
        """Wishes, with the facts before and the preferences behind them if the user is verbose."""
        line = wish(self._memory, which)
        if rng.random() >= self._persona.verbosity or self._pace == "one":
            return line
        said = {self._memory.goals[i] for i in which}
        texts: list[str] = []
        facts: list[str] = []
        mine = False
        for entry in self._agenda.entries:
            if isinstance(entry, Goal):
                mine = entry in said
                texts += [*facts, entry.text] if mine else []
                facts = []
            elif isinstance(entry, Preference) and mine:
                texts += [*facts, entry.text]
                facts = []
            elif isinstance(entry, Fact) and entry.text:
                facts.append(entry.text)
        return Line(" ".join([*texts, *(facts if mine else [])]), wish=True, ids=True) if texts else line

    def _next(self, heard: Heard, rng: np.random.Generator) -> Line:
        memory, acts = self._memory, heard.acts
        if memory.fed_up:
            self._ended = "fed_up"
            return pick(lines.FED_UP, rng).ending()
        if (at := self._brought_up(heard)) is not None:
            return self._fire(at)
        if "confirm" in acts:
            return self._confirm(heard, rng)
        if "goodbye" in acts and "ask" not in acts and "anything_else" not in acts:
            return self._close(rng)
        if "anything_else" in acts and not set(heard.topics) - {"other"}:
            return self._more(heard, rng)
        if "ask" in acts:
            return answer(heard, self._agenda, memory, rng)
        if "deny" in acts or "error" in acts or "skipped" in acts:
            return self._refused(heard, rng)
        return self._told(heard, rng)

    def _confirm(self, heard: Heard, rng: np.random.Generator) -> Line:
        """A yes, unless a rule is brought up or something contradicts the agenda."""
        memory = self._memory
        proposal = heard.proposal or heard.text
        before = set(memory.fired)
        at = proposals.fires_on_confirmation(memory, self._agenda, heard)
        pending = [i for i in memory.open() if serves(proposal, memory.goals[i])] or memory.open()
        if at is not None:
            adds = re.search(r"\balso\b", memory.rules[at].text)
            return Line(memory.fire(at, () if adds else pending), wish=True)
        if memory.fired != before:  # it is proposed already: what the rule asks for takes the place of the wishes
            memory.reminded.update(pending)
        found = objections.objection(memory, self._agenda, proposal)
        if found and (found.firm or not memory.objections[found.key]) and rng.random() < self._persona.attention:
            memory.objections[found.key] += 1
            memory.annoyance += self._persona.annoyed_by_errors * memory.objections[found.key]
            return Line(found.text, ids=True)
        memory.agreed = proposal
        memory.voiced |= {i for i in memory.unvoiced() if proposals.brings_up(proposal, memory.goals[i], memory.goals)}
        if rng.random() < self._persona.hedging:
            return pick(lines.HEDGED, rng)
        if rng.random() < self._persona.verbosity and (named := lines.yes_to(proposals.proposed(proposal))):
            return named
        return pick(lines.YES, rng)

    def _more(self, heard: Heard, rng: np.random.Generator) -> Line:
        """Anything else? The next wish, a rule whose time has come, a reminder, or goodbye."""
        memory = self._memory
        if memory.unvoiced():
            return self._next_wish(rng)
        if (at := triggers.over(memory)) is not None:
            return self._fire(at)
        late = [i for i in memory.open() if memory.reminded[i] < self._persona.persistence]
        if late and memory.served < len([g for g in memory.goals if g.action in WRITES]):
            memory.reminded[late[0]] += 1
            return Line(f"There is still this: {memory.goals[late[0]].text}", wish=True, ids=True)
        return self._close(rng)

    def _refused(self, heard: Heard, rng: np.random.Generator) -> Line:
        """A refusal or an error: the rule for it, the right identity, the next wish, or giving in."""
        if _about_identity(heard) and not self._memory.served:
            return identity(self._agenda, ["email", "user_id"], self._memory.errors, self._memory.zip_code)
        if self._memory.unvoiced():
            return self._next_wish(rng)
        return pick(lines.ACCEPT_NO, rng)

    def _told(self, heard: Heard, rng: np.random.Generator) -> Line:
        """Nothing was asked: the next wish, a rule that the news brings up, or a word that it was read."""
        memory = self._memory
        if "transfer" in heard.acts:
            if found := objections.objection(memory, self._agenda, heard.text):
                return Line(found.text)
            return Line("Okay, then I wait for them.", "Okay")
        if "hold" in heard.acts:
            return pick(lines.WAIT, rng)
        finished = "done" in heard.acts and not memory.open()
        if memory.unvoiced():
            return self._next_wish(rng)
        if "done" in heard.acts and (at := triggers.over(memory)) is not None:
            return self._fire(at)
        if finished and rng.random() < self._persona.leaving:
            return self._close(rng)
        if "done" in heard.acts:
            return pick(lines.SEEN, rng)
        memory.said["wish"] += 1
        left = memory.open() or [i for i, goal in enumerate(memory.goals) if not _answers(heard, goal)][:1]
        if memory.said["wish"] % 2 and left:
            return Line(f"What I came for is this: {memory.goals[left[0]].text}", wish=True, ids=True)
        return pick(lines.SEEN, rng)

    def _next_wish(self, rng: np.random.Generator) -> Line:
        left = self._memory.unvoiced()
        return self._wish(left[: max(1, math.ceil(self._share * len(left)))], rng)

    def _close(self, rng: np.random.Generator) -> Line:
        self._ended = "refused" if self._memory.open() and self._memory.refusals else "satisfied"
        if self._memory.open() and not self._memory.refusals:
            self._ended = "unserved"
        return pick(lines.CLOSE, rng).ending()

    # -- rules -----------------------------------------------------------------------------------------------------

    def _brought_up(self, heard: Heard) -> int | None:
        """The rule to say before anything is answered or agreed to; who it is comes first."""
        memory = self._memory
        if IDENTITY_TOPICS & set(heard.topics) or (_about_identity(heard) and not memory.served):
            return None
        if "ask" in heard.acts and asked_rule(heard, memory) is not None:
            return None
        at = triggers.brought_up(memory, heard)
        if at is None or "confirm" not in heard.acts:
            return at
        if proposals.fits(memory.rules[at].text, self._agenda, heard.proposal or heard.text):
            memory.fire(at)
            return None
        return at

    def _fire(self, at: int) -> Line:
        self._memory.reminded.update(self._memory.open())  # the rule takes the place of what was refused
        text = self._memory.fire(at)
        return Line(text if len(text.split()) > 3 else f"Then what I say is: {text}", wish=True)


def _about_identity(heard: Heard) -> bool:
    """Whether something is wrong with who the user side says it is, not with an order or a reservation."""
    return "error" in heard.acts and not re.search(r"\b(?:order|reservation)\b", heard.text.lower())


def _answers(heard: Heard, goal: Goal) -> bool:
    """Whether a message that asks nothing may be the answer to a question."""
    return goal.action == "ask" and bool(stems(heard.text) & stems(goal.text) - triggers.WEAK)


def _after(greeting: str, text: str) -> str:
    """A first sentence as it goes on after a greeting."""
    return text if not greeting or text.startswith(("I ", "I'")) else text[0].lower() + text[1:]
