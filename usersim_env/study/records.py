"""What the store keeps of a person and of one sitting of theirs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

State: TypeAlias = Literal["open", "done", "no_survey", "abandoned", "failed", "withdrawn"]
"""``no_survey``: the conversation came to its end, and the person left before the questions; ``failed``: a technical
fault of the agent's side; ``withdrawn``: the person left the study by the button."""

HOLDING: tuple[State, ...] = ("open", "done")
"""States that hold a place; in all others the task is handed out again."""


@dataclass(frozen=True)
class Person:
    """A participant.

    Attributes:
        pseudonym: salted hash of the platform's id, or random.
        ids: what the platform put into the address, for payment; never exported.
        consented: when they first agreed, in seconds since the epoch.
        consent: version of what they first agreed to; what counts is each sitting's.
    """

    pseudonym: str
    ids: dict[str, str]
    consented: float
    consent: str


@dataclass(frozen=True)
class Sitting:
    """One person at one task.

    Attributes:
        id: random; part of the address.
        person: pseudonym; empty once the data was deleted.
        task: id.
        batch: which of the people for this task, from 1.
        number: of the study, from 1; the episode's seed, so that no two have the same.
        visit: salted hash of the platform's ids, to find the way back; ``None`` for anybody with the link.
        code: completion code.
        started, ended: seconds since the epoch.
        state: where it stands.
        last_move: id of the person's last move that was stored.
        flags: what the effort checks say.
        reward, overall, failure: outcome, for the admin page.
        consent: version of what the person agreed to for this sitting.
        agreed: when, in seconds since the epoch; ``None`` in files of before that kept no time.
    """

    id: str
    person: str
    task: str
    batch: int
    number: int
    visit: str | None
    code: str
    started: float
    ended: float | None = None
    state: State = "open"
    last_move: str | None = None
    flags: tuple[str, ...] = ()
    reward: float | None = None
    overall: str | None = None
    failure: str | None = None
    turns: int = 0
    consent: str = ""
    agreed: float | None = None


def forgotten(sitting: Sitting) -> Sitting:
    """What is left of a sitting whose data was deleted: that there was one."""
    gone = replace(sitting, person="", visit=None, code="", state="withdrawn", last_move=None, flags=(), turns=0)
    return replace(gone, reward=None, overall=None, failure=None)
