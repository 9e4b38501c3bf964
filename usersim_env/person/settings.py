"""What a study is and how it is served."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from usersim_env.domains import Task, get_domain
from usersim_env.errors import UsageError, unknown
from usersim_env.person.connections import PER_ADDRESS, Network, read_networks
from usersim_env.person.limits import MAX_CHARS

SOURCES = ("link", "prolific")
"""Where participants come from: anybody with the link, or Prolific with its three ids in the address."""


@dataclass(frozen=True)
class StudySettings:
    """What is studied, with whom, and what people are told.

    Attributes:
        domain: ``retail``, ``airline``, ``mock`` or one of your own.
        out: folder of the study; it holds everything, and a server started again on it goes on.
        split: the tasks, one for each person.
        tasks: ids instead of the whole split.
        per_task: people for each task.
        participants_from: one of `SOURCES`.
        title: of the page.
        provider: who receives the text of the conversation beside this server, in words; the consent names it.
        consent, rules: Markdown files of your own instead of ours.
        licence: terms of the traces, in words.
        training: whether people agree that models are trained on their words; the consent says which.
        sharing: whether people agree that their conversation is passed on to others; the consent says which.
        withdrawal: what leaving the study does to the data.
        code: completion code that everybody gets; each person gets one of their own where it is ``None``.
        redirect: address that the last page links to.
        minutes: how long it takes, as people are told.
        activity: whether the page says that the agent looks something up.
        markdown: whether emphasis, lists, tables and code in the agent's messages are shown as such (`study.markdown`),
            or as the agent typed them.
        max_steps: agent steps after which an episode is truncated.
        turn_timeout: seconds of one turn after which a person has left.
        session_timeout: seconds of all turns of a person together, after which they have left; and of all turns of
            the agent together, after which it has failed. Time counts only while the server runs and can save.
        agent_timeout: seconds for one action of the agent.
        address_hours: hours that an address stays valid after the end.
        max_chars: characters of one message.
    """

    domain: str
    out: str | os.PathLike[str]
    split: str = "test"
    tasks: Sequence[str] | None = None
    per_task: int = 3
    participants_from: str = "link"
    title: str = "A conversation with customer service"
    provider: str = "nobody else"
    consent: str | os.PathLike[str] | None = None
    rules: str | os.PathLike[str] | None = None
    licence: str = "not stated"
    training: bool = False
    sharing: bool = False
    withdrawal: Literal["delete", "keep"] = "delete"
    code: str | None = None
    redirect: str | None = None
    minutes: int | None = None
    activity: bool = True
    markdown: bool = True
    max_steps: int = 200
    turn_timeout: float = 900.0
    session_timeout: float = 3600.0
    agent_timeout: float = 120.0
    address_hours: float = 24.0
    max_chars: int = MAX_CHARS

    def __post_init__(self) -> None:
        if self.participants_from not in SOURCES:
            raise unknown("source of participants", self.participants_from, SOURCES)
        if self.withdrawal not in ("delete", "keep"):
            raise UsageError(f"withdrawal is 'delete' or 'keep', got {self.withdrawal!r}.")
        for name in ("per_task", "max_steps", "max_chars"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise UsageError(f"{name} is a whole number of at least 1, got {getattr(self, name)!r}.")
        for name in ("turn_timeout", "session_timeout", "agent_timeout", "address_hours"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} is above 0, got {getattr(self, name)!r}.")
        if self.redirect is not None and urlsplit(self.redirect).scheme not in ("http", "https"):
            raise UsageError(f"redirect is an address that begins with https://, got {self.redirect!r}.")
        self.chosen()

    @property
    def folder(self) -> Path:
        """The study's folder."""
        return Path(self.out)

    def chosen(self) -> tuple[Task, ...]:
        """The tasks; raises `UnknownName` for a split or task that there is not."""
        domain = get_domain(self.domain)
        if self.tasks is None:
            return domain.tasks(self.split)
        return tuple(domain.task(task_id) for task_id in self.tasks)


_HERE = ("127.0.0.1", "::1", "localhost")
_MOST_OPEN = 10  # conversations from one network address, where nothing else is said


@dataclass(frozen=True)
class ServerSettings:
    """Where a study is served.

    Attributes:
        host: address that is listened at.
        port: 0 for a free one.
        public_url: how people reach it, ``https://study.example.org``; needed where that is not this machine.
        joins_per_minute: people who may begin from one network address.
        connections: at once in all; as many as the system allows, 4000 at most, where it is ``None``.
        connections_per_address: at once from one network address.
        open_per_address: conversations at once that were begun from one network address, where people come by a
            link; where it is ``None``, half the places of the study and ten at most, and any number where nobody
            but this machine can reach the study.
        trusted_proxies: addresses or networks of proxies that people come through. What they write into
            ``X-Forwarded-For`` is believed. Where it is ``None``, this machine is one if there is a ``public_url``.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str | None = None
    joins_per_minute: float = 60
    connections: int | None = None
    connections_per_address: int = PER_ADDRESS
    open_per_address: int | None = None
    trusted_proxies: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for name in ("connections", "connections_per_address", "open_per_address"):
            number = getattr(self, name)
            if number is not None and (type(number) is not int or number < 1):
                raise UsageError(f"{name} is a whole number of at least 1, got {number!r}.")
        read_networks(self.trusted_proxies or ())
        if type(self.port) is not int or not 0 <= self.port <= 65535:
            raise UsageError(f"port is a whole number from 0 (a free one) to 65535, got {self.port!r}.")
        if not 0 < self.joins_per_minute < float("inf"):
            raise UsageError(f"joins_per_minute is a number above 0, got {self.joins_per_minute!r}.")
        parts = urlsplit(self.public_url or "http://x")
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/") or parts.query:
            raise UsageError(
                f"public_url is the address that people type, without a path: https://study.example.org, "
                f"got {self.public_url!r}."
            )
        if self.host not in _HERE and self.public_url is None:
            raise UsageError(f"host {self.host!r} is open to others: say how they reach it, public_url='https://…'.")

    def proxies(self) -> tuple[Network, ...]:
        """The networks of trusted proxies."""
        if self.trusted_proxies is not None:
            return read_networks(self.trusted_proxies)
        return read_networks(("127.0.0.0/8", "::1") if self.public_url is not None else ())

    def most_open(self, places: int) -> int:
        """Conversations at once from one network address, in a study of so many places."""
        if self.open_per_address is not None:
            return self.open_per_address
        return max(1, min(_MOST_OPEN, places // 2)) if self.public_url is not None else places

    def origin(self, port: int) -> str:
        """``https://host`` of the pages, with the port that is listened at."""
        if self.public_url is not None:
            # As a browser writes it in Origin: lower case, and without the port that goes without saying.
            parts = urlsplit(self.public_url)
            usual = {"http": 80, "https": 443}[parts.scheme]
            name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
            return f"{parts.scheme}://{name}" + (f":{parts.port}" if parts.port not in (None, usual) else "")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{port}"
