"""What a monitor has seen: settings, looks, and their JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from usersim_env.errors import UsageError, unknown
from usersim_env.feedback.survey import FIELDS
from usersim_env.gap.monitor_bound import Band, Growth, band, growth, share
from usersim_env.gap.sides import Side
from usersim_env.gap.task_means import RULE, signals_of
from usersim_env.rollouts import failure_name

SCHEMA = 1


@dataclass(frozen=True)
class MonitorSettings:
    """How often a monitor looks, at what, and how sure it has to be.

    Attributes:
        every: training steps between two looks.
        episodes: per task and side, at every look but the first.
        start_episodes: the same at the first look, which all others are compared with: what is saved there is missed at
            every look. ``None``: four times ``episodes``.
        looks: how many comparisons with the start are planned. More are allowed, but those are less sensitive.
        level: chance, at least, that a whole run of looks raises no false alarm; between 0.5 and 1.
        seed: of the episodes; every look, task and episode gets another one made from it.
        signal: what is compared: ``rule``, or a signal of the feedback such as ``survey.mean``.
        trained_on: ids of the tasks that the policy is trained on; ``None``: the domain's ``train`` split.
        steering: whether what the monitor says will change the training (stopping it, choosing a checkpoint).
        agent_failures: ``unscored``, or ``zero``: an episode that failed on the agent's side counts as 0, so that a
            policy cannot learn to fail where it would lose.
    """

    every: int = 50
    episodes: int = 2
    start_episodes: int | None = None
    looks: int = 20
    level: float = 0.95
    seed: int = 0
    signal: str = RULE
    trained_on: Sequence[str] | None = None
    steering: bool = False
    agent_failures: Literal["unscored", "zero"] = "unscored"

    def __post_init__(self) -> None:
        least = {"every": 1, "episodes": 1, "start_episodes": 1, "looks": 1, "seed": 0}
        for name, low in least.items():
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= low) and not (name == "start_episodes" and value is None):
                raise UsageError(f"{name} is {value!r}; expected an integer of at least {low}.")
        surveys = [*(f"survey.{name}" for name in FIELDS), "survey.mean"]
        if not isinstance(self.signal, str) or (self.signal.startswith("survey.") and self.signal not in surveys):
            raise unknown("signal", self.signal, [RULE, *surveys])
        if self.agent_failures not in ("unscored", "zero"):
            raise unknown("agent_failures", self.agent_failures, ("unscored", "zero"))
        if not 0.5 < self.level < 1:
            raise UsageError(f"level is {self.level}; expected a number between 0.5 and 1, for example 0.95.")

    def episodes_of(self, look: int) -> int:
        """Episodes per task and side of a look, the first being 0."""
        if look:
            return self.episodes
        return 4 * self.episodes if self.start_episodes is None else self.start_episodes

    def error(self, test: int) -> float:
        """Chance of a false alarm that the ``test``-th comparison with the start may have."""
        return (1 - self.level) * share(test, self.looks)


@dataclass(frozen=True)
class SideScores:
    """One side of a look.

    Attributes:
        label: ``simulated``, ``reference`` or ``human``.
        values: task → the signal of each episode that has it; failed episodes are not in it.
        failed: episodes left out, by ``side:kind`` of the failure; ``no signal`` for scored ones that lack it.
        lost: task → how many of its episodes have failed; empty in histories of older versions.
    """

    label: str
    values: Mapping[str, tuple[float, ...]]
    failed: Mapping[str, int] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)

    def means(self, failures: float | None = None) -> dict[str, float]:
        """Mean per task; with ``failures`` as if every failed episode had that value."""
        found = {task: list(values) for task, values in self.values.items()}
        for task, number in self.lost.items() if failures is not None else ():
            found.setdefault(task, []).extend([float(failures or 0)] * number)
        return {task: math.fsum(values) / len(values) for task, values in found.items() if values}

    @property
    def failed_share(self) -> float:
        """Of the failed episodes, among them and the scored ones."""
        lost = sum(self.lost.values())
        return lost / max(lost + sum(map(len, self.values.values())), 1)

    @classmethod
    def of(cls, side: Side, signal: str, failed_as_zero: bool = False) -> SideScores:
        """From the traces of a side; ``failed_as_zero``: what failed on the agent's side has the signal 0."""
        values: dict[str, list[float]] = {}
        failed, lost = Counter[str](), Counter[str]()
        for trace in side.traces:
            if failed_as_zero and trace.failure is not None and trace.failure.side == "agent":
                values.setdefault(trace.task_id, []).append(0.0)
                continue
            lost[trace.task_id] += trace.ended_by == "failure"
            found = signals_of(trace).get(signal) if trace.valid else None
            if found is not None:
                values.setdefault(trace.task_id, []).append(float(found))
            else:
                failed["no signal" if trace.valid else failure_name(trace.failure, trace.ended_by)] += 1
        scored = {task: tuple(found) for task, found in values.items()}
        return cls(side.label, scored, dict(failed), {task: n for task, n in lost.items() if n})


@dataclass(frozen=True)
class Look:
    """One look at the policy.

    Attributes:
        step: training step.
        gap: with its band; ``None`` if fewer than two tasks are scored on both sides.
        growth: against the first look; ``None`` at the first look, or if they share fewer than two tasks.
    """

    step: int
    sim: SideScores
    reference: SideScores
    gap: Band | None
    growth: Growth | None

    @property
    def alarm(self) -> bool:
        """Whether this look shows that |gap| has grown since the first one."""
        return self.growth is not None and self.growth.alarm

    @property
    def success(self) -> tuple[float, float] | None:
        """Mean over the tasks scored on both sides: simulated, other side; ``None`` without such a task."""
        return self._means(None, None)

    def _means(self, sim: float | None, reference: float | None) -> tuple[float, float] | None:
        a, b = self.sim.means(sim), self.reference.means(reference)
        both = [task for task in a if task in b]
        if not both:
            return None
        return math.fsum(a[task] for task in both) / len(both), math.fsum(b[task] for task in both) / len(both)

    def bounds(self) -> dict[str, float]:
        """What failed episodes could hide: each side's success if all of them count as 0 and as 1, and the gap at most.

        Names: ``sim_low``, ``sim_high``, ``reference_low``, ``reference_high``, ``gap_lowest``, ``gap_highest``.
        """
        worst, best = self._means(1.0, 0.0), self._means(0.0, 1.0)
        if worst is None or best is None:
            return {}
        return {
            "sim_low": best[0], "sim_high": worst[0], "reference_low": worst[1], "reference_high": best[1],
            "gap_lowest": worst[1] - worst[0], "gap_highest": best[1] - best[0],
        }  # fmt: skip

    def differences(self) -> dict[str, float]:
        """Per task scored on both sides: the other side's mean minus the simulated one's."""
        a, b = self.sim.means(), self.reference.means()
        return {task: b[task] - a[task] for task in a if task in b}

    def numbers(self) -> dict[str, float]:
        """The look as flat numbers for a training log; what is missing is absent."""
        found = {"step": float(self.step), "alarm": float(self.alarm)}
        for name, side in (("sim", self.sim), ("reference", self.reference)):
            found[f"{name}_scored"] = float(sum(map(len, side.values.values())))
            found[f"{name}_failed"] = float(sum(side.failed.values()))
        if self.success is not None:
            found["sim"], found["reference"] = self.success
        found |= self.bounds()
        if self.gap is not None:
            found |= {"gap": self.gap.estimate, "gap_low": self.gap.low, "gap_high": self.gap.high}
            found["tasks"] = float(self.gap.n_tasks)
        if self.growth is not None:
            found["growth"] = self.growth.estimate
        return found


class History:
    """The looks of one run, oldest first. Kept as JSON lines: the settings, then a line per look.

    Args:
        tasks: the ids that every look plays.
        settings: of the monitor.
    """

    def __init__(self, tasks: Sequence[str], settings: MonitorSettings) -> None:
        self.tasks = tuple(tasks)
        self.settings = settings
        self._looks: list[Look] = []

    @property
    def looks(self) -> tuple[Look, ...]:
        """All looks so far."""
        return tuple(self._looks)

    @property
    def grown(self) -> bool:
        """Whether any look raised the alarm."""
        return any(look.alarm for look in self._looks)

    def add(self, step: int, sim: SideScores, reference: SideScores) -> Look:
        """Judges one more look against the first.

        Raises:
            UsageError: its step is not after the last one's.
        """
        if self._looks and step <= self._looks[-1].step:
            raise UsageError(f"A look at step {step} cannot follow one at step {self._looks[-1].step}: count upwards.")
        bare = Look(step, sim, reference, None, None)
        number = len(self._looks)
        # The band has one look more than there are comparisons: the first.
        gap = band(bare.differences(), (1 - self.settings.level) * share(number + 1, self.settings.looks + 1))
        start = self._looks[0].differences() if self._looks else None
        against = None if start is None else growth(start, bare.differences(), self.settings.error(number))
        self._looks.append(dataclasses.replace(bare, gap=gap, growth=against))
        return self._looks[-1]

    def head(self) -> dict[str, Any]:
        """The first line: tasks and settings, but for ``steering``, which changes no number."""
        settings = dataclasses.asdict(self.settings)
        del settings["steering"]
        return {"schema": SCHEMA, "tasks": list(self.tasks), "settings": json.loads(json.dumps(settings))}

    def to_json(self) -> str:
        """Everything, as JSON lines; `from_json` reads it back."""
        return "".join(map(line, (self.head(), *map(look_dict, self._looks))))

    @classmethod
    def from_json(cls, text: str) -> History:
        """What `to_json` wrote; bands and alarms are computed again from the episodes' values.

        Raises:
            UsageError: not a monitor's history: which line.
        """
        number = 0
        history: History | None = None
        for number, content in enumerate(filter(str.strip, text.splitlines()), 1):
            try:
                record = json.loads(content)
                if history is None:
                    _check_schema(record)
                    history = cls(record["tasks"], MonitorSettings(**record["settings"]))
                else:
                    history.add(record["step"], _scores(record["sim"]), _scores(record["reference"]))
            except UsageError:
                raise
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                what = f"{type(error).__name__}: {error}"
                raise UsageError(f"Line {number} is not of a GapMonitor's history ({what}): {content[:60]!r}") from None
        if history is None:
            raise UsageError("A GapMonitor's history has at least one line, with its settings; got none.")
        return history


def line(record: Mapping[str, Any]) -> str:
    """One line of JSON."""
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


def look_dict(look: Look) -> dict[str, Any]:
    """A look as JSON: what was measured, and the numbers made of it for other readers."""
    sides = {name: dataclasses.asdict(side) for name, side in (("sim", look.sim), ("reference", look.reference))}
    return {"step": look.step, **sides, "numbers": look.numbers()}


def _scores(record: Mapping[str, Any]) -> SideScores:
    values = {str(task): tuple(float(x) for x in found) for task, found in record["values"].items()}
    return SideScores(str(record["label"]), values, dict(record["failed"]), dict(record.get("lost", {})))


def _check_schema(record: Mapping[str, Any]) -> None:
    if record["schema"] != SCHEMA:
        raise UsageError(f"This history has schema {record['schema']}; known is {SCHEMA}. pip install -U usersim_env")
