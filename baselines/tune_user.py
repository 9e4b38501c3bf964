"""Tunes the numbers of the agenda user's persona until it behaves like a target row, and measures what came of it.

::

    python -m usersim_env.baselines.tune_user --target docs/tuning/target.json --budget 240 --seed 0 1 --out runs/tuning

The learner sits in the user's seat. Its policy has the sixteen numbers of `KNOBS`, its reward is `likeness_reward` on
the target's tuning tasks, and the optimiser is CMA-ES of the package ``cma`` (Hansen; BSD-3-Clause), which sees rewards
alone. Every generation plays new seeds, the same for all its personas: what is common to them is no luck of one. The
result is the mean of the last search distribution, not the best persona seen, which would be the luckiest too.

Then start and result play the target's held-out tasks, with seeds that the search never saw. Needs the extra ``tuning``
(and ``plot`` for the figure).
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import multiprocessing
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from usersim_env.agent import seat_of
from usersim_env.baselines.registry import make_agent
from usersim_env.baselines.tune_user_judging import (
    Found,
    Result,
    history_table,
    judge_all,
    likeness_table,
    persona_table,
    play,
    write_csv,
)
from usersim_env.baselines.tune_user_plot import write_figure
from usersim_env.errors import InstallError, UsageError, UsersimError
from usersim_env.gap.bootstrap import Interval, interval
from usersim_env.gap.usi.likeness_reward import likeness_reward
from usersim_env.gap.usi.target import PARTS, Target, TargetRow, read_target
from usersim_env.traces.trace import Trace
from usersim_env.users.agenda import Persona
from usersim_env.users.agenda.persona import persona_of


class Knob(NamedTuple):
    """A number of the persona that is tuned, and the range that is searched."""

    name: str
    low: float
    high: float
    whole: bool = False


KNOBS = (
    Knob("patience", 1.0, 15.0),
    Knob("disclosure", 0.0, 1.0),
    Knob("verbosity", 0.0, 1.0),
    Knob("polite_share", 0.0, 1.0),
    Knob("short_share", 0.0, 1.0),
    Knob("uncertain_share", 0.0, 0.5),
    Knob("pivot_share", 0.0, 0.5),
    Knob("typos", 0.0, 0.5),
    Knob("slips", 0.0, 0.5),
    Knob("hedging", 0.0, 1.0),
    Knob("attention", 0.0, 1.0),
    Knob("persistence", 0.0, 3.0, whole=True),
    Knob("leaving", 0.0, 1.0),
    Knob("annoyed_by_repeats", 0.0, 3.0),
    Knob("annoyed_by_errors", 0.0, 3.0),
    Knob("annoyed_by_waiting", 0.0, 1.0),
)
"""Not among them: ``leniency`` and ``human_like``, which move the survey alone and so nothing that a row holds, and
``max_turns``, a stop that they were never near."""

INSTALL = 'pip install "usersim_env[tuning,plot]"'
STEP = 0.25  # first standard deviation of the search, in ranges

Vector = NDArray[np.float64]


# -- the search --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Search:
    """One run of the optimiser.

    Attributes:
        budget: personas that are tried.
        agent: whom they speak with, as `make_agent` reads it.
    """

    target: Target
    start: Persona
    agent: str
    budget: int
    seed: int


def search(settings: Search) -> Found:
    """CMA-ES over the unit cube that `to_persona` reads; the same settings give the same result."""
    cma = require_cma()
    row, agent = settings.target.part("tuning"), make_agent(settings.agent)
    draw = np.random.default_rng(settings.seed).standard_normal
    options = {"bounds": [0, 1], "seed": np.nan, "randn": lambda *size: draw(size), "verbose": -9}
    optimiser = cma.CMAEvolutionStrategy(to_vector(settings.start), STEP, options)
    history: list[tuple[int, float, float]] = []
    while (tried := len(history) * optimiser.popsize) + optimiser.popsize <= settings.budget:
        episode_seed = (settings.seed + 1) * 1000 + len(history)
        points = optimiser.ask()
        rewards = [
            reward(play(to_persona(point, settings.start), agent, row.tasks, [episode_seed]), row) for point in points
        ]
        optimiser.tell(points, [-r for r in rewards])
        history.append((tried + len(points), sum(rewards) / len(rewards), max(rewards)))
    if not history:
        raise UsageError(f"--budget {settings.budget} is less than one generation: give {optimiser.popsize} or more.")
    return Found(settings.seed, to_persona(optimiser.result.xfavorite, settings.start), tuple(history))


def require_cma() -> Any:
    """The optimiser's package, or an `InstallError` that says what to type."""
    try:
        import cma
    except ImportError:
        raise InstallError(f"Tuning needs cma, which is not installed. Type: {INSTALL}") from None
    return cma


def to_persona(point: Vector, start: Persona) -> Persona:
    """The persona at a point of the unit cube; what is not tuned stays as in the start."""
    numbers: dict[str, Any] = {}
    for knob, x in zip(KNOBS, point, strict=True):
        value = float(np.clip(knob.low + x * (knob.high - knob.low), knob.low, knob.high))
        numbers[knob.name] = round(value) if knob.whole else value
    return dataclasses.replace(start, **numbers)


def to_vector(persona: Persona) -> Vector:
    """The other way; a number outside its range is put at its end."""
    values = [(getattr(persona, knob.name) - knob.low) / (knob.high - knob.low) for knob in KNOBS]
    return np.clip(np.asarray(values, dtype=np.float64), 0, 1)


def reward(traces: Iterable[Trace], row: TargetRow) -> float:
    """The learner's reward: likeness, 0 to 1."""
    total = likeness_reward(traces, row).total
    if total is None:
        raise UsageError("No episode is scored, or none has what the target has: there is no reward to learn from.")
    return total


# -- the command -------------------------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Tunes, judges and writes; bad input is exit code 2 and one line on standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", required=True, metavar="FILE.json", help="made by baselines.target_row")
    parser.add_argument("--budget", type=int, default=240, metavar="N", help="personas to try (default: 240)")
    parser.add_argument("--seed", type=int, nargs="+", default=[0], metavar="N", help="one search each (default: 0)")
    parser.add_argument("--start", default="cooperative", metavar="NAME", help="a persona (default: cooperative)")
    parser.add_argument("--agent", default="clerk", metavar="NAME", help="the target's agent (default: clerk)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="searches at a time (default: 1)")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="for three tables and the figure")
    arguments = parser.parse_args(argv)
    try:
        run(arguments)
    except UsersimError as error:
        print(f"tune_user: {error}", file=sys.stderr)
        return 2
    return 0


def run(arguments: argparse.Namespace) -> None:
    """The whole thing, terms first."""
    target = read_target(arguments.target)
    start, agent, seeds = persona_of(arguments.start), make_agent(arguments.agent), arguments.seed
    if min(seeds) < 0 or len(set(seeds)) != len(seeds) or arguments.jobs < 1:
        raise UsageError(f"--seed takes different numbers from 0 on, --jobs 1 or more; got {seeds}, {arguments.jobs}.")
    require_cma()
    print(f"Target: {target.who}. Terms: {target.terms.licence}.")
    if (seat := seat_of(agent)) != target.agent:
        print(f"note: the target spoke with another agent ({target.agent.name} {target.agent.settings}), and behaviour "
              f"depends on it; here it is {seat.name} {seat.settings}.", file=sys.stderr)  # fmt: skip
    plans = [Search(target, start, arguments.agent, arguments.budget, seed) for seed in seeds]
    result = judge_all(target, start, agent, list(searched(plans, arguments.jobs)))
    tables = {
        "likeness": likeness_table(result),
        "persona": persona_table(result, [knob.name for knob in KNOBS], agent),
        "history": history_table(result),
    }
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        write_csv(rows, out / f"{name}.csv")
    write_figure(tables, f"Target: {target.who}", out / "tuning.png")
    say(result)


def searched(plans: Sequence[Search], jobs: int) -> Iterable[Found]:
    """The searches in their order, several at a time in processes of their own."""
    if jobs == 1 or len(plans) == 1:
        yield from map(search, plans)
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context) as pool:
        yield from pool.map(search, plans)


def say(result: Result) -> None:
    """The claim, in words."""
    for part in PARTS:
        before = result.judged["start", part].figures["usi5"]
        for name in result.names():
            gain = result.gain(part, [name])
            after = result.judged[name, part].figures["usi5"]
            print(f"{part}, {name}: likeness {before:.1f} → {after:.1f}; {spoken(gain)}")
        gains = [result.gain(part, [name]).estimate for name in result.names()]
        print(f"{part}, mean of {len(gains)} searches: {spoken(result.gain(part, result.names()))}", end="")
        print(f"; over searches {spoken(interval(gains))}" if len(gains) > 1 else "")


def spoken(found: Interval | None) -> str:
    """A gain in points with its interval."""
    if found is None or found.low is None or found.high is None:
        return "no interval"
    return f"gain {100 * found.estimate:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}] over {found.n_tasks}"


if __name__ == "__main__":
    sys.exit(main())
