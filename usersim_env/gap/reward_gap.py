"""The Sim2Real gap: what the same agent gets with two user sides, for the rule reward and for every signal.

The estimand: mean over tasks of the task's difference of means, reference (or real) minus simulated; the tasks are a
sample of possible tasks. A rule reward or signal that is missing is left out, never 0.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from usersim_env.errors import UsageError
from usersim_env.gap.bootstrap import Interval, interval, intervals
from usersim_env.gap.episodes import AnyEpisode, lost, read_episodes
from usersim_env.gap.examples import most_different
from usersim_env.gap.groups import BINS, GroupGap, difficulty_bins, group_gaps
from usersim_env.gap.judgement import judgement
from usersim_env.gap.likeness import likeness
from usersim_env.gap.pairing import Pairing, natural, pair
from usersim_env.gap.pass_k import pass_k
from usersim_env.gap.power import detectable
from usersim_env.gap.profiles import behaviour_row, survey_counts
from usersim_env.gap.result import GapResult, GapSettings, SignalGap, finding
from usersim_env.gap.sign_flip import SignFlip, holm, sign_flip
from usersim_env.gap.task_means import RULE, count_episodes, signal_names, signals_by_task, task_means
from usersim_env.gap.unscored import abandoned_bounds, failure_bounds

Source: TypeAlias = str | os.PathLike[str] | Iterable[AnyEpisode]
"""A file of traces, or traces."""

_ByTask = Mapping[str, Sequence[Mapping[str, float]]]


def compare(sim_traces: Source, reference_traces: Source, settings: GapSettings | None = None) -> GapResult:
    """The gap between two user sides, from the traces of the same agent on the same tasks.

    Args:
        sim_traces: with the simulated user side: traces, or the path of a file of them. Of a file only the numbers
            are kept in memory, so it may be large.
        reference_traces: likewise with people, or with another user side to compare with.
        settings: of the intervals.

    Raises:
        TraceError: a file cannot be read: which, which line, which field.
        UsageError: the traces cannot be compared (see `pair`), one holds an unknown survey answer, or
            ``settings.real`` is set and somebody else than a person sat on the second side.

    Warns:
        ComparisonWarning: agent, task content, scoring version, step limit or opening differ.
    """
    settings = settings if settings is not None else GapSettings()
    mine, others = (_episodes(source, settings) for source in (sim_traces, reference_traces))
    if settings.real:
        _only_people(others)
    pairing = pair(mine, others)
    sim, reference = (signals_by_task(side, pairing.tasks) for side in pairing.sides)
    gaps, missing = _gaps(pairing, sim, reference, settings)
    bins, domains = _parts(pairing, (task_means(sim, (RULE,))[:, 0], task_means(reference, (RULE,))[:, 0]), settings)
    return GapResult(
        pairing=pairing,
        gaps=gaps,
        success=(_success(sim, settings), _success(reference, settings)),
        abandoned=abandoned_bounds(pairing, settings.gap_interval),
        failures=failure_bounds(pairing, settings.gap_interval),
        behaviour=(behaviour_row(pairing.sim, pairing.tasks), behaviour_row(pairing.reference, pairing.tasks)),
        survey=survey_counts(pairing.sim, pairing.reference, pairing.tasks),
        pass_k=pass_k(sim, reference, settings.rate_interval, settings.gap_interval),
        bins=bins,
        domains=domains,
        judgement=(judgement(pairing.sim, pairing.tasks), judgement(pairing.reference, pairing.tasks)),
        missing=missing,
        examples=most_different(pairing),
        settings=settings,
        usi=likeness(pairing, settings.difficulty) if settings.usi else None,
    )


def _episodes(source: Source, settings: GapSettings) -> tuple[AnyEpisode, ...]:
    found: Iterable[AnyEpisode] = read_episodes(source) if isinstance(source, str | os.PathLike) else source
    if settings.agent_failures == "unscored":
        return tuple(found)
    return tuple(lost(episode) if _agent_failed(episode) else episode for episode in found)


def _agent_failed(episode: AnyEpisode) -> bool:
    return not episode.valid and episode.failure is not None and episode.failure.side == "agent"


def _only_people(traces: Sequence[AnyEpisode]) -> None:
    others = sorted({trace.user.kind for trace in traces if not trace.human})
    if others:
        count = sum(not trace.human for trace in traces)
        raise UsageError(
            f"{count} of {len(traces)} episodes of the real side are of kind {', '.join(others)}; only kind human is "
            "real. Compare with them as --reference."
        )


def _gaps(
    pairing: Pairing, sim: _ByTask, reference: _ByTask, settings: GapSettings
) -> tuple[tuple[SignalGap, ...], tuple[str, ...]]:
    names = signal_names((sim, reference))
    means = task_means(sim, names), task_means(reference, names)
    differences = means[1] - means[0]
    tests = _tests(differences, settings)
    gaps, missing = [], []
    for column, gap in enumerate(intervals(differences, settings.gap_interval)):
        name, test = names[column], tests[column]
        n_sim, n_reference = count_episodes(sim, name), count_episodes(reference, name)
        if gap is None:
            where = f"{n_sim} {pairing.sim.label} and {n_reference} {pairing.reference.label} episodes have it"
            missing.append(f"{name}: no task has it on both sides ({where})")
            continue
        rows = ~np.isnan(differences[:, column])
        a, b = (float(side[rows, column].mean()) for side in means)
        words = finding(gap, pairing, test.p_holm if test else None, settings.level)
        power = detectable(gap, settings.level)
        gaps.append(SignalGap(name, a, b, gap, n_sim, n_reference, words, test, power))
    return tuple(gaps), tuple(missing)


def _tests(differences: NDArray[np.float64], settings: GapSettings) -> list[SignFlip | None]:
    plain = sign_flip(differences, settings.replicates, settings.seed)
    return [test and replace(test, p_holm=p) for test, p in zip(plain, holm(plain), strict=True)]


def _parts(
    pairing: Pairing, means: tuple[NDArray[np.float64], NDArray[np.float64]], settings: GapSettings
) -> tuple[tuple[GroupGap, ...], tuple[GroupGap, ...]]:
    """The rule reward's gap per difficulty bin and per domain."""
    bins = difficulty_bins(pairing.tasks, (means[0] + means[1]) / 2, settings.difficulty)
    domains = {task: pairing.sim.scored[task][0].domain for task in pairing.tasks}
    how = settings.rate_interval, settings.gap_interval
    return group_gaps(bins, means, BINS, how), group_gaps(domains, means, natural(set(domains.values())), how)


def _success(by_task: _ByTask, settings: GapSettings) -> Interval:
    found = interval(task_means(by_task, (RULE,)), settings.rate_interval)
    assert found is not None  # every paired task has a rule reward
    return found
