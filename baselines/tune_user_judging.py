"""What came of a tuning: start and results on tuning and held-out tasks, and how far the numbers were found."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from usersim_env.agent import Agent
from usersim_env.gap.bootstrap import Interval
from usersim_env.gap.task_means import signals_of
from usersim_env.gap.usi.likeness_gain import likeness_gain
from usersim_env.gap.usi.likeness_reward import TaskMoments, moments_by_task, score
from usersim_env.gap.usi.target import PARTS, Target, TargetRow
from usersim_env.registration import env_id
from usersim_env.rollouts import RolloutSettings, rollout
from usersim_env.traces.trace import Trace
from usersim_env.users.agenda import AgendaUser, Persona
from usersim_env.users.agenda.persona import persona_of

EPISODES = 4  # per task, of what start and results are judged by
JUDGED_FROM = 900_000  # first seed of those; the search plays lower ones
FLOAT = "{:.6g}"


class Found(NamedTuple):
    """What a search ended with, and one ``(personas tried, mean likeness, best likeness)`` per generation."""

    seed: int
    persona: Persona
    history: tuple[tuple[int, float, float], ...]


def play(
    persona: Persona, agent: Agent, tasks: Sequence[str], seeds: Iterable[int], survey: bool = False
) -> tuple[Trace, ...]:
    """Episodes of the agent with a persona."""
    keywords = {"user": AgendaUser(persona), "survey": survey}
    settings = RolloutSettings(tasks, tuple(seeds), keywords=keywords, progress=False)
    return rollout(agent, env_id(tasks[0].split("/")[0]), settings).traces


@dataclass(frozen=True)
class Judged:
    """A persona on one part's tasks: likeness there, and a mean survey answer, which no row holds and nothing tunes."""

    moments: Mapping[str, TaskMoments]
    row: TargetRow
    survey: float

    @property
    def figures(self) -> dict[str, float]:
        """Parts and the whole, 0 to 100; with a whole row ``usi5`` is the five-part index."""
        found = score(self.moments.values(), self.row)
        return {name: 100 * x for name, x in (*found.parts.items(), ("usi5", found.total or math.nan))} | {
            "success": sum(m.success for m in self.moments.values()) / len(self.moments),
            "survey_mean": self.survey,
        }


def judge(persona: Persona, agent: Agent, row: TargetRow) -> Judged:
    """Plays tasks with seeds that no search has seen."""
    traces = play(persona, agent, row.tasks, range(JUDGED_FROM, JUDGED_FROM + EPISODES), survey=True)
    answers = [signals["survey.mean"] for t in traces if "survey.mean" in (signals := signals_of(t))]
    return Judged(moments_by_task(traces, row), row, sum(answers) / len(answers) if answers else math.nan)


@dataclass(frozen=True)
class Result:
    """Start, result of each search, and where it is a known persona the target itself, on both parts."""

    target: Target
    start: Persona
    known: Persona | None
    found: tuple[Found, ...]
    judged: Mapping[tuple[str, str], Judged]
    """``(who, part)``: ``start``, ``seed 0``, …, ``target``."""

    def names(self) -> list[str]:
        """The searches, by name."""
        return [f"seed {found.seed}" for found in self.found]

    def gain(self, part: str, names: Sequence[str]) -> Interval:
        """How much likeness rises over the start, 0 to 1, paired over tasks; of several searches the mean."""
        after = [self.judged[name, part].moments for name in names]
        return likeness_gain(self.judged["start", part].moments, after, self.target.part(part))


def judge_all(target: Target, start: Persona, agent: Agent, found: Sequence[Found]) -> Result:
    """Plays everything that the tables and the figure need."""
    known = known_persona(target)
    everyone = {"start": start, **{f"seed {f.seed}": f.persona for f in found}}
    everyone |= {"target": known} if known is not None else {}
    judged = {(name, part): judge(p, agent, target.part(part)) for name, p in everyone.items() for part in PARTS}
    return Result(target, start, known, tuple(found), judged)


def known_persona(target: Target) -> Persona | None:
    """The persona behind a synthetic target, which shows how far the numbers themselves were found."""
    named = target.user.settings.get("persona") if target.user.kind == "agenda" else None
    return Persona(**named) if isinstance(named, dict) else None if named is None else persona_of(named)


# -- the tables --------------------------------------------------------------------------------------------------------


def likeness_table(result: Result) -> list[dict[str, Any]]:
    """Who, on which part: figures, and the gain over the start with its 95 % interval."""
    rows = []
    for (name, part), judged in result.judged.items():
        gain = result.gain(part, [name]) if name != "start" else None
        rows.append({"who": name, "part": part, **judged.figures, **_interval("gain", gain)})
    for part in PARTS:
        gain = result.gain(part, result.names())
        means = [result.judged[name, part].figures for name in result.names()]
        figures = {key: sum(m[key] for m in means) / len(means) for key in means[0]}
        rows.append({"who": "mean of seeds", "part": part, **figures, **_interval("gain", gain)})
    return rows


def persona_table(result: Result, numbers: Sequence[str], agent: Agent) -> list[dict[str, Any]]:
    """Every tuned number: start, target, each search; and whether the row tells it.

    ``error`` is the root mean square over searches of (found - target) / (start - target): 0 found, 1 as far away as
    the start. ``cost`` is what a user side loses, in points of likeness on the tuning tasks, that is the target but for
    this number, which is the start's. Where 0 is in its interval, the row does not show this number alone.
    """
    rows = []
    row, own = result.target.part("tuning"), result.judged.get(("target", "tuning"))
    for number in numbers:
        start = getattr(result.start, number)
        entry = {"number": number, "start": start}
        entry |= {f"seed {f.seed}": getattr(f.persona, number) for f in result.found}
        if result.known is not None and own is not None:
            truth = getattr(result.known, number)
            misses = [(getattr(f.persona, number) - truth) ** 2 for f in result.found]
            error = math.sqrt(sum(misses) / len(misses)) / abs(start - truth) if start != truth else math.nan
            other = judge(dataclasses.replace(result.known, **{number: start}), agent, row)
            cost = likeness_gain(other.moments, [own.moments], row)
            entry |= {"target": truth, "error": error, **_interval("cost", cost)}
        rows.append(entry)
    return rows


def history_table(result: Result) -> list[dict[str, Any]]:
    """Every generation of every search: mean and best likeness, 0 to 100."""
    return [
        {"seed": f.seed, "tried": tried, "mean": 100 * mean, "best": 100 * best}
        for f in result.found
        for tried, mean, best in f.history
    ]


def _interval(name: str, found: Interval | None) -> dict[str, Any]:
    ends = (None, None, None) if found is None else (found.estimate, found.low, found.high)
    names = (name, f"{name}_low", f"{name}_high")
    return {key: None if x is None else 100 * x for key, x in zip(names, ends, strict=True)}


def write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Six digits of every figure; what is missing is empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: FLOAT.format(x) if isinstance(x, float) else x for key, x in row.items()})
