"""Finds the installed τ-bench, verifies its content, and gives its domains.

The original (``tau_bench``) is used where it is installed, else ``tau_trait``, a package on the index that
carries the whole of it plus tasks and users of its own, which are left out here. Nothing is used unverified.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import sys
import threading
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from usersim_env.domains import calculate
from usersim_env.domains.canonical import copied
from usersim_env.domains.task import Task
from usersim_env.domains.world import Domain, Tool
from usersim_env.errors import InstallError
from usersim_env.messages import ToolCall

PACKAGES = ("tau_bench", "tau_trait")
INSTALL = "pip install --no-deps tau-trait==0.1.1"
_LOCK = threading.RLock()


@dataclass(frozen=True)
class _Source:
    """Where a domain's parts are upstream, how much of each is τ-bench's, and the hashes that prove it."""

    splits: Mapping[str, tuple[str, str, int]]
    """split → (module, attribute, number of τ-bench's tasks; what follows is tau_trait's own)."""
    added_users: tuple[str, ...]
    written: Mapping[str, frozenset[str]]
    hashes: Mapping[str, str] = field(default_factory=dict)


_ORDERS_USERS = frozenset({"orders", "users"})
_RESERVATIONS_USERS = frozenset({"reservations", "users"})

SOURCES: Mapping[str, _Source] = {
    "retail": _Source(
        splits={
            "test": ("tasks_test", "TASKS_TEST", 115),
            "train": ("tasks_train", "TASKS_TRAIN", 500),
            "dev": ("tasks_dev", "TASKS_DEV", 20),
        },
        added_users=("sophia_martinez_7293", "alex_chen_5847"),
        written={
            "cancel_pending_order": _ORDERS_USERS,
            "exchange_delivered_order_items": _ORDERS_USERS,
            "modify_pending_order_address": _ORDERS_USERS,
            "modify_pending_order_items": _ORDERS_USERS,
            "modify_pending_order_payment": _ORDERS_USERS,
            "modify_user_address": _ORDERS_USERS,
            "return_delivered_order_items": _ORDERS_USERS,
        },
        hashes={
            "data": "c49125b83c32941ba527a31dce753cef1dee9a65fe2633c3a3c50816cef083ab",
            "code": "8759302840e804de497201076be04d03bcf66406958fe4c1ebd4cfd000657e58",
            "tools": "b654081928d57b0fe23504ec4d4f71ffe65819985045fb687754cdb6ec0f001e",
            "policy": "eeeb5e9dba227c2180db4c8611a9f5e3c093c0170691ffaef6a89dd64d50c90c",
            "test": "21efe2d7a1fcb393cfa78249d2680a2f200ccbccef0bfa994fb212a3557b76da",
            "train": "73ab445fcf47bea9adbc3cf22e5bbe3f66fa9e6300634f8fceef65baf2c36a62",
            "dev": "9fc6d9fcd919ebce4ae36d1f97f726bbe8340e434a6cba9692154a53f0e37516",
        },
    ),
    "airline": _Source(
        splits={"test": ("tasks_test", "TASKS", 50)},
        added_users=("carlos_rodriguez_7891", "jennifer_wong_4523"),
        written={
            "book_reservation": _RESERVATIONS_USERS,
            "cancel_reservation": _RESERVATIONS_USERS,
            "send_certificate": _RESERVATIONS_USERS,
            "update_reservation_baggages": _RESERVATIONS_USERS,
            "update_reservation_flights": _RESERVATIONS_USERS,
            "update_reservation_passengers": _RESERVATIONS_USERS,
        },
        hashes={
            "data": "9ab3635c8e275dcb1b79a2dc1ec3df27f26700f0e0982900dd5666824b63af77",
            "code": "37c26afc032303ac9ff9cdac62c379a2267dc740c48ebb1f045c97b9933fd94e",
            "tools": "67ceb47ee9decd9fe5913abf27731246b61deda73c3d4d02ac8ac6820d7e4e58",
            "policy": "f2d741a1831d9c7d099c6ca670edfb5ae41bdc39dd772137d781a8d1eeef12ee",
            "test": "b79ce440690f36e92249acb4faab410568e58717c074f1e1425c7125c5599510",
        },
    ),
}


def installed() -> str:
    """Name of the package that carries τ-bench here; an `InstallError` names the command when there is none."""
    for package in PACKAGES:
        if sys.modules.get(package) is not None or importlib.util.find_spec(package) is not None:
            return package
    raise InstallError(
        f"τ-bench's tasks are not installed: looked for {' and '.join(PACKAGES)}. Type: {INSTALL}\n"
        "(The mock domain, TauMock-…-v0, needs nothing installed.)"
    )


@cache
def load(name: str) -> Domain:
    """The domain ``retail`` or ``airline``, read once per process.

    Raises:
        InstallError: not installed, or its content is not what was verified for this version of usersim_env.
    """
    package = installed()
    source = SOURCES[name]
    with paths_only(package, f"{package}.envs", f"{package}.envs.{name}"):
        root = f"{package}.envs.{name}"
        classes = importlib.import_module(f"{root}.tools").ALL_TOOLS
        tools, code = [_tool(cls) for cls in classes], [inspect.getsource(cls) for cls in classes]
        policy = importlib.import_module(f"{root}.wiki").WIKI
        data = importlib.import_module(f"{root}.data").load_data()
        splits = {split: _tasks(name, split, root, *at) for split, at in source.splits.items()}
    for user in source.added_users:
        data["users"].pop(user, None)
    parts = {"data": data, "code": code, "tools": [dict(t.schema) for t in tools], "policy": policy}
    parts |= {split: [task.hash for task in tasks] for split, tasks in splits.items()}
    _verify(name, package, parts, source.hashes)
    return Domain(
        name=name,
        policy=policy,
        tools={tool.name: tool for tool in tools},
        data=data,
        splits=splits,
        written=source.written,
        source={"package": package, "version": _version(package)},
    )


def _tool(cls: Any) -> Tool:
    schema = cls.get_info()
    name = schema["function"]["name"]
    return Tool(name, schema, cls.invoke, calculate.guard if name == "calculate" else None)


def _tasks(domain: str, split: str, root: str, module: str, attribute: str, count: int) -> tuple[Task, ...]:
    """Upstream's tasks as our own, which pickle without upstream installed.

    The arguments are copied, because upstream's engine writes into those of its own task objects.
    """
    found = getattr(importlib.import_module(f"{root}.{module}"), attribute)[:count]
    return tuple(
        Task(
            id=f"{domain}/{split}/{index}",
            domain=domain,
            split=split,
            instruction=task.instruction,
            expected_calls=tuple(ToolCall(a.name, copied(a.kwargs)) for a in task.actions),
            required_outputs=tuple(task.outputs),
        )
        for index, task in enumerate(found)
    )


def _verify(name: str, package: str, parts: Mapping[str, Any], hashes: Mapping[str, str]) -> None:
    for part, expected in hashes.items():
        got = content_hash(parts[part])
        if got != expected:
            raise InstallError(
                f"The {part} of {name} in the installed {package} ({_version(package)}) is not τ-bench's: "
                f"SHA-256 {got[:12]}…, expected {expected[:12]}…. Results would not be comparable. Type: {INSTALL}"
            )


def content_hash(part: Any) -> str:
    """SHA-256 of a part's JSON with sorted keys."""
    return hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package.replace("_", "-"))
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


@contextmanager
def paths_only(*packages: str) -> Iterator[None]:
    """Enters parent packages as bare search paths while something below them is imported.

    Upstream's ``__init__`` files import litellm and build language-model clients; tools, tasks and data need none of
    it. The stand-ins, and all that was imported below them, leave ``sys.modules`` afterwards, so that a user's own
    import of the package is the real one. Where the real one is already imported, it is simply used.
    """
    top = packages[0]
    with _LOCK:
        if top in sys.modules:
            yield
        else:
            yield from _stand_ins(top, packages)


def _stand_ins(top: str, packages: tuple[str, ...]) -> Iterator[None]:
    spec = importlib.util.find_spec(top)
    assert spec is not None and spec.submodule_search_locations is not None
    folder = Path(next(iter(spec.submodule_search_locations)))
    try:
        for name in packages:
            stand_in = types.ModuleType(name)
            stand_in.__path__ = [str(folder.joinpath(*name.split(".")[1:]))]
            sys.modules[name] = stand_in
        yield
    finally:
        for name in [n for n in sys.modules if n == top or n.startswith(top + ".")]:
            del sys.modules[name]
