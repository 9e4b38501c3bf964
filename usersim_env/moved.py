"""Modules by the names that they had before: they can still be imported, with a warning, for one more version."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "behaviour": "feedback.behaviour",
    "claim": "jsonl.claim",
    "env_settings": "env.settings",
    "episode": "env.episode",
    "estimate": "rollouts.estimate",
    "groups": "feedback.groups",
    "json_lines": "jsonl.lines",
    "line_kind": "jsonl.kind",
    "notes": "conversation.notes",
    "play": "rollouts.at_terminal",
    "provenance": "traces.provenance",
    "raised": "env.raised",
    "rate": "rating.rater",
    "rating_file": "rating.file",
    "recorded_task": "traces.recorded_task",
    "rescore": "importers.rescore",
    "rollout": "rollouts",
    "rules": "conversation.rules",
    "scene": "conversation.scene",
    "scoring": "feedback.scoring",
    "survey": "feedback.survey",
    "threads": "env.threads",
    "time_limit": "env.time_limit",
    "trace": "traces.trace",
    "trace_file": "traces.file",
    "trace_values": "traces.values",
    "transcript": "conversation.transcript",
}
"""Old name → new one, both inside ``usersim_env``. A package also has the modules that it had."""

_ROOT = __name__.rpartition(".")[0]


def _new_name(fullname: str) -> str | None:
    if not fullname.startswith(f"{_ROOT}."):
        return None
    name, _, inner = fullname.removeprefix(f"{_ROOT}.").partition(".")
    return f"{_ROOT}.{MOVED[name]}{f'.{inner}' if inner else ''}" if name in MOVED else None


class _Finder(MetaPathFinder, Loader):
    """Finds a module that has moved under its old name."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self, is_package=True) if _new_name(fullname) is not None else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = str(_new_name(spec.name))
        text = f"{spec.name} is called {new} now; the old name goes with the next version."
        warnings.warn(text, DeprecationWarning, stacklevel=6)
        return _Stand(spec.name, importlib.import_module(new))

    def exec_module(self, module: ModuleType) -> None: ...


class _Stand(ModuleType):
    """A module under its old name, which has what the new one has."""

    def __init__(self, name: str, new: ModuleType) -> None:
        super().__init__(name, new.__doc__)
        self.__dict__["_new"] = new

    def __getattr__(self, name: str) -> object:
        return getattr(self.__dict__["_new"], name)

    def __dir__(self) -> list[str]:
        return dir(self.__dict__["_new"])


def install() -> None:
    """Makes old names importable; called once, by the package."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
