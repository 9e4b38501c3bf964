"""Is the interval honest, and the test? 2,000 simulated studies with a known gap per setting; half a minute.

Figures and what they mean: docs/measuring.md. Run: python -m pytest -q -s -m slow tests/gap/test_coverage.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from usersim_env.gap.bootstrap import BootstrapSettings, intervals
from usersim_env.gap.power import detectable
from usersim_env.gap.sign_flip import sign_flip

STUDIES, BLOCK, REPLICATES = 2_000, 200, 2_000
TASKS = (20, 50, 165)
GAP = -0.15
"""Of the planted effect, before rewards and answers are bounded; the gap itself is computed by `true_gap`."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """Where simulated studies come from: chance of success, or mean answer, of the tasks; and what is drawn from it."""

    name: str
    difficulty: Callable[[np.random.Generator, tuple[int, int]], Array]
    draw: Callable[[np.random.Generator, Array, NDArray[np.int64]], Array]


def _rewards(generator: np.random.Generator, chance: Array, episodes: NDArray[np.int64]) -> Array:
    """Mean of 0/1 rewards per task; the chance is the task's own, so episodes of one task are alike."""
    return generator.binomial(episodes, np.clip(chance, 0, 1)) / episodes


def _answers(generator: np.random.Generator, level: Array, episodes: NDArray[np.int64]) -> Array:
    """Mean of answers on five levels per task, as numbers in [0, 1]."""
    total = np.zeros(level.shape)
    for episode in range(int(episodes.max())):
        answer = np.clip(np.round(4 * (level + generator.normal(0, 0.22, level.shape))), 0, 4) / 4
        total += np.where(episode < episodes, answer, 0)
    return total / episodes


WORLDS = (
    World("reward", lambda g, size: g.beta(1.2, 0.6, size), _rewards),
    World("reward, mostly 1", lambda g, size: g.beta(9, 1, size), _rewards),
    World("survey question", lambda g, size: 0.65 + 0.2 * g.normal(size=size), _answers),
)


def episodes_of(generator: np.random.Generator, size: tuple[int, int], equal: bool) -> tuple[NDArray[np.int64], ...]:
    """Episodes per task and side: 4 and 4, or 1 to 8 simulated and 1 to 3 real ones."""
    if equal:
        return np.full(size, 4), np.full(size, 4)
    return generator.integers(1, 9, size), generator.integers(1, 4, size)


def studies(world: World, tasks: int, equal: bool, gap: float) -> Array:
    """Tasks × studies: the differences real − simulated. The task's effect varies around the planted one."""
    generator = np.random.default_rng(tasks + equal)
    size = (tasks, STUDIES)
    base = world.difficulty(generator, size)
    effect = gap * generator.uniform(0, 2, size)
    n_sim, n_real = episodes_of(generator, size, equal)
    return world.draw(generator, base + effect, n_real) - world.draw(generator, base, n_sim)


def true_gap(world: World, gap: float) -> float:
    """The gap over very many tasks."""
    generator = np.random.default_rng(1)
    size = (2_000_000, 1)
    base = world.difficulty(generator, size)
    one = np.ones(size, dtype=np.int64)
    changed = base + gap * generator.uniform(0, 2, size)
    if world.draw is _rewards:  # no noise of draws where the mean is known
        return float((np.clip(changed, 0, 1) - base).mean())
    return float((world.draw(generator, changed, one) - world.draw(generator, base, one)).mean())


def coverage(differences: Array, gap: float) -> tuple[float, float]:
    """Share of studies whose interval covers the gap, and mean width."""
    hits, widths = [], []
    for start in range(0, STUDIES, BLOCK):
        settings = BootstrapSettings(REPLICATES, seed=start)
        for found in intervals(differences[:, start : start + BLOCK], settings):
            assert found is not None and found.low is not None and found.high is not None
            hits.append(found.low <= gap <= found.high)
            widths.append(found.high - found.low)
    return float(np.mean(hits)), float(np.mean(widths))


def rejections(differences: Array) -> float:
    """Share of studies that the sign-flip test calls a gap at 5 %."""
    found = [
        test
        for start in range(0, STUDIES, BLOCK)
        for test in sign_flip(differences[:, start : start + BLOCK], REPLICATES, seed=start)
    ]
    return float(np.mean([test is not None and test.p <= 0.05 for test in found]))


CASES = list(product(WORLDS, TASKS, (True, False)))
NAMES = [f"{world.name}, {tasks} tasks, {'4 + 4' if equal else '1-8 + 1-3'}" for world, tasks, equal in CASES]


@pytest.mark.slow
@pytest.mark.parametrize(("world", "tasks", "equal"), CASES, ids=NAMES)
def test_intervals_cover_a_known_gap(world: World, tasks: int, equal: bool, request: pytest.FixtureRequest) -> None:
    share, width = coverage(studies(world, tasks, equal, GAP), true_gap(world, GAP))
    print(f"\n| {request.node.callspec.id} | covers | {100 * share:.1f} % | width {width:.3f} |")
    assert 0.93 <= share <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(("world", "tasks", "equal"), CASES, ids=NAMES)
def test_the_sign_flip_test_is_seldom_wrong(
    world: World, tasks: int, equal: bool, request: pytest.FixtureRequest
) -> None:
    share = rejections(studies(world, tasks, equal, 0.0))
    print(f"\n| {request.node.callspec.id} | false alarms | {100 * share:.1f} % |")
    assert share <= 0.07
    assert share >= 0.03 or tasks < 50 or not equal


@pytest.mark.slow
@pytest.mark.parametrize("tasks", TASKS)
@pytest.mark.parametrize("odd", [0.05, 0.1, 0.2])
def test_the_sign_flip_test_is_seldom_wrong_where_few_tasks_differ(tasks: int, odd: float) -> None:
    """The hardest case for a test with ties: every episode of a task ends alike, and all differences are 1."""
    generator = np.random.default_rng(tasks)
    sim, real = (generator.random((tasks, STUDIES)) < odd for _ in range(2))
    share = rejections(real.astype(float) - sim)
    print(f"\n| {tasks} tasks, each side alone fails {100 * odd:.0f} % | false alarms | {100 * share:.1f} % |")
    assert share <= 0.07


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS, ids=[world.name for world in WORLDS])
def test_a_gap_as_large_as_the_detectable_one_is_found_in_four_of_five_studies(world: World) -> None:
    noise = studies(world, 50, True, 0.0)
    found = intervals(noise, BootstrapSettings(100))
    effects = [detectable(interval).gap for interval in found if interval is not None]
    planted = float(np.median([effect for effect in effects if effect is not None]))
    power = rejections(noise + planted)
    print(f"\n| {world.name}, 50 tasks, 4 + 4 | finds a gap of {planted:.3f} | {100 * power:.1f} % |")
    assert 0.75 <= power <= 0.85
