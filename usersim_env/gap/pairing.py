"""Pairs two lists of traces by task, after checking that they can be compared."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from usersim_env.errors import UsageError
from usersim_env.gap.episodes import AnyEpisode
from usersim_env.gap.sides import Role, Side, Words, describe_agent, describe_user, is_abandoned, kept
from usersim_env.rollouts import LOUD

UNKNOWN = "unknown"
"""Name of an agent that nobody has named."""


class ComparisonWarning(UserWarning):
    """Two sides differ in more than the user side."""


@dataclass(frozen=True)
class Check:
    """One thing that both sides should share: what each has, in words, and the warning if they differ."""

    name: str
    sim: str
    reference: str
    warning: str = ""

    @property
    def same(self) -> bool:
        """Whether nothing speaks against the comparison here."""
        return not self.warning


@dataclass(frozen=True)
class Pairing:
    """Two sides and the tasks on which they meet.

    Attributes:
        sim, reference: the sides, with all their episodes.
        tasks: tasks with a scored episode on both sides, in natural order; at least two.
        only_sim, only_reference: tasks that one side alone has.
        unscored: tasks that both sides have, of which one has no scored episode.
        checks: what was compared first.
        warnings: what a reader has to know before believing a number.
    """

    sim: Side
    reference: Side
    tasks: tuple[str, ...]
    only_sim: tuple[str, ...]
    only_reference: tuple[str, ...]
    unscored: tuple[str, ...]
    checks: tuple[Check, ...]
    warnings: tuple[str, ...]

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both, the simulated one first."""
        return self.sim, self.reference

    @property
    def gap_words(self) -> str:
        """``reference − simulated``, or ``real − simulated`` where people sat on the other side."""
        return f"{self.reference.gap_word} − {self.sim.gap_word}"


def pair(sim_traces: Iterable[AnyEpisode], reference_traces: Iterable[AnyEpisode]) -> Pairing:
    """Pairs by task id; any number of episodes per task and side.

    Episodes that an imported human study marked ``keep: false`` are left out and counted (`Side.left_out`).

    Args:
        sim_traces: the simulated user side's episodes.
        reference_traces: people's, or another user side's to compare with.

    Raises:
        UsageError: a side is empty, repeats an episode or has none that is scored; fewer than two tasks are shared.

    Warns:
        ComparisonWarning: once for each thing that differs; also kept in the result.
    """
    sim = _side("sim", tuple(sim_traces))
    others = tuple(reference_traces)
    reference = _side("real" if others and all(trace.human for trace in others) else "reference", others)
    for side in (sim, reference):
        _check_side(side)
    mine, theirs = ({trace.task_id for trace in side.traces if known_task(trace)} for side in (sim, reference))
    shared = natural(mine & theirs)
    tasks = tuple(task for task in shared if task in sim.scored and task in reference.scored)
    _check_overlap(sim, reference, shared, tasks)
    checks = tuple(_compare(sim, reference, set(shared)))
    found = [check.warning for check in checks if check.warning] + list(_odd(sim, reference))
    for text in found:
        warnings.warn(text, ComparisonWarning, stacklevel=3)
    unscored = tuple(task for task in shared if task not in tasks)
    return Pairing(
        sim, reference, tasks, natural(mine - theirs), natural(theirs - mine), unscored, checks, tuple(found)
    )


def known_task(trace: AnyEpisode) -> bool:
    """Whether a trace says which task it is of; one of another producer may have just a number."""
    return bool(trace.domain or trace.task_hash)


def natural(names: Iterable[str]) -> tuple[str, ...]:
    """Names in an order in which 9 comes before 10."""

    def key(name: str) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]

    return tuple(sorted(names, key=key))


def few(names: Sequence[str], most: int = 3) -> str:
    """The first names of a list, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def _side(role: Role, traces: tuple[AnyEpisode, ...]) -> Side:
    counted = tuple(trace for trace in traces if kept(trace))
    return Side(role, counted, len(traces) - len(counted))


def _check_side(side: Side) -> None:
    if not side.traces and side.left_out:
        raise UsageError(
            f"All {side.left_out} episodes of the {side.role} side are marked keep: false by the study that recorded "
            "them, so none counts. Import the episodes that the study kept."
        )
    if not side.traces:
        raise UsageError(
            f"The {side.role} side has no episodes. Record some with: usersim-env rollout … --out FILE.jsonl"
        )
    counts = Counter(trace.id for trace in side.traces)
    twice = [episode for episode, n in counts.items() if n > 1]
    if twice:
        raise UsageError(
            f"{len(twice)} episode id(s) occur more than once on the {side.role} side ({few(twice)}). Each episode "
            "counts once: remove repeated lines, or files given twice; more episodes need other seeds."
        )
    if not side.scored:
        kinds = ", ".join(f"{c.fault}/{c.kind} {c.n}" for c in side.failures)
        raise UsageError(
            f"None of the {len(side.traces)} episodes of the {side.role} side is scored ({kinds}). A failure is not "
            "a reward of 0, so nothing can be compared. Find the cause in the traces' failure field and roll out again."
        )


def _check_overlap(sim: Side, reference: Side, shared: Sequence[str], tasks: Sequence[str]) -> None:
    unknown = sum(not known_task(trace) for side in (sim, reference) for trace in side.traces)
    if not shared and unknown:
        raise UsageError(
            f"No task is on both sides: {unknown} episodes name neither a domain nor a task, so nobody can tell "
            "whether they are of the same tasks. If you know the domain, import them again with --domain."
        )
    if not shared:
        mine, theirs = (natural({trace.task_id for trace in side.traces}) for side in (sim, reference))
        raise UsageError(
            f"No task is on both sides: {sim.role} has {few(mine)}; {reference.role} has {few(theirs)}. "
            "Roll both out with the same --env and --tasks."
        )
    if not tasks:
        raise UsageError(
            f"{len(shared)} task(s) are on both sides ({few(shared)}), but none has a scored episode on both. "
            "Roll the failed episodes out again."
        )
    if len(tasks) == 1:
        raise UsageError(
            f"Only one task is scored on both sides ({tasks[0]}). Tasks are the sample, so an interval needs at least "
            "two, better twenty. Roll out more, for example with --tasks 0-19."
        )


def _compare(sim: Side, reference: Side, shared: set[str]) -> Iterable[Check]:
    agents = Words(describe_agent)
    wanted: tuple[tuple[str, Callable[[AnyEpisode], str]], ...] = (
        ("agent", lambda trace: agents(trace.agent)),
        ("scoring version", lambda trace: trace.scoring or "unknown"),
        ("max_steps", lambda trace: str(trace.max_steps)),
        ("who opens", lambda trace: "the agent" if trace.lazy_open else "the user side"),
    )
    for name, of in wanted:
        mine, theirs = (
            natural({of(trace) for trace in side.traces if trace.task_id in shared}) for side in (sim, reference)
        )
        words = [few(values, 5) for values in (mine, theirs)]
        warning = ""
        if name == "agent" and any(trace.agent.name == UNKNOWN for side in (sim, reference) for trace in side.traces):
            warning = (
                f"The agent could not be checked: {sim.role} has {words[0]}; {reference.role} has {words[1]}. A file "
                "that does not say who the agent was can be imported with --agent NAME."
            )
        elif mine != theirs:
            warning = (
                f"Not the same {name}: {sim.role} has {words[0]}; {reference.role} has {words[1]}. "
                "The gap below mixes this difference with that of the user sides."
            )
        elif len(mine) > 1:
            warning = f"Both sides pool several values of {name}: {words[0]}. Compare them one by one."
        yield Check(name, words[0], words[1], warning)
    yield _task_content(sim, reference, shared)


def _task_content(sim: Side, reference: Side, shared: set[str]) -> Check:
    hashes: dict[str, set[str]] = {}
    for side in (sim, reference):
        for trace in side.traces:
            if trace.task_id in shared:
                hashes.setdefault(trace.task_id, set()).add(trace.task_hash)
    changed = natural(task for task, found in hashes.items() if len(found) > 1)
    words = f"{len(shared)} task{'s' * (len(shared) != 1)}"
    if not changed:
        return Check("task content", words, words)
    warning = (
        f"Not the same task content: {len(changed)} of {len(shared)} tasks have different hashes ({few(changed)}). "
        "The two sides did not play the same tasks; record them with the same version of the domain."
    )
    return Check("task content", words, f"{len(changed)} of them differ", warning)


def _odd(sim: Side, reference: Side) -> Iterable[str]:
    for side in (sim, reference):
        lost = (trace for trace in side.traces if not trace.valid and not is_abandoned(trace))
        failed = sum(trace.ended_by == "failure" for trace in lost)
        if failed > LOUD * len(side.traces):
            yield (
                f"{failed} of {len(side.traces)} episodes of the {side.role} side ({failed / len(side.traces):.0%}) "
                "have failed and are not scored. An agent can gain by that: see what the success would be with them as "
                "0 and as 1, below the tables."
            )
    for side in (sim, reference):
        unknown = sum(not known_task(trace) for trace in side.traces)
        if unknown:
            yield (
                f"{unknown} episodes of the {side.role} side name neither a domain nor a task and are not compared; if "
                "you know the domain, import them again with --domain."
            )
    people = sum(trace.human for trace in sim.traces)
    if people:
        yield (
            f"{people} of {len(sim.traces)} episodes of the sim side have a person in the user's seat: they are not "
            "simulated. Were the two sides swapped?"
        )
    for side in (sim, reference):
        users = Words(describe_user)
        pooled = {users(trace.user) for trace in side.traces if not trace.human}
        if len(pooled) > 1:
            yield (
                f"The {side.role} side pools {len(pooled)} user sides: {few(natural(pooled))}. Its figures are those "
                "of the mixture. One file for each keeps them apart."
            )
    both = {trace.id for trace in sim.traces} & {trace.id for trace in reference.traces}
    if both:
        unnamed = any(trace.agent.name == "unnamed" for trace in sim.traces)
        hint = " If these are two agents, name them: gym.make(…, agent='my-policy')." if unnamed else ""
        yield f"{len(both)} episode(s) are on both sides: those are compared with themselves.{hint}"
