"""`best_of_n`: of n episodes of a task, take the one that a signal ranks first; what that choice gains, exactly.

Best of n is the plainest use of a reward. No training is in it, so it shows what a signal itself prefers: in success,
in the survey, in turns and words. The expectation over all choices of n out of the episodes at hand is computed, not
drawn; of equals each is as likely.

::

    python -m usersim_env.baselines.best_of_n --by survey.overall_score               # episodes of its own
    python -m usersim_env.baselines.best_of_n --by rule+0.5*survey.mean --traces runs/mine.jsonl
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from usersim_env.baselines.command import run_script
from usersim_env.baselines.registry import make_agent
from usersim_env.errors import UsageError, unknown
from usersim_env.feedback.groups import drop_invalid
from usersim_env.gap.bootstrap import BootstrapSettings, Interval, interval
from usersim_env.gap.sides import describe_agent, describe_user
from usersim_env.gap.task_means import signals_of
from usersim_env.gap.wording import span
from usersim_env.registration import env_id
from usersim_env.rollouts import RolloutSettings, rollout, select_tasks
from usersim_env.traces.file import iter_traces, latest
from usersim_env.traces.trace import Trace
from usersim_env.wrappers.feedback_reward import SIGNALS

Group = Sequence[Trace]
"""Scored episodes of one task with one user side."""

OUTCOMES: Mapping[str, Callable[[Trace], float | None]] = {
    "success": lambda trace: trace.reward,
    "survey mean": lambda trace: signals_of(trace).get("survey.mean"),
    "agent turns": lambda trace: trace.effort.agent_turns,
    "agent words": lambda trace: trace.effort.agent_words,
    "tool errors": lambda trace: trace.effort.tool_errors,
}
"""What is measured of the episode that was chosen; ``None`` where it is missing."""

_EQUAL = 1e-9  # sums of weighted signals that differ by less are equal up to rounding


def parse_mixture(text: str) -> dict[str, float]:
    """``survey.mean`` or ``rule+0.5*survey.mean`` as signal → weight.

    Raises:
        UnknownName: no such signal.
        UsageError: a weight that is no finite number, or a signal twice.
    """
    weights: dict[str, float] = {}
    for part in text.split("+"):
        number, star, name = (piece.strip() for piece in part.rpartition("*"))
        if name not in SIGNALS:
            raise unknown("signal", name, SIGNALS, "Mixtures are written rule+0.5*survey.mean.")
        try:
            weight = float(number) if star else 1.0
        except ValueError:
            weight = math.nan
        if not math.isfinite(weight) or name in weights:
            raise UsageError(f"A mixture is written rule+0.5*survey.mean, each signal once; got {text!r}.")
        weights[name] = weight
    return weights


def group_up(traces: Iterable[Trace], n: int | None = None) -> list[list[Trace]]:
    """Episodes of the same task with the same user side, the first ``n`` scored of each; smaller groups are left out.

    Raises:
        UsageError: no group is left.
    """
    by: dict[tuple[str, str, str], list[Trace]] = {}
    for trace in traces:
        by.setdefault((trace.task_id, trace.task_hash, describe_user(trace.user)), []).append(trace)
    groups = [group[:n] for group in drop_invalid(by.values(), at_least=n if n is not None else 2)]
    if not groups:
        largest = max((sum(t.valid for t in group) for group in by.values()), default=0)
        raise UsageError(
            f"No task has {n or 2} scored episodes with one user side (at most {largest}). Run some more: usersim-env "
            "rollout … --episodes 8."
        )
    return groups


def values_of(group: Group, weights: Mapping[str, float]) -> list[float] | None:
    """The weighted sum of each episode; ``None`` if any episode lacks a signal of it."""
    signals = [signals_of(trace) for trace in group]
    if any(name not in found for found in signals for name in weights):
        return None
    return [sum(weight * found[name] for name, weight in weights.items()) for found in signals]


def expected(values: Sequence[float], outcomes: Sequence[float], n: int) -> float:
    """Mean outcome of the best by value of n, over all choices of n; equals share the choice.

    Args:
        values: what the episodes are ranked by.
        outcomes: what is measured of the one that is chosen.
        n: from 1 to their number.
    """
    if not 1 <= n <= len(values):
        raise UsageError(f"n is from 1 to the number of episodes, {len(values)}; got {n}.")
    order = sorted(range(len(values)), key=values.__getitem__)
    total, below = 0.0, 0
    while below < len(order):
        level = [i for i in order[below:] if values[i] <= values[order[below]] + _EQUAL]
        up_to = below + len(level)
        chance = (math.comb(up_to, n) - math.comb(below, n)) / math.comb(len(order), n)
        total += chance * math.fsum(outcomes[i] for i in level) / len(level)
        below = up_to
    return total


def over_tasks(pairs: Iterable[tuple[str, float]], settings: BootstrapSettings | None = None) -> Interval | None:
    """Mean over tasks of (task, number) pairs with its interval; ``None`` without any."""
    by: dict[str, list[float]] = {}
    for task, number in pairs:
        by.setdefault(task, []).append(number)
    return interval([math.fsum(found) / len(found) for found in by.values()], settings)


_SHARE, _COUNT = BootstrapSettings(bounds=(0, 1)), BootstrapSettings(bounds=(0, math.inf))


def outcome_curve(
    groups: Sequence[Group], weights: Mapping[str, float], outcome: str, sizes: Sequence[int]
) -> list[Interval | None]:
    """One outcome of the best of n, for each n: mean over tasks with interval."""
    measure = OUTCOMES[outcome]
    ready = []
    for group in groups:
        values, found = values_of(group, weights), [measure(trace) for trace in group]
        there = [x for x in found if x is not None]
        if values is not None and len(there) == len(found):
            ready.append((group[0].task_id, values, there))
    bounds = _SHARE if outcome in ("success", "survey mean") else _COUNT
    return [over_tasks(((task, expected(v, o, n)) for task, v, o in ready), bounds) for n in sizes]


# The command ---------------------------------------------------------------------------------------------------------


def add_source(parser: argparse.ArgumentParser) -> None:
    """Options that say which episodes are ranked."""
    parser.add_argument("--traces", nargs="+", metavar="FILE", help="episodes of your own; else some are run")
    parser.add_argument("--n", type=int, default=8, metavar="N", help="episodes per task (default: 8)")
    parser.add_argument("--agent", default="clerk", metavar="NAME", help="that is run (default: clerk)")
    parser.add_argument("--persona", default="humanlike", metavar="NAME", help="of the agenda user that is run")
    parser.add_argument("--tasks", default="all", metavar="LIST", help="of retail's test tasks (default: all)")


def load(given: argparse.Namespace) -> list[list[Trace]]:
    """The groups that the options name; says who sat where.

    Raises:
        UsageError: fewer than two episodes a task, or no group that large.
    """
    if given.n < 2:
        raise UsageError(f"--n is at least 2, got {given.n}: there is no choice in one episode.")
    if given.traces:
        traces = list(latest(trace for path in given.traces for trace in iter_traces(path)))
    else:
        tasks = select_tasks("retail", "test", given.tasks)
        settings = RolloutSettings(tasks, range(given.n), keywords={"persona": given.persona})
        traces = list(rollout(make_agent(given.agent), env_id("retail", "agenda"), settings).traces)
    groups = group_up(traces, given.n)
    used = [trace for group in groups for trace in group]
    for what, names in (
        ("Agents", {describe_agent(trace.agent) for trace in used}),
        ("User sides", {describe_user(trace.user) for trace in used}),
    ):
        print(f"{what}: {'; '.join(sorted(names))}")
    print(f"{len(groups)} groups of {given.n} episodes; {len(traces) - len(used)} of {len(traces)} episodes left out")
    return groups


def main(arguments: Sequence[str] | None = None) -> None:
    """``python -m usersim_env.baselines.best_of_n``."""
    parser = argparse.ArgumentParser(prog="best_of_n", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--by", default="rule", metavar="SIGNALS", help="a signal, or rule+0.5*survey.mean")
    add_source(parser)
    given = parser.parse_args(arguments)
    weights = parse_mixture(given.by)
    groups = load(given)
    sizes = [n for n in (1, 2, 4, 8, 16, 32, 64) if n < given.n] + [given.n]
    table = Table("best of", *OUTCOMES, box=SIMPLE_HEAD, title=f"chosen by {given.by}; mean over tasks, 95 % interval")
    columns = [outcome_curve(groups, weights, outcome, sizes) for outcome in OUTCOMES]
    for at, n in enumerate(sizes):
        table.add_row(str(n), *(cell(column[at]) for column in columns))
    Console().print(table)


def cell(found: Interval | None, sign: bool = False) -> str:
    """An estimate with its interval; a dash where no episode has it."""
    return "—" if found is None else f"{found.estimate:{'+' if sign else ''}.3f} {span(found, sign=sign)}"


if __name__ == "__main__":
    run_script(main)
