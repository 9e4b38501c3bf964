"""What the store keeps of a person and of one sitting of theirs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

State: TypeAlias = Literal["open", "done", "no_survey", "abandoned", "failed", "withdrawn"]
"""``no_survey``: the conversation came to its end, and the person left before the questions; ``failed``: the agent or
the study could not go on; ``withdrawn``: the person left the study by the button."""

Count: TypeAlias = Annotated[int, Field(ge=0, lt=1 << 31)]
When: TypeAlias = Annotated[float, Field(ge=0, lt=32e9, allow_inf_nan=False)]
"""Seconds since the epoch, in a year of four digits."""
Seconds: TypeAlias = Annotated[float, Field(ge=0, lt=32e9, allow_inf_nan=False)]

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
        turns: of the person, so far.
        used, served: seconds in which the person, and the agent, had the turn while the server ran.
        present: whether a page of the person was open when that was last stored.
        problem: what of it could not be read.
    """

    id: str
    person: str
    task: str
    batch: Count
    number: Count
    visit: str | None
    code: str
    started: When
    ended: When | None = None
    state: State = "open"
    last_move: str | None = None
    flags: tuple[str, ...] = ()
    reward: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    overall: str | None = None
    failure: str | None = None
    turns: Count = 0
    consent: str = ""
    agreed: When | None = None
    used: Seconds = 0.0
    served: Seconds = 0.0
    present: bool = True
    problem: str | None = None

    @property
    def seconds(self) -> float:
        """How long it took, without the time in which the server was away; sittings of older versions have less."""
        return self.used + self.served or max((self.ended or self.started) - self.started, 0.0)


def forgotten(sitting: Sitting) -> Sitting:
    """What is left of a sitting whose data was deleted: that there was one."""
    gone = replace(sitting, person="", visit=None, code="", state="withdrawn", last_move=None, flags=(), turns=0)
    return replace(gone, reward=None, overall=None, failure=None, used=0.0, served=0.0, problem=None)
