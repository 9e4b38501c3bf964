"""Times and sizes of the engine beside upstream's own, in one process: what ``usersim-env bench`` prints.

Every time is the best of several rounds, taken task by task where tasks differ, so a busy machine spoils little; as
in `timeit`, garbage is not collected meanwhile. Both engines play the expected calls of the domain's test tasks;
upstream's user is stubbed, ours is scripted.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import gymnasium as gym

from usersim_env.domains import Domain, Task, World, get_domain
from usersim_env.domains.canonical import copied
from usersim_env.domains.upstream_engine import UpstreamEngine
from usersim_env.errors import InstallError, UsageError
from usersim_env.feedback import scoring
from usersim_env.users.scripted import ScriptedUser

DOMAINS = ("retail", "airline")
ROUNDS = 5
SPEAK = {"name": "respond", "arguments": {"content": "One moment, please."}}


def run(domains: Iterable[str] = DOMAINS, progress: Callable[[str], None] = lambda what: None) -> dict[str, Any]:
    """Measures the domains.

    Args:
        domains: ``retail``, ``airline``.
        progress: is told what is being measured.

    Returns:
        Domain → ``reset_us`` (a world), ``make_reset_us`` (seeded, through ``gym.make``), ``call_us`` (mean over all
        expected calls), ``verdict_us`` (mean over the tasks), ``verdict_worst_us``, ``tool_steps_per_s``,
        ``respond_steps_per_s``, ``kb_per_env``; the same of ``upstream``; and ``ratio``: of ``call`` ours / theirs, of
        all others theirs / ours. Where upstream's engine cannot be imported, ``upstream`` is ``{"left_out": why}``
        and ``ratio`` is empty. Times are microseconds, sizes are kilobytes of 1000 bytes.
    """
    found = {}
    for name in domains:
        with _uncollected():
            progress(f"{name}: our engine")
            ours = _ours(get_domain(name))
            progress(f"{name}: upstream's engine")
            theirs = _theirs(get_domain(name))
        ratio = {} if "left_out" in theirs else _ratios(ours, theirs)
        found[name] = ours | {"upstream": theirs, "ratio": ratio}
    return found


def as_text(result: Mapping[str, Any]) -> str:
    """The figures as a table to read: ours, upstream's and their ratio."""
    lines = []
    for domain, ours in result.items():
        theirs, ratio = ours["upstream"], ours["ratio"]
        lines.append(f"{domain:<20}{'ours':>12}{'upstream':>14}{'ratio':>10}")
        for name in [name for name in ours if name not in ("upstream", "ratio")]:
            other = theirs.get(name.replace("make_", "").replace("_worst", ""))
            factor = ratio.get(name.removesuffix("_us"))
            cells = f"{other:>14,.1f}" if isinstance(other, float) else f"{'':>14}"
            cells += f"{factor:>9,.1f}x" if factor is not None else ""
            lines.append(f"  {name:<18}{ours[name]:>12,.1f}{cells}".rstrip())
        lines += [f"  {theirs['left_out']}"] if "left_out" in theirs else []
    return "\n".join([*lines, "(ratio: theirs / ours; of call ours / theirs)"])


@contextmanager
def _uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _ours(domain: Domain) -> dict[str, float]:
    verdicts = _verdicts(domain)
    return {
        "reset_us": _best(lambda: World(domain), 1000),
        "make_reset_us": _make_reset(domain),
        "call_us": _per_call(partial(_calls, domain)),
        "verdict_us": sum(verdicts) / len(verdicts),
        "verdict_worst_us": max(verdicts),
        "tool_steps_per_s": max(_tool_steps(domain) for _ in range(ROUNDS)),
        "respond_steps_per_s": max(_respond_steps(domain) for _ in range(ROUNDS)),
        "kb_per_env": _in_fresh_process("memory_of_ours", domain.name),
    }


def _theirs(domain: Domain) -> dict[str, Any]:
    try:
        engine = UpstreamEngine(domain.name)
        env = engine.make()
    except UsageError:
        raise
    except (ImportError, InstallError) as error:
        return {"left_out": f"upstream's engine cannot be imported here: {error}"}
    return {
        "reset_us": _best(lambda: env.reset(0), 1),
        "call_us": _per_call(partial(_bare_calls, domain, engine.load())),
        "verdict_us": _best(env.calculate_reward, 1),
        "kb_per_env": _in_fresh_process("memory_of_upstream", domain.name),
    }


def _ratios(ours: dict[str, float], theirs: dict[str, Any]) -> dict[str, float]:
    return {
        "reset": theirs["reset_us"] / ours["reset_us"],
        "make_reset": theirs["reset_us"] / ours["make_reset_us"],
        "verdict": theirs["verdict_us"] / ours["verdict_us"],
        "verdict_worst": theirs["verdict_us"] / ours["verdict_worst_us"],
        "call": ours["call_us"] / theirs["call_us"],
    }


def _best(act: Callable[[], object], times: int) -> float:
    """Microseconds of one run, the best of `ROUNDS` rounds of ``times`` runs."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(times):
            act()
        best = min(best, (time.perf_counter() - start) / times)
    return best * 1e6


def _per_call(play: Callable[[], Iterable[tuple[float, int]]]) -> float:
    """Microseconds of a call, from the best round of every task: ``play`` gives seconds and calls of each."""
    rounds = [list(play()) for _ in range(ROUNDS)]
    seconds = [min(spent for spent, _ in task) for task in zip(*rounds, strict=True)]
    calls = [count for _, count in rounds[0]]
    mean: float = sum(seconds) / sum(calls)
    return mean * 1e6


# -- ours --------------------------------------------------------------------------------------------------------------


def _make(domain: str) -> gym.Env[Any, Any]:
    user = ScriptedUser(("Hello.",), repeat=True)
    return gym.make(f"Tau{domain.title()}-v0", user=user, survey=False)


def _make_reset(domain: Domain) -> float:
    env = _make(domain.name)
    found = _best(lambda: env.reset(seed=7), 200)
    env.close()
    return found


def _calls(domain: Domain) -> Iterator[tuple[float, int]]:
    """Seconds of `World.call` and calls, over the expected calls of each task, on a world of its own."""
    for task in domain.tasks():
        call = World(domain).call
        start = time.perf_counter()
        for expected in task.expected_calls:
            call(expected)
        yield time.perf_counter() - start, len(task.expected_calls)


def _played(domain: Domain, task: Task) -> World:
    world = World(domain)
    for call in task.expected_calls:
        world.call(call)
    return world


def _verdicts(domain: Domain) -> list[float]:
    """Microseconds of each task's verdict at the end of its expected calls."""
    found = []
    for task in domain.tasks():
        world, texts = _played(domain, task), task.required_outputs
        found.append(_best(partial(scoring.check, task, world, texts), 20))
    return found


def _tool_steps(domain: Domain) -> float:
    """Tool steps a second through ``gym.make``, over all expected calls; resets are not timed."""
    env, spent, count = _make(domain.name), 0.0, 0
    for task in domain.tasks():
        env.reset(seed=7, options={"task_id": task.id})
        actions = _actions(task)
        start = time.perf_counter()
        for action in actions:
            env.step(action)
        spent += time.perf_counter() - start
        count += len(actions)
    env.close()
    return count / spent


def _actions(task: Task) -> list[dict[str, Any]]:
    """The expected calls as actions, up to the one that ends the episode."""
    actions: list[dict[str, Any]] = []
    for call in task.expected_calls:
        actions.append({"name": call.name, "arguments": copied(call.arguments)})
        if call.name in get_domain(task.domain).terminal:
            break
    return actions


def _respond_steps(domain: Domain) -> float:
    """Steps a second that only speak, in episodes of 190 turns; resets are not timed."""
    env, spent, count = _make(domain.name), 0.0, 0
    for seed in range(20):
        env.reset(seed=seed)
        start = time.perf_counter()
        for _ in range(190):
            env.step(SPEAK)
        spent += time.perf_counter() - start
        count += 190
    env.close()
    return count / spent


# -- theirs ------------------------------------------------------------------------------------------------------------


def _bare_calls(domain: Domain, data: dict[str, Any]) -> Iterator[tuple[float, int]]:
    """The same of upstream's tools alone on plain dicts; what a task changed is put back."""
    for task in domain.tasks():
        calls = [(domain.tools[c.name].invoke, copied(c.arguments)) for c in task.expected_calls]
        start = time.perf_counter()
        for invoke, arguments in calls:
            try:
                invoke(data=data, **arguments)
            except Exception as error:
                f"Error: {error}"  # what upstream's step does with it
        yield time.perf_counter() - start, len(calls)
        for table, key in domain.expected_changes(task):
            data[table].pop(key)
            if key in domain.data[table]:
                data[table][key] = copied(domain.data[table][key])


# -- memory ------------------------------------------------------------------------------------------------------------


def _in_fresh_process(measure: str, domain: str) -> float:
    """Kilobytes that a function of this module reports from a process in which nothing else has happened."""
    code = f"import json, usersim_env.commands.engine_bench as b; print(json.dumps(b.{measure}({domain!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UsageError(f"The memory of {domain} could not be measured: {done.stderr.strip()[-300:]}")
    return float(json.loads(done.stdout))


def memory_of_ours(domain: str) -> float:
    """Kilobytes per live env (gym wrappers and transcript included) after its expected calls; one env a task.

    Counted by `tracemalloc`. What all envs share (database, verdicts) is loaded before and not counted.
    """
    tasks = get_domain(domain).tasks()
    for task in tasks:
        get_domain(domain).expected_changes(task)
    _finished(tasks[0])
    return _kilobytes_each(_finished, tasks)


def memory_of_upstream(domain: str) -> float:
    """Kilobytes per live upstream env after the expected calls of four tasks; every env holds a whole database."""
    engine, tasks = UpstreamEngine(domain), get_domain(domain).tasks()

    def finished(task: Task) -> Any:
        env = engine.make()
        for call in task.expected_calls:
            if call.name not in env.terminate_tools:
                env.step(engine.action(name=call.name, kwargs=copied(call.arguments)))
        return env

    finished(tasks[0])
    return _kilobytes_each(finished, tasks[:4])


def _finished(task: Task) -> Any:
    env = _make(task.domain)
    env.reset(seed=7, options={"task_id": task.id})
    for action in _actions(task):
        env.step(action)
    return env


def _kilobytes_each(make: Callable[[Task], Any], tasks: Iterable[Task]) -> float:
    tracemalloc.start()
    alive = []
    before = tracemalloc.get_traced_memory()[0]
    for task in tasks:
        alive.append(make(task))
    found = (tracemalloc.get_traced_memory()[0] - before) / len(alive) / 1000
    tracemalloc.stop()
    return found
