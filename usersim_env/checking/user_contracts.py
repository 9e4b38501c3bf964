"""The contracts of a user side: its setting, its turns, its sessions beside each other, what it leaves behind."""

from __future__ import annotations

import dataclasses
import itertools
import json
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from usersim_env.checking.conversing import Episode
from usersim_env.checking.findings import Broken, NotChecked, shown
from usersim_env.checking.held import held, left
from usersim_env.domains import get_task
from usersim_env.domains.canonical import checked
from usersim_env.errors import told
from usersim_env.feedback.survey import Survey
from usersim_env.feedback.values import Replayed
from usersim_env.traces.trace import Terms
from usersim_env.users.base import User, UserSession

_TURN = "Return Say(text) or Stop(text); raise UserSideError where the turn cannot be taken."


@dataclass(frozen=True)
class Sitting:
    """What the contracts look at.

    Attributes:
        user: under check.
        task_ids: what it can play.
        repeatable: whether a session is a function of its scenes.
    """

    user: User
    task_ids: tuple[str, ...]
    repeatable: bool

    def episodes(self) -> list[Episode]:
        """One of every task, not played yet."""
        return [Episode(self.user, task_id, seed) for seed, task_id in enumerate(self.task_ids)]

    def words(self, twins: bool = False) -> list[Any]:
        """Everything that it says in one episode of every task."""
        if not self.repeatable:
            raise NotChecked("it need not say the same twice: repeatable=True looks at that")
        return [(episode.play(twins).said, episode.error) for episode in self.episodes()]


def setting(sitting: Sitting) -> Iterator[Broken]:
    """Name and description are there, JSON, and the same after episodes; flags are flags."""
    user = sitting.user
    if not isinstance(user.name, str) or not user.name:
        yield Broken("name", shown(user.name), "a short text", "Traces and tables call it so.")
    for flag in ("blocking", "sees_everything"):
        if not isinstance(getattr(user, flag), bool):
            yield Broken(flag, shown(getattr(user, flag)), "True or False", "Leave it as it is, or set it.")
    before = _described(user)
    if isinstance(before, Broken):
        yield before
        return
    for episode in sitting.episodes():
        episode.play()
    if _described(user) != before:
        yield Broken(
            "describe() after episodes",
            shown(user.describe()),
            f"what it was before: {before:.200}",
            "A User is a setting that many envs share: keep what changes in the session.",
        )


def _described(user: User) -> str | Broken:
    try:
        return json.dumps(checked(user.describe(), "describe()"), sort_keys=True)
    except Exception as error:
        return Broken("describe()", told(error), "a dict of JSON values", "It is written into every trace.")


def pickling(sitting: Sitting) -> Iterator[Broken]:
    """A User goes to other processes, and its copy is the same user side."""
    advice = "Keep models, sockets and lambdas out of the User: begin() makes them."
    try:
        copy = pickle.loads(pickle.dumps(sitting.user))
    except Exception as error:
        yield Broken("pickle.loads(pickle.dumps(user))", told(error), "a copy", advice)
        return
    if (copy.kind, copy.name, copy.describe()) != (sitting.user.kind, sitting.user.name, sitting.user.describe()):
        yield Broken("a pickled copy", f"{copy.name!r} {shown(copy.describe())}", "the same setting", advice)
    elif sitting.repeatable and dataclasses.replace(sitting, user=copy).words() != sitting.words():
        yield Broken("a pickled copy", "other words", "the same", advice)


def tasks(sitting: Sitting) -> Iterator[Broken]:
    """own_task gives a version of the task that was asked for."""
    for seed, task_id in enumerate(sitting.task_ids):
        got: object = sitting.user.own_task(get_task(task_id), seed)
        if getattr(got, "id", None) != task_id:
            yield Broken(f"own_task of {task_id}", shown(got), "a Task of that id", "Return the task as it came.")


def turns(sitting: Sitting) -> Iterator[Broken]:
    """It opens and replies with words or a stop, and does not stop at the opening."""
    for lazy in (False, True):
        for task_id in sitting.task_ids:
            episode = Episode(sitting.user, task_id, 0, lazy).play()
            if episode.error and not episode.error.startswith("fill_survey"):
                when = "after the agent's greeting" if lazy else "at the beginning"
                yield Broken(f"an episode of {task_id} that it opens {when}", episode.error, "turns to the end", _TURN)
                return


def surveys(sitting: Sitting) -> Iterator[Broken]:
    """The survey is a Survey or None."""
    for episode in sitting.episodes():
        episode.play()
        session = episode.session
        if hasattr(session, "survey") and type(session).fill_survey is UserSession.fill_survey:
            yield Broken(
                "a method survey(scene)",
                "never called",
                "fill_survey(scene)",
                "The survey is filled in by fill_survey(self, scene), which returns a Survey or None.",
            )
            return
        answered = [came for name, came in episode.said if name == "fill_survey"]
        bad = [came for came in answered if not isinstance(came, Survey | None)]
        if bad or episode.error.startswith("fill_survey"):
            yield Broken(
                "fill_survey",
                shown(bad[0]) if bad else episode.error,
                "a Survey of the form, or None",
                "Answers are labels of scene.form; None where it does not answer.",
            )
            return


def scenes(sitting: Sitting) -> Iterator[Broken]:
    """It changes nothing of what it is shown."""
    for episode in sitting.episodes():
        for name in episode.play().changed[:1]:
            yield Broken(f"{name}(scene)", "another scene afterwards", "the same", "Copy before you change.")


def seeds(sitting: Sitting) -> Iterator[Broken]:
    """The same scenes give the same words, and no global generator is drawn from."""
    before = held()
    if (first := sitting.words()) != (second := sitting.words()):
        yield Broken("the same episodes twice", shown(second), f"the same: {shown(first)}", "Draw from scene.rng().")
    yield from left("episodes were played", before)


def sessions(sitting: Sitting) -> Iterator[Broken]:
    """Sessions of one User know nothing of each other."""
    alone = sitting.words()
    episodes = sitting.episodes() + sitting.episodes()
    for _ in itertools.zip_longest(*(episode.plain() for episode in episodes)):
        pass
    for episode in episodes:
        episode.close()
    mixed = [(episode.said, episode.error) for episode in episodes]
    if mixed != alone * 2:
        yield Broken(
            "episodes at the same time, turn by turn",
            shown(mixed),
            f"what each says alone: {shown(alone)}",
            "Keep what changes in the session that begin() makes, not in the User or a module.",
        )


def async_twins(sitting: Sitting) -> Iterator[Broken]:
    """aopen, areply and afill_survey give what their plain twins give."""
    plain, twins = sitting.words(), sitting.words(twins=True)
    if plain != twins:
        yield Broken(
            "the same episodes through the async twins",
            shown(twins),
            f"the same: {shown(plain)}",
            "Override both or neither; the default twin calls the plain method.",
        )


def extras(sitting: Sitting) -> Iterator[Broken]:
    """What a session says of itself is JSON notes, terms or None, and for a recording how far it was followed."""
    for episode in sitting.episodes():
        session = episode.play().session
        try:
            notes: object = session.notes()
            bad = "" if isinstance(notes, Mapping) and checked(dict(notes), "notes()") is not None else shown(notes)
        except Exception as error:
            bad = told(error)
        if bad:
            yield Broken("notes()", bad, "a dict of JSON values", "They are written into the trace.")
        if not isinstance(session.terms, Terms | None):
            yield Broken("terms", shown(session.terms), "Terms or None", "")
        watched: object = session.watch(episode.conversation.events, None)
        if sitting.user.sees_everything and not isinstance(watched, Replayed):
            yield Broken("watch(events)", shown(watched), "Replayed, of a side that sees_everything", "")


def closing(sitting: Sitting) -> Iterator[Broken]:
    """Closing a session, played or not, leaves no thread and no open file."""
    Episode(sitting.user, sitting.task_ids[0], 0).play()  # what is loaded once per process is loaded now
    before = held()
    for played in (True, False):
        episode = Episode(sitting.user, sitting.task_ids[0], 0)
        for _ in episode.plain() if played else ():
            pass
        try:
            episode.session.close()
        except Exception as error:
            yield Broken(
                f"close() {'after the end' if played else 'before the opening'}",
                told(error),
                "no exception",
                "It is called once, also after a failure.",
            )
    yield from left("sessions were begun and closed", before)
