"""The ids, and what `gym.make` builds from them."""

from __future__ import annotations

import dataclasses
import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import WrapperSpec

from usersim_env.domains import LOADERS, Domain, add_domain, get_domain, read_domain
from usersim_env.env.settings import EnvSettings
from usersim_env.env.tau_env import TauEnv
from usersim_env.errors import UsageError, UsersimError, told, unknown
from usersim_env.llm import Model, as_model, require_litellm
from usersim_env.users.agenda import AgendaUser
from usersim_env.users.base import User
from usersim_env.users.browser import BrowserUser
from usersim_env.users.llm import LLMUser
from usersim_env.users.recorded.sources import load_traces
from usersim_env.users.replay import ReplayUser
from usersim_env.users.terminal import TerminalUser

DOMAINS = {"Retail": "retail", "Airline": "airline", "Mock": "mock"}
BUILT_IN = frozenset(DOMAINS.values())
SIDES: dict[str, bool] = {"": False, "agenda": False, "llm": True, "replay": False, "human": True}
"""User side in the id → whether an episode cannot be repeated from its seed."""
OWN = {
    "persona": ("agenda", "llm"),
    "model": ("llm",),
    "channel": ("human",),
    "turn_timeout": ("human",),
    "session_timeout": ("human",),
    "host": ("human",),
    "port": ("human",),
    "rules": ("human",),
    "markdown": ("human",),
}
"""Keywords of some user sides only."""
CHANNELS = ("browser", "terminal")
"""Where a person sits."""
REPLAY = ("traces", "purpose", "on_divergence", "handover", "divergence")
"""Keywords of the replay ids: recordings (paths or `Trace`), and the fields of `ReplayUser`."""


def env_id(domain: str, side: str = "") -> str:
    """The id of a domain and user side: ``env_id("retail", "agenda") == "TauRetail-agenda-v0"``."""
    names = {value: key for key, value in DOMAINS.items()}
    if domain not in names:
        raise unknown("domain", domain, names)
    if side not in SIDES:
        raise unknown("user side", side, filter(None, SIDES))
    return f"Tau{names[domain]}-{side + '-' if side else ''}v0"


def register_all() -> None:
    """Registers every id; called on import."""
    for domain in DOMAINS.values():
        _register_ids(domain, {})


def _register_ids(domain: str, more: dict[str, str]) -> None:
    for side, nondeterministic in SIDES.items():
        gym.register(
            env_id(domain, side),
            entry_point="usersim_env.registration:make_env",
            nondeterministic=nondeterministic,
            # Gymnasium's passive checker keeps a first reset that failed (a mistyped task) as an error of every step.
            disable_env_checker=True,
            kwargs={"domain": domain, "side": side} | more,
            # Gymnasium applies it outside the TimeLimit of max_episode_steps.
            additional_wrappers=(WrapperSpec("guarded", "usersim_env.env.time_limit:guarded", {}),),
        )


def register_domain(domain: Domain | str | os.PathLike[str], plugin: str | None = None) -> None:
    """Adds a domain of your own, with the ids ``Tau<Name>-{agenda,llm,replay,human}-v0`` and ``Tau<Name>-v0``.

    Args:
        domain: a `Domain`, or a folder with one (see `read_domain`); ``tea_shop`` gets ``TauTeaShop-…``.
        plugin: for a `Domain`, the name of the module whose import registers it (``__name__``): worker processes that
            are not forked find it there. A folder is found again by its path.

    Raises:
        UsageError: no folder or domain, a name that is taken, or a domain that cannot be played, with every reason.
    """
    if isinstance(domain, str | os.PathLike):
        plugin = str(Path(domain).resolve())
        domain = read_domain(domain)
    named = "".join(part.capitalize() for part in str(getattr(domain, "name", "")).split("_"))
    if named in DOMAINS:
        raise UsageError(f"The ids Tau{named}-… belong to the domain {DOMAINS[named]!r} already: take another name.")
    add_domain(domain)
    DOMAINS[named] = domain.name
    _register_ids(domain.name, {} if plugin is None else {"plugin": plugin})


def load_plugin(plugin: str) -> None:
    """Registers the domain in a folder, or what a module registers when it is imported; a second time is nothing.

    Raises:
        UsageError: neither a folder nor a module, or it cannot be loaded.
    """
    folder = Path(plugin)
    if folder.is_dir() and (folder / "tools.py").exists():
        name, path = folder.resolve().name, str(folder.resolve())
        if name not in LOADERS or gym.spec(env_id(name)).kwargs.get("plugin") != path:
            register_domain(folder)
        return
    try:
        importlib.import_module(plugin)
    except UsersimError:
        raise
    except Exception as error:
        raise UsageError(
            f"{plugin!r} is neither a folder with a domain (tools.py, …) nor a module that imports: {told(error)}"
        ) from error


def plugin_of(name: str) -> str | None:
    """What `load_plugin` takes in another process before it makes an id; ``None`` where every process knows it.

    Raises:
        UsageError: the id's domain is known to this process only.
    """
    domain, side = env_parts(name)
    found: str | None = gym.spec(env_id(domain, side)).kwargs.get("plugin")
    if found is None and domain not in BUILT_IN:
        raise UsageError(
            f"Other processes cannot find the domain {domain!r}: register it from a folder, or in a module with "
            "register_domain(domain, plugin=__name__)."
        )
    return found


def make(env_id: str, **keywords: Any) -> TauEnv:
    """`gym.make` for scripts: the same env without Gymnasium's wrappers around it, with its own type.

    Args:
        env_id: such as ``TauRetail-agenda-v0``.
        keywords: as for `gym.make`; see `make_env`.

    Raises:
        UsageError: ``max_episode_steps``, which is a wrapper's; an unknown keyword; a user side that lacks something.
    """
    if "max_episode_steps" in keywords:
        raise UsageError("max_episode_steps belongs to a wrapper of Gymnasium; the episode's own limit is max_steps.")
    env = gym.make(env_id, **keywords).unwrapped
    if not isinstance(env, TauEnv):
        raise UsageError(f"{env_id} is no env of this package, it is a {type(env).__name__}.")
    return env


def make_env(
    domain: str, side: str, render_mode: str | None = None, plugin: str | None = None, **keywords: Any
) -> TauEnv:
    """Builds the env behind an id.

    Args:
        domain: ``retail``, ``airline``, ``mock`` or one that was registered.
        plugin: where another process finds the domain; see `register_domain`.
        side: ``""`` (then ``user=`` is needed), ``agenda``, ``llm``, ``replay`` or ``human``.
        render_mode: ``ansi``, ``human`` or ``rgb_array`` (which needs the extra ``plot``).
        keywords: ``user``, a `User` to sit there instead; ``persona`` for the agenda user (a name)
            and the LLM user (text); ``model`` for the LLM user (a name or a `Model`); ``channel`` for a person,
            ``browser`` or ``terminal``; in the browser with ``turn_timeout`` and ``session_timeout`` (seconds), the
            page's ``host`` and ``port``, ``rules`` (a Markdown file) and ``markdown``, as `BrowserUser` has them;
            `REPLAY` for recordings (their tasks are what `reset` draws from); the fields of `EnvSettings`.

    Raises:
        UsageError: an unknown keyword, no user side, no model or no recordings for it.
        InstallError: litellm is missing.
        TermsError: recordings that may not be trained on, without ``purpose="evaluation"``.
    """
    if domain not in LOADERS:
        if plugin is None:
            more = "In a worker process: register_domain(domain, plugin=__name__) in a module, or from a folder."
            raise unknown("domain", domain, LOADERS, more)
        load_plugin(plugin)
    settings = {f.name: keywords.pop(f.name) for f in dataclasses.fields(EnvSettings) if f.name in keywords}
    user = keywords.pop("user", None)
    own = {name: value for name in OWN if (value := keywords.pop(name, None)) is not None}
    replay = {name: keywords.pop(name) for name in REPLAY if name in keywords}
    for name in keywords:
        for kind, example in _ELSEWHERE.items():
            if name in {field.name for field in dataclasses.fields(kind)}:
                raise UsageError(f"{name} is a setting of {kind.__name__}: gym.make(…, {example.format(name=name)}).")
        raise unknown("keyword", name, ["user", *OWN, *REPLAY, *(f.name for f in dataclasses.fields(EnvSettings))])
    if replay and (side != "replay" or user is not None):
        raise UsageError(f"{', '.join(replay)}: goes with {env_id(domain, 'replay')} and without user=.")
    for name, value in own.items():
        if side not in OWN[name] or user is not None:
            fits = " or ".join(env_id(domain, other) for other in OWN[name])
            raise UsageError(f"{name}={value!r} goes with {fits} and without user=.")
    if user is None and side == "replay":
        user = _replay_user(domain, **replay)
        settings["tasks"] = _recorded_tasks(domain, user, settings)
    elif user is None:
        user = _default_user(domain, side, own)
    return TauEnv(domain, user, EnvSettings(**settings), render_mode)


_ELSEWHERE: Mapping[type[Any], str] = {
    Model: "model=Model('openai/NAME', {name}=…)",
    LLMUser: "user=LLMUser('openai/NAME', {name}=…)",
    BrowserUser: "user=BrowserUser({name}=…)",
}
"""Whose settings are no keywords of an env, and where they belong."""


def _default_user(domain: str, side: str, own: dict[str, Any]) -> User:
    if side == "agenda":
        return AgendaUser(**own)
    if side == "llm":
        return _llm_user(domain, own)
    if side == "human":
        return _person(**own)
    raise UsageError(
        f"{env_id(domain)} has no user side of its own: gym.make({env_id(domain)!r}, user=…), or make "
        f"{env_id(domain, 'agenda')!r}."
    )


def _person(channel: str = "browser", **page: Any) -> User:
    if channel not in CHANNELS:
        raise unknown("channel", channel, CHANNELS)
    if channel == "browser":
        return BrowserUser(**page)
    if page:
        raise UsageError(
            f"{', '.join(page)}: goes with channel='browser'; at the terminal there is no page and no hurry."
        )
    return TerminalUser()


def _llm_user(domain: str, own: dict[str, Any]) -> LLMUser:
    if "model" not in own:
        made = f"gym.make({env_id(domain, 'llm')!r}, model='openai/gpt-4o-mini')"
        raise UsageError(f"{env_id(domain, 'llm')} needs a model: {made}, or user=LLMUser(…) for more settings.")
    user = LLMUser(**own)
    model = as_model(user.model)
    if model.cassette is None or model.cassette.mode != "replay":
        require_litellm()  # here, or every episode would fail on its own
    return user


def _replay_user(domain: str, traces: Any = None, **settings: Any) -> ReplayUser:
    return ReplayUser(load_traces(traces, domain), **settings)


def _recorded_tasks(domain: str, user: ReplayUser, settings: dict[str, Any]) -> Any:
    """The ids to draw from: those asked for, else all with a recording (of the split, where one is asked for)."""
    tasks = settings.get("tasks")
    if tasks is not None:
        if tasks and not isinstance(tasks, str):
            for task_id in tasks:
                user.own_task(get_domain(domain).task(task_id), seed=0)
        return tasks
    if "split" not in settings:
        return user.task_ids
    split = {task.id for task in get_domain(domain).tasks(settings["split"])}
    if found := [task_id for task_id in user.task_ids if task_id in split]:
        return found
    raise UsageError(
        f"No recording of the split {settings['split']!r}: there are recordings of {user.task_ids[0]!r} and "
        f"{len(user.task_ids) - 1} others. Leave split= out to play them all."
    )


def env_parts(name: str) -> tuple[str, str]:
    """Domain and user side of an id; the inverse of `env_id`. The module of a ``module:id`` is imported."""
    module, colon, rest = name.partition(":")
    if colon:
        load_plugin(module)
        name = rest
    known = {env_id(domain, side): (domain, side) for domain in DOMAINS.values() for side in SIDES}
    if name not in known:
        raise unknown("env", name, known)
    return known[name]
