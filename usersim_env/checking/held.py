"""What the process holds: threads, open files, and the global random generators that nobody may draw from."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from usersim_env.checking.findings import Broken

_FILES = Path("/proc/self/fd")


class Held(NamedTuple):
    """A snapshot; ``files`` is empty where the system has no /proc."""

    threads: frozenset[str]
    files: frozenset[str]
    generators: tuple[str, str]


def held() -> Held:
    """What there is now."""
    threads = frozenset(f"{thread.name} ({thread.ident})" for thread in threading.enumerate())
    files = frozenset(filter(None, map(_file, os.listdir(_FILES)))) if _FILES.is_dir() else frozenset()
    state = np.random.get_state()  # noqa: NPY002 - that is what is watched
    return Held(threads, files, (repr(random.getstate()), repr([np.asarray(part).tolist() for part in state])))


def _file(descriptor: str) -> str:
    """A path; the descriptor's number would change when another one opens first. Empty for one that was just closed."""
    try:
        return f"{descriptor}:{os.readlink(_FILES / descriptor)}"
    except OSError:
        return ""


def left(done: str, before: Held) -> Iterator[Broken]:
    """What is there now and was not before, and a generator that somebody drew from."""
    now = held()
    for what, more in (("thread", now.threads - before.threads), ("file", now.files - before.files)):
        if more:
            yield Broken(done, f"{what}s left: {', '.join(sorted(more))}", "none", f"End every {what} in close().")
    for name, old, new in zip(("random", "numpy.random"), before.generators, now.generators, strict=True):
        if old != new:
            yield Broken(
                done,
                f"another state of the global generator {name}",
                "the same",
                "Draw from a generator of your own that is made from the seed (Scene.rng, self.np_random).",
            )
