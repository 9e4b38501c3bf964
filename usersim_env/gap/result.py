"""What a comparison found: everything that tables, plots and the page are made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from usersim_env.errors import UsageError
from usersim_env.gap.bootstrap import DEGENERATE, BootstrapSettings, Interval
from usersim_env.gap.examples import Example
from usersim_env.gap.groups import GroupGap
from usersim_env.gap.judgement import Judgement
from usersim_env.gap.likeness import Likeness
from usersim_env.gap.numbers import bounds_dict, judgement_dict, pairing_dict, side_dict
from usersim_env.gap.pairing import Pairing
from usersim_env.gap.pass_k import PassK
from usersim_env.gap.power import Detectable
from usersim_env.gap.profiles import BehaviourRow, SurveyCounts
from usersim_env.gap.sign_flip import SignFlip
from usersim_env.gap.unscored import UnscoredBounds
from usersim_env.visible import html_table

NO_EVIDENCE = "no evidence of a gap"
"""Said where 0 is inside the interval. It is not the same as no gap."""

NOT_CORRECTED = ", not after Holm"
"""Added to a finding that does not stand up to Holm's correction for the number of signals."""

FEW = 20
"""Tasks below which a report says that its intervals are rough."""


@dataclass(frozen=True)
class GapSettings:
    """How a comparison is made.

    Attributes:
        seed: of the bootstrap and of the sign flips; equal seeds give equal intervals and p-values.
        replicates: redrawn sets of tasks, and drawn sign flips.
        level: coverage that the intervals aim at.
        real: refuse a second side that does not consist of people's episodes only.
        difficulty: task → mean success from elsewhere, for the difficulty bins; else success is pooled over both sides.
        usi: compute the User-Sim Index of the simulated side against the second.
        agent_failures: what an episode counts that failed on the agent's side: ``unscored``, or ``zero``, as for an
            agent that must not gain by failing.
    """

    seed: int = 0
    replicates: int = 10_000
    level: float = 0.95
    real: bool = False
    difficulty: Mapping[str, float] | None = None
    usi: bool = False
    agent_failures: Literal["unscored", "zero"] = "unscored"

    def __post_init__(self) -> None:
        if self.agent_failures not in ("unscored", "zero"):
            raise UsageError(f"agent_failures is 'unscored' or 'zero', got {self.agent_failures!r}.")

    @property
    def gap_interval(self) -> BootstrapSettings:
        """For differences of numbers in [0, 1]."""
        return BootstrapSettings(self.replicates, self.level, self.seed)

    @property
    def rate_interval(self) -> BootstrapSettings:
        """For means of numbers in [0, 1]."""
        return BootstrapSettings(self.replicates, self.level, self.seed, (0.0, 1.0))


@dataclass(frozen=True)
class SignalGap:
    """One signal's gap over the tasks that have it on both sides.

    Attributes:
        signal: its name; ``rule`` is the rule reward.
        sim, reference: means over those tasks of the task's mean.
        gap: reference minus simulated.
        n_sim, n_reference: episodes that have the signal.
        finding: in words.
        test: of "no gap", with its p-value corrected for the number of signals; ``None`` for a single task.
        detectable: the smallest gap that these tasks would probably have shown.
    """

    signal: str
    sim: float
    reference: float
    gap: Interval
    n_sim: int
    n_reference: int
    finding: str
    test: SignFlip | None
    detectable: Detectable

    @property
    def stands(self) -> bool:
        """Whether 0 is outside the interval, and Holm's correction does not take that back."""
        return not self.gap.covers_zero and not self.finding.endswith(NOT_CORRECTED)

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, repr=False)
class GapResult:
    """Everything that a report says.

    Attributes:
        pairing: what was compared, with its warnings.
        gaps: the rule reward first.
        success: mean success per side with its interval, over the paired tasks; simulated side first.
        abandoned: how far people who walked off could move the rule reward's gap.
        failures: how far all failed episodes could, whoever failed.
        behaviour: feature means per side, simulated side first.
        survey: answers per question.
        pass_k: the chance of k successes in k episodes, for both sides.
        bins: the rule reward's gap per difficulty bin, hardest first.
        domains: likewise per domain.
        judgement: rule reward against the user side's judgement, simulated side first.
        missing: signals that could not be compared, each with the reason.
        examples: the most different pairs of conversations that may be shown, one per task.
        settings: how it was made.
        usi: the User-Sim Index against the second side, if the settings ask for it.
    """

    pairing: Pairing
    gaps: tuple[SignalGap, ...]
    success: tuple[Interval, Interval]
    abandoned: UnscoredBounds
    failures: UnscoredBounds
    behaviour: tuple[BehaviourRow, BehaviourRow]
    survey: tuple[SurveyCounts, ...]
    pass_k: tuple[PassK, ...]
    bins: tuple[GroupGap, ...]
    domains: tuple[GroupGap, ...]
    judgement: tuple[Judgement, Judgement]
    missing: tuple[str, ...] = ()
    examples: tuple[Example, ...] = field(default=(), repr=False)
    settings: GapSettings = field(default_factory=GapSettings)
    usi: Likeness | None = None

    def __repr__(self) -> str:
        gap, sides = self.rule.gap, self.pairing.sides
        counts = " and ".join(f"{side.n_scored} {side.label}" for side in sides)
        numbers = f"{gap.estimate:+.3f}" + ("" if gap.low is None else f" [{gap.low:+.3f}, {gap.high:+.3f}]")
        return f"<GapResult: {len(self.pairing.tasks)} tasks, {counts} episodes, rule reward {numbers}>"

    def _repr_html_(self) -> str:
        """The gaps as a table, for notebooks; `write_report` makes the page."""
        labels = [side.label for side in self.pairing.sides]
        rows = []
        for row in self.gaps:
            span = "" if row.gap.low is None else f"[{row.gap.low:+.3f}, {row.gap.high:+.3f}]"
            rows.append((row.signal, f"{row.sim:.3f}", f"{row.reference:.3f}", f"{row.gap.estimate:+.3f}", span))
        return html_table(repr(self).strip("<>"), ("signal", *labels, "gap", "interval"), rows)

    @property
    def rule(self) -> SignalGap:
        """The rule reward's gap."""
        return self.gaps[0]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader has to know before believing a number."""
        return self.pairing.warnings

    @property
    def estimand(self) -> str:
        """What is estimated, in words."""
        return (
            f"Mean over tasks of the task's difference of means ({self.pairing.gap_words}); "
            "the tasks are a sample of possible tasks."
        )

    @property
    def cautions(self) -> tuple[str, ...]:
        """Sentences that belong to every report: who was a program, and which agents knew the answers."""
        found = []
        sim, reference = self.pairing.sides
        if reference.role != "real":
            if sim.synthetic and reference.synthetic:
                found.append("Both user sides are synthetic: no person took part, so this is not a Sim2Real gap.")
            else:
                found.append("Not every episode of the reference side is a person's: it is no human baseline.")
        agents = sorted({*sim.privileged_agents, *reference.privileged_agents})
        if agents:
            found.append(f"Privileged agent: {', '.join(agents)} looks the expected calls of the task up.")
        if len(self.domains) > 1:
            found.append(f"Tasks of {len(self.domains)} domains are pooled: read the gap per domain as well.")
        if len(self.pairing.tasks) < FEW:
            found.append(f"{len(self.pairing.tasks)} tasks are few: below {FEW} the intervals are rough.")
        return tuple(found)

    def gap(self, signal: str) -> SignalGap:
        """The gap of one signal; `KeyError` if it was not compared."""
        return {row.signal: row for row in self.gaps}[signal]

    def as_dict(self) -> dict[str, Any]:
        """Every number as JSON values; ``null`` is missing, and there is no NaN."""
        return {
            "estimand": self.estimand,
            "gap_is": self.pairing.gap_words,
            "cautions": list(self.cautions),
            "warnings": list(self.warnings),
            "settings": dataclasses.asdict(self.settings),
            "sides": {
                name: side_dict(side, success)
                for name, side, success in zip(("sim", "reference"), self.pairing.sides, self.success, strict=True)
            },
            "tasks": pairing_dict(self.pairing),
            "gaps": {row.signal: row.as_dict() for row in self.gaps},
            "not_compared": list(self.missing),
            "abandoned": bounds_dict(self.abandoned),
            "failures": bounds_dict(self.failures),
            "behaviour": {
                name: {"n": row.n, **row.values} for name, row in zip(("sim", "reference"), self.behaviour, strict=True)
            },
            "pass_k": {str(row.k): dataclasses.asdict(row) for row in self.pass_k},
            "difficulty_bins": {row.name: dataclasses.asdict(row) for row in self.bins},
            "domains": {row.name: dataclasses.asdict(row) for row in self.domains},
            "judgement": {
                name: judgement_dict(side) for name, side in zip(("sim", "reference"), self.judgement, strict=True)
            },
            "survey": {c.field: {"sim": dict(c.sim), "reference": dict(c.reference)} for c in self.survey},
            **({} if self.usi is None else {"usi": self.usi.as_dict()}),
        }


def finding(gap: Interval, pairing: Pairing, p_holm: float | None = None, level: float = 0.95) -> str:
    """What the interval of a gap says, in words, and whether it stands up to correction for the number of signals."""
    if gap.low is None:
        return "one task only: no interval"
    if gap.word == DEGENERATE:
        if gap.covers_zero:
            return f"{NO_EVIDENCE} (degenerate: both sides are equal on every task)"
        return "degenerate: every task differs by the same amount"
    if gap.covers_zero:
        return NO_EVIDENCE
    weak = p_holm is not None and p_holm > 1 - level
    return f"{(pairing.reference if gap.estimate > 0 else pairing.sim).label} higher{NOT_CORRECTED if weak else ''}"
