"""A model rates recorded sessions of others: it fills in the survey from the instruction and the chat.

What the index's evaluative agreement needs (arXiv:2603.11245): ratings of the same sessions by people and by a model.
"""

from __future__ import annotations

import os
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from usersim_env import importers
from usersim_env.conversation.scene import Scene
from usersim_env.errors import TraceError, UnknownName, UserSideError
from usersim_env.feedback.survey import FIELDS, Survey
from usersim_env.gap.usi.sessions import Session, check_ids, ordered, task_key
from usersim_env.importers import tau_usi
from usersim_env.llm import Usage, as_model
from usersim_env.llm.cassette import request_key
from usersim_env.rating.file import RatingFile
from usersim_env.rollouts.estimate import SeatEstimate, Use, form_use, money
from usersim_env.traces.file import holds_traces, read_traces
from usersim_env.traces.recorded_task import task_of
from usersim_env.traces.trace import Terms, Trace
from usersim_env.users.llm import LLMUser
from usersim_env.users.llm.strategies import Desk
from usersim_env.users.llm.survey_form import fill_in

ENDS_ALL = ("auth", "quota")
"""Kinds of failure that every further session would meet: the rest is left for the next run."""


@dataclass(frozen=True)
class Recorded:
    """One session to rate. Its seed is a function of its key."""

    key: str
    scene: Scene
    terms: Terms


@dataclass(frozen=True)
class Recordings:
    """The sessions of a file, and one line for each that cannot be rated."""

    sessions: tuple[Recorded, ...]
    left_out: tuple[str, ...] = ()


@dataclass
class RateResult:
    """What came of a run.

    Attributes:
        rated: sessions rated now; ``incomplete``: those of them with answers missing.
        failures: session, kind and message of those that the model gave no answer to.
        not_asked: left for the next run after a failure that all others would have met.
        usage: of all calls, failed sessions included as far as they were billed.
    """

    rated: int = 0
    incomplete: int = 0
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    not_asked: int = 0
    usage: Usage = field(default_factory=Usage)

    @property
    def failed(self) -> dict[str, int]:
        """Failures by kind."""
        return dict(Counter(kind for _, kind, _ in self.failures))

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        figures = {"rated": self.rated, "incomplete": self.incomplete, "failed": self.failed}
        return figures | {"not_asked": self.not_asked} | asdict(self.usage)


# -- what there is to rate ---------------------------------------------------------------------------------------------


def read_recordings(path: str | os.PathLike[str]) -> Recordings:
    """The sessions of a file of traces, or of any format that can be imported, under the keys that tau-usi gives them.

    Left out, with the reason: sessions marked ``keep: false``, episodes of ours that are not scored, broken records,
    tasks that are in no test split or whose text is not here, and sessions in which nobody spoke.

    Raises:
        TraceError: the file is not there, is of no known format, or holds a session twice.
    """
    left_out: list[str] = []
    if not Path(path).is_file():
        raise TraceError(f"No file at {path}. Give traces, or a recording that can be imported: see docs/importing.md")
    if holds_traces(path):
        traces = read_traces(path)
    else:
        imported = importers.import_files([path], settings=importers.ImportSettings(skip_broken=True))
        traces, left_out = list(imported.traces), list(imported.broken)
    check_ids(traces, str(path))
    kept = []
    for trace in sorted(traces, key=lambda t: t.seed):
        if reason := _unfit(trace):
            left_out.append(f"{trace.source.get('key', trace.id)}: {reason}")
        else:
            kept.append(trace)
    found: list[Recorded] = []
    for key, trace in _keyed(kept, str(path)):
        try:
            instruction = task_of(trace).instruction
        except (TraceError, UnknownName) as error:
            left_out.append(f"{key}: no text of its task: {error}")
        else:
            scene = Scene(trace.task_id, instruction, trace.messages, seed=zlib.crc32(key.encode()) & 0x7FFFFFFF)
            found.append(Recorded(key, scene, trace.terms))
    return Recordings(tuple(found), tuple(left_out))


def _unfit(trace: Trace) -> str:
    """Why a session is not rated; the first two are what the index leaves out."""
    if trace.user.notes.get("keep") is False:
        return "marked keep: false"
    if not trace.valid and trace.source.get("format") != tau_usi.NAME:
        return "not scored"
    if task_key(trace.task_id) == trace.task_id:
        return f"its task is of no test split ({trace.task_id or 'unknown'}), and surveys are named by those"
    return "" if trace.messages else "nobody spoke"


def _keyed(traces: Sequence[Trace], where: str) -> Iterator[tuple[str, Trace]]:
    """Each trace under its key, such as ``airline_0_ann2``: its task, and which session of that task it is."""
    sessions = [Session(t.id, task_key(t.task_id), _copy(t)) for t in traces]
    names = {s.id: (s.task, n) for n, batch in ordered(sessions, where).items() for s in batch.values()}
    for trace in traces:
        task, number = names[trace.id]
        yield task if number == 1 else f"{task}_ann{number}", trace


def _copy(trace: Trace) -> int | None:
    """The number of the batch or run, as `gap.usi.files` reads it."""
    number = trace.user.notes.get("batch") or trace.user.notes.get("run")
    if isinstance(number, int):
        return number
    return 1 if trace.source.get("format") == tau_usi.NAME else None


# -- rating ------------------------------------------------------------------------------------------------------------


def asked_of(session: Recorded, user: LLMUser) -> str:
    """Sixteen hex digits of everything that shapes the model's first answer: another text is another question."""
    ask = next(fill_in(Desk(session.scene, user.adapter, "", user.attempts, {})))
    return request_key(as_model(user.model).body(ask.request))


def pending(sessions: Sequence[Recorded], user: LLMUser, file: RatingFile) -> list[Recorded]:
    """The sessions that the file holds no rating of."""
    return [session for session in sessions if file.asked(session.key) != asked_of(session, user)]


def estimate_ratings(sessions: Sequence[Recorded], user: LLMUser) -> SeatEstimate:
    """What rating them is expected to use, without repairs and retries."""
    return sum((form_use(session.scene) for session in sessions), Use()).seat("rater", as_model(user.model))


def notice(sessions: Sequence[Recorded], user: LLMUser) -> str:
    """What is about to be sent, what it may cost, to whom it goes, and under which terms."""
    model, expected = as_model(user.model), estimate_ratings(sessions, user)
    usage = f"about {expected.prompt_tokens:,} prompt and {expected.completion_tokens:,} completion tokens"
    address = model.describe()["api_base"] or "its provider's own address"
    lines = [
        f"{len(sessions)} sessions to rate: {usage}, {money(expected.cost)} (without repairs).",
        f"The instruction and the whole chat of each session go to {model.name} at {address}.",
    ]
    for terms, count in Counter(session.terms for session in sessions).items():
        free = terms.training and terms.sharing is not False
        bound = "" if free else " Sending them there passes them on: see that the terms allow it."
        lines.append(f"Terms of {count} of them: {terms.licence}.{bound}")
    return "\n".join(lines)


def rate(sessions: Sequence[Recorded], user: LLMUser, file: RatingFile, progress: bool = True) -> RateResult:
    """Asks the model about each session, in order; every rating is on disk before the next is asked for.

    A failure is listed and leaves no rating, so that the next run asks again. Answers that could not be read stay
    missing in a rating.

    Raises:
        InstallError: litellm is missing.
    """
    result = RateResult()
    console = Console(stderr=True)
    for number, session in enumerate(track(sessions, user.name, console=console, disable=not progress), 1):
        kind = _rate_one(session, user, file, result)
        if kind in ENDS_ALL:
            result.not_asked = len(sessions) - number
            break
    return result


def _rate_one(session: Recorded, user: LLMUser, file: RatingFile, result: RateResult) -> str | None:
    """The kind of the failure, if there is one."""
    rater = user.begin(session.scene)
    survey: Survey | None = None
    kind, message = "bad_reply", "no answer of the form could be read"
    try:
        survey = rater.fill_survey(session.scene)
    except UserSideError as error:
        kind, message = error.kind, str(error)
    notes = rater.notes()
    used = Usage(**{name: notes[name] for name in asdict(Usage())})
    result.usage = Usage.total([result.usage, used])
    if survey is None:
        file.fail(session.key, kind, message)
        result.failures.append((session.key, kind, message))
        return kind
    result.rated += 1
    result.incomplete += len(survey.answers) < len(FIELDS)
    file.add(session.key, survey, _rating(session, user, used))
    return None


def _rating(session: Recorded, user: LLMUser, used: Usage) -> Mapping[str, Any]:
    """Who rated what, and at what cost."""
    described = user.describe()
    who = {name: described[name] for name in ("model", "api_base", "temperature", "max_tokens", "prompts")}
    what = {"seed": session.scene.seed, "asked": asked_of(session, user), "terms": session.terms.licence}
    return who | what | {"cost": used.cost, "prompt_tokens": used.prompt_tokens, "calls": used.calls}
