"""Makes the target file that `tune_user` tunes towards: of traces that you have, or of a synthetic persona.

::

    python -m usersim_env.baselines.target_row --tuning people-a.jsonl --held-out people-b.jsonl --out target.json
    python -m usersim_env.baselines.target_row --persona humanlike --out docs/tuning/target.json

Traces bring their terms along: a row of data that may not be trained on is a target that may not be tuned to. With
``--persona`` nobody is asked: a persona of the agenda user plays, and the file says that it is synthetic. The
difficulty of the tasks is then pooled from the shipped personas.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Mapping, Sequence

from usersim_env.agent import Agent
from usersim_env.baselines.registry import make_agent
from usersim_env.domains import get_domain
from usersim_env.errors import UsageError, UsersimError
from usersim_env.gap.usi.calibration import Difficulty, given_difficulty, pooled_difficulty
from usersim_env.gap.usi.files import read_sessions
from usersim_env.gap.usi.likeness_reward import moments_by_task
from usersim_env.gap.usi.sessions import task_key
from usersim_env.gap.usi.target import OVERALL, PARTS, Target, TargetRow, check_target_path, common_terms, write_target
from usersim_env.rollouts import RolloutSettings, rollout
from usersim_env.traces.file import latest, read_traces
from usersim_env.traces.trace import Seat, Trace
from usersim_env.users.agenda import PERSONAS, AgendaUser

TRAIN_TASKS = range(0, 500, 8)  # of retail's train split: tuned on; its whole test split is held out
EPISODES = 5  # per task: of the row, and of each persona that difficulty is pooled from
FIRST_SEED = 500_000  # of these episodes; tune_user plays none of them


def main(argv: Sequence[str] | None = None) -> int:
    """Writes one file; bad input is exit code 2 and one line on standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--persona", choices=sorted(PERSONAS), help="a synthetic user side plays retail with --agent")
    parser.add_argument("--agent", default="clerk", metavar="NAME", help="whom the persona speaks with")
    parser.add_argument("--tuning", metavar="FILE.jsonl", help="traces of the tasks to tune on")
    parser.add_argument("--held-out", metavar="FILE.jsonl", help="traces of other tasks, to judge by")
    parser.add_argument("--difficulty", metavar="FILE", help='success rate by task, {"difficulty": {"retail_0": 0.7}}')
    parser.add_argument("--out", required=True, metavar="FILE.json")
    arguments = parser.parse_args(argv)
    files = (arguments.tuning, arguments.held_out)
    try:
        check_target_path(arguments.out)
        if arguments.persona is not None and files == (None, None):
            target = persona_target(arguments.persona, make_agent(arguments.agent))
        elif arguments.persona is None and None not in files:
            difficulty = given_difficulty(arguments.difficulty) if arguments.difficulty is not None else {}
            tuning, held_out = (latest(read_traces(file)) for file in files)
            target = target_of(tuning, held_out, difficulty)
        else:
            raise UsageError("Give --persona NAME, or both --tuning FILE and --held-out FILE.")
        write_target(target, arguments.out)
    except UsersimError as error:
        print(f"target_row: {error}", file=sys.stderr)
        return 2
    print(f"{arguments.out}: {target.who}. Terms: {target.terms.licence}. Training: {target.terms.training}.")
    return 0


def persona_target(persona: str, agent: Agent) -> Target:
    """The target of a shipped persona, which plays train tasks of retail for tuning and its test tasks to hold out."""
    ids = {split: [task.id for task in get_domain("retail").tasks(split)] for split in ("train", "test")}
    parts = ([ids["train"][i] for i in TRAIN_TASKS], ids["test"])
    sides = [play(name, agent, [*parts[0], *parts[1]], EPISODES) for name in PERSONAS]
    difficulty = pooled_difficulty(read_sessions(side, "llm", "the personas") for side in sides)
    mine = [t for side in sides for t in side if t.user.settings["persona"] == persona]
    tuning, held_out = ([t for t in mine if t.task_id in part] for part in parts)
    return target_of(tuning, held_out, difficulty)


def play(persona: str, agent: Agent, tasks: Sequence[str], episodes: int) -> tuple[Trace, ...]:
    """Episodes of a shipped persona."""
    seeds = range(FIRST_SEED, FIRST_SEED + episodes)
    keywords = {"user": AgendaUser(persona), "survey": False}
    return rollout(agent, "TauRetail-v0", RolloutSettings(tasks, seeds, keywords=keywords, progress=False)).traces


def target_of(tuning: Sequence[Trace], held_out: Sequence[Trace], difficulty: Difficulty | None = None) -> Target:
    """The target that traces make, with their terms.

    Args:
        tuning: episodes of the tasks to tune on.
        held_out: episodes of other tasks.
        difficulty: task key → success rate; without it success is compared overall.

    Raises:
        UsageError: a part has no scored episode with a user turn, a task is in both, or several kinds of user side or
            several agents are among them.
    """
    rows = {name: _row(name, traces, difficulty or {}) for name, traces in zip(PARTS, (tuning, held_out), strict=True)}
    if both := set(rows["tuning"].tasks) & set(rows["held_out"].tasks):
        raise UsageError(f"{sorted(both)[0]} is in both parts; a task is tuned on or held out.")
    everything = [*tuning, *held_out]
    agents = [Seat("agent", t.agent.name, t.agent.settings, t.agent.privileged) for t in everything]
    return Target(
        user=_user([t.user for t in everything]),
        agent=_one("agents", {repr(agent): agent for agent in agents}),
        terms=common_terms([t.terms for t in everything]),
        rows=rows,
    )


def _row(name: str, traces: Sequence[Trace], difficulty: Difficulty) -> TargetRow:
    keys = {task_key(trace.task_id) for trace in traces}
    empty = TargetRow((), {}, difficulty={task: rate for task, rate in difficulty.items() if task in keys})
    if difficulty and not empty.difficulty:
        raise UsageError(f"{name}: none of its tasks has a difficulty, but others have. Give a table of these tasks.")
    moments = moments_by_task(traces, empty)
    features = [m.features for m in moments.values() if m.features is not None]
    if not features:
        raise UsageError(f"{name}: none of {len(traces)} episodes is scored and has a user turn. Give finished ones.")
    bins: dict[str, list[float]] = {OVERALL: [m.success for m in moments.values()]}
    for m in moments.values():
        if m.bin is not None and m.bin != OVERALL:
            bins.setdefault(m.bin, []).append(m.success)
    return TargetRow(
        tasks=tuple(moments),
        features={key: _mean(row[key] for row in features) for key in features[0]},
        success={key: _mean(won) for key, won in sorted(bins.items())},
        difficulty=empty.difficulty,
        episodes=sum(trace.reward is not None for trace in traces),
    )


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return math.fsum(found) / len(found)


def _user(seats: Sequence[Seat]) -> Seat:
    """Who spoke; people are many, and none is named."""
    kinds = {seat.kind for seat in seats}
    if kinds == {"human"}:
        return Seat("human", f"{len({seat.name for seat in seats})} people")
    return _one("user sides", {repr((s.kind, s.name, s.settings)): Seat(s.kind, s.name, s.settings) for s in seats})


def _one(what: str, found: Mapping[str, Seat]) -> Seat:
    if len(found) != 1:
        names = ", ".join(sorted({f"{seat.kind} {seat.name}" for seat in found.values()}))
        raise UsageError(f"The traces are of {len(found)} {what} ({names}); a row is of one. Give one alone.")
    return next(iter(found.values()))


if __name__ == "__main__":
    sys.exit(main())
