"""What the model is shown: the wording in ``users/prompts/*.md`` filled with one scene.

Two adapters: ``chat`` (the agent's turns are the chat's ``user`` messages, as in tau_bench/envs/user.py, 59a200c) and
``transcript`` (one text to be continued, with a worked example, for small and base models). Both show the visible
turns only: no tool calls, no thoughts of either seat.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from string import Template

from usersim_env.conversation.scene import Scene
from usersim_env.errors import unknown
from usersim_env.feedback.survey import Question
from usersim_env.messages import Message, to_chat

GREETING = Message("agent", "Hi! How can I help you today?")
"""What the customer is taken to have read before the opening, as upstream."""

STOP = "###STOP###"
"""The word by which the model ends the episode; upstream's, so that results compare."""

SILENCE = "(no message)"
NAMES = ("chat", "react", "transcript", "transcript_react", "repair", "verify", "reflect", "survey", "traits")
ChatMessages = tuple[Mapping[str, str], ...]


@cache
def text(name: str) -> str:
    """One prompt file."""
    return (files(__package__) / f"{name}.md").read_text(encoding="utf-8")


@cache
def version() -> str:
    """Eight hex digits of all the wording, for traces."""
    return hashlib.sha256("\0".join(text(name) for name in NAMES).encode()).hexdigest()[:8]


def fill(name: str, **values: str) -> str:
    """One prompt with its blanks filled; the blanks' values are taken as they are, whatever is in them."""
    return Template(text(name)).substitute(stop=STOP, **values)


@cache
def _traits() -> Mapping[str, Mapping[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for trait, value, line in re.findall(r"^- (\w+)=(\w+): (.+)$", text("traits"), re.MULTILINE):
        found.setdefault(trait, {})[value] = line
    return found


def trait_lines(traits: Mapping[str, str]) -> list[str]:
    """The sentences of trait settings such as ``{"patience": "low"}``, in the order of the file.

    Raises:
        UnknownName: a trait or value that ``prompts/traits.md`` does not have.
    """
    known = _traits()
    for trait, value in traits.items():
        if trait not in known:
            raise unknown("trait", trait, known)
        if value not in known[trait]:
            raise unknown(f"value of the trait {trait}", value, known[trait])
    return [lines[traits[trait]] for trait, lines in known.items() if trait in traits]


def chat_text(scene: Scene, character: str, react: bool) -> str:
    """The system message."""
    system = fill("chat", instruction=scene.instruction, persona=f"\n{character}\n" if character else "")
    return system + fill("react") if react else system


def chat_prompt(scene: Scene, system: str, reason: str | None) -> ChatMessages:
    """System message and the visible turns seen from the customer's seat; ``reason`` asks for a repair."""
    system += fill("repair", reason=reason) if reason is not None else ""
    turns = [m if m.content.strip() else Message(m.role, SILENCE) for m in seen(scene)]
    return ({"role": "system", "content": system}, *to_chat(turns, me="user"))


def transcript_text(scene: Scene, character: str, react: bool) -> str:
    """One text that ends where the customer's next words begin."""
    chat = as_text(seen(scene)) + ("\nThought:" if react else "\nCustomer:")
    one_line = " ".join(scene.instruction.split())
    name = "transcript_react" if react else "transcript"
    return fill(name, instruction=one_line, persona=" ".join(character.split()), chat=chat)


def transcript_prompt(text: str, reason: str | None) -> ChatMessages:
    """The text as one message; ``reason`` asks for a repair."""
    text = text.rstrip()
    if reason is not None:
        text = fill("repair", reason=reason).strip() + "\n\n" + text
    return ({"role": "user", "content": text},)


EXAMPLE = ("Noor", "Haddad", "40221", "kettle")
"""What only the worked example of the transcript prompts speaks of; a small model copies it."""


def copied(said: str, scene: Scene, character: str) -> str | None:
    """The first fact of the worked example in the customer's words that nothing in this episode holds.

    Args:
        said: the words.
        scene: of the turn.
        character: persona and traits.
    """
    here = " ".join((scene.instruction, character, *(message.content for message in scene.transcript))).lower()
    found = (fact for fact in EXAMPLE if fact.lower() in said.lower() and fact.lower() not in here)
    return next(found, None)


def seen(scene: Scene) -> tuple[Message, ...]:
    """The visible turns, with the greeting that the opening answers."""
    turns = scene.transcript
    return turns if turns and turns[0].role == "agent" else (GREETING, *turns)


def as_text(turns: Sequence[Message]) -> str:
    """Turns as lines ``Agent: …`` and ``Customer: …``."""
    names = {"agent": "Agent", "user": "Customer"}
    return "\n".join(f"{names[m.role]}: {' '.join(m.content.split()) or SILENCE}" for m in turns)


def judge_prompt(name: str, scene: Scene, draft: str) -> ChatMessages:
    """``verify`` or ``reflect``: a supervisor's question about a draft."""
    chat = as_text(seen(scene))
    return ({"role": "user", "content": fill(name, instruction=scene.instruction, chat=chat, draft=draft)},)


def survey_prompt(scene: Scene, questions: Sequence[Question]) -> ChatMessages:
    """The form with its answers, after the chat: only what was said, since sessions of others are rated with it too."""
    form = "\n".join(f"- {q.field}: {q.text} Answers: {' | '.join(q.answers)}" for q in questions)
    chat = as_text(scene.transcript)
    return ({"role": "user", "content": fill("survey", instruction=scene.instruction, chat=chat, questions=form)},)
