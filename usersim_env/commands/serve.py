"""``usersim-env serve``: a study with people."""

from __future__ import annotations

import argparse
import importlib
import inspect
import logging
from typing import Any

from usersim_env.baselines import make_agent
from usersim_env.baselines.registry import AGENTS, load
from usersim_env.commands.base import command
from usersim_env.domains import LOADERS
from usersim_env.errors import InstallError, UsageError
from usersim_env.llm.address import environment_base
from usersim_env.person.settings import SOURCES, ServerSettings, StudySettings
from usersim_env.rollouts import select_tasks


def add(commands: Any) -> None:
    """Adds the command."""
    parser = command(
        commands, "serve", "Serve a study: people talk to an agent in their browsers.",
        "serve --domain retail --agent clerk --per-task 3 --out study/", run,
    )  # fmt: skip
    study = parser.add_argument_group("the study")
    study.add_argument("--domain", choices=list(LOADERS), required=True)
    study.add_argument("--split", default="test")
    study.add_argument("--tasks", default="all", metavar="WHICH", help="all, 0-9, 1,4 or ids (default: all)")
    study.add_argument(
        "--agent", required=True, metavar="NAME", help="a baseline, or module:function of (messages, info)"
    )
    study.add_argument("--per-task", type=int, default=3, metavar="N", help="people for each task (default: 3)")
    study.add_argument("--max-steps", type=int, default=200, metavar="N")
    study.add_argument("--out", required=True, metavar="FOLDER", help="the study; serve it again and it goes on")
    people = parser.add_argument_group("what people are told")
    people.add_argument("--title", default=StudySettings.title)
    people.add_argument(
        "--provider", help="who else receives what they write; needed unless the agent is a rule-based one"
    )
    people.add_argument("--consent", metavar="FILE.md", help="a consent of your own")
    people.add_argument("--rules", metavar="FILE.md", help="instructions of your own")
    people.add_argument("--minutes", type=int, metavar="N", help="how long it takes")
    people.add_argument("--licence", default=StudySettings.licence, help="terms of the traces")
    people.add_argument("--allow-training", action="store_true", help="people agree that models are trained on it")
    people.add_argument("--allow-sharing", action="store_true", help="people agree that it is passed on to others")
    people.add_argument("--withdrawal", choices=["delete", "keep"], default="delete", help="of the data of who leaves")
    people.add_argument("--hide-activity", action="store_true", help="do not say that the agent looks something up")
    people.add_argument(
        "--plain-messages",
        action="store_true",
        help="show the agent's Markdown as it was typed, not as lists and tables",
    )
    pay = parser.add_argument_group("where they come from")
    pay.add_argument("--participants-from", choices=SOURCES, default="link")
    pay.add_argument("--code", help="completion code for everybody (default: one of their own for each)")
    pay.add_argument("--redirect", metavar="URL", help="address that the last page links to")
    pay.add_argument(
        "--turn-timeout", type=float, default=StudySettings.turn_timeout, metavar="SECONDS",
        help="of silence, after which a person has left (default: 900)",
    )  # fmt: skip
    pay.add_argument(
        "--session-timeout", type=float, default=StudySettings.session_timeout, metavar="SECONDS",
        help="of all turns of a person, and of the agent, together (default: 3600)",
    )  # fmt: skip
    _add_server(parser.add_argument_group("the server"))


def _add_server(server: Any) -> None:
    server.add_argument("--host", default=ServerSettings.host)
    server.add_argument("--port", type=int, default=ServerSettings.port, help="0 for a free one (default: 8000)")
    server.add_argument("--public-url", metavar="URL", help="how people reach it, https://study.example.org")
    server.add_argument("--joins-per-minute", type=float, default=ServerSettings.joins_per_minute, metavar="N")
    server.add_argument(
        "--trusted-proxy", action="append", metavar="CIDR",
        help="network of a proxy whose X-Forwarded-For is believed; may be given several times "
        "(default: this machine, if there is a --public-url)",
    )  # fmt: skip
    server.add_argument(
        "--connections", type=int, metavar="N", help="at once in all (default: as many as the system allows, to 4000)"
    )
    server.add_argument(
        "--connections-per-address", type=int, default=ServerSettings.connections_per_address, metavar="N",
        help="at once from one network address (default: 64)",
    )  # fmt: skip
    server.add_argument(
        "--open-per-address", type=int, metavar="N",
        help="conversations at once from one network address, where people come by a link (default with a "
        "--public-url: half the places, and ten at most)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    """Runs it."""
    a = arguments
    agent = load_agent(a.agent)
    settings = StudySettings(
        domain=a.domain,
        out=a.out,
        split=a.split,
        tasks=None if a.tasks == "all" else select_tasks(a.domain, a.split, a.tasks),
        per_task=a.per_task,
        participants_from=a.participants_from,
        title=a.title,
        provider=a.provider if a.provider is not None else provider_of(a.agent),
        consent=a.consent,
        rules=a.rules,
        licence=a.licence,
        training=a.allow_training,
        sharing=a.allow_sharing,
        withdrawal=a.withdrawal,
        code=a.code,
        redirect=a.redirect,
        minutes=a.minutes,
        activity=not a.hide_activity,
        markdown=not a.plain_messages,
        max_steps=a.max_steps,
        turn_timeout=a.turn_timeout,
        session_timeout=a.session_timeout,
    )
    served = ServerSettings(
        host=a.host,
        port=a.port,
        public_url=a.public_url,
        joins_per_minute=a.joins_per_minute,
        connections=a.connections,
        connections_per_address=a.connections_per_address,
        open_per_address=a.open_per_address,
        trusted_proxies=a.trusted_proxy,
    )
    try:
        server = importlib.import_module("usersim_env.study.server")  # on first use: it needs an extra
    except ImportError as error:
        raise InstallError(
            f"serve needs the extra 'study' ({error.name} is missing). Type: pip install 'usersim_env[study]'"
        ) from None
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    server.serve(settings, agent, served, lambda text: print(text, flush=True))


def load_agent(spec: str) -> object:
    """An agent by name, or a function of the transcript: ``module:function`` whose parameters are messages and info."""
    name, _, attribute = spec.partition(":")
    if name not in AGENTS and attribute.isidentifier():
        found = load(name, attribute)
        if not inspect.isclass(found) and list(inspect.signature(found).parameters)[:2] == ["messages", "info"]:
            return found
    return make_agent(spec)


def provider_of(spec: str) -> str:
    """Who receives what people write, where the agent says so by itself.

    Raises:
        UsageError: it does not.
    """
    name, _, settings = spec.partition(":")
    if name in ("silent", "oracle", "clerk"):
        return "nobody else"
    if name == "tool_calling" and "api_base" not in settings:
        model = next((part[6:] for part in settings.split(",") if part.startswith("model=")), "")
        # An address from the environment is somebody else's, whoever the model's name says it is.
        if "/" in model and environment_base(model.split("/")[0]) is None:
            return f"{model.split('/')[0]} (model {model.split('/', 1)[1]})"
    raise UsageError(
        f"People must be told who receives what they write to {spec}: --provider 'Example Inc., USA', or "
        "--provider 'nobody else' if it stays on this machine."
    )
