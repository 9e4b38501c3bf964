"""How many may be connected: in all, and from one network address, so that one visitor cannot shut out the others."""

from __future__ import annotations

import asyncio
import ipaddress
import sys
from collections import Counter
from collections.abc import Iterable
from typing import TypeAlias

from usersim_env.errors import UsageError

if sys.platform != "win32":
    import resource

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

PER_ADDRESS = 64
"""Connections of one network address at once: ten people behind one address, each with the six of a browser."""

MOST = 4000
"""Connections in all, where the system allows as many files."""

_OTHER_FILES = (
    256  # descriptors for the database, the log, the agent's own requests and connections about to be refused
)
_LIMITLESS = 1 << 16
_LEAVING = 64  # refused connections that are still being told so

_BUSY = "The study has as many visitors as it can take at the moment. Please try again in a few minutes."
_CROWDED = (
    "There are very many connections from your network at the moment. Please close other tabs of this study, or try "
    "again in a few minutes. If you take part together with others, please tell the people who run the study."
)
BUSY, CROWDED = (503, _BUSY), (429, _CROWDED)
"""What somebody is told who is one too many: the status and one text for the person."""


def network_of(host: str) -> str:
    """The network that a client belongs to, whatever address of its own it chooses.

    An IPv4 address stands for itself, and an IPv6 address for its /64, which is what one customer has at least.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host[:100]
    if address.version == 6 and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((host, 64), strict=False)) if address.version == 6 else host


def read_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks as they are typed: ``10.0.0.0/8``, ``::1``.

    Raises:
        UsageError: one of them is none.
    """
    found = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text.strip(), strict=False))
        except ValueError:
            raise UsageError(
                f"trusted_proxies are addresses or networks, such as 10.0.0.2 or 10.0.0.0/8, got {text!r}."
            ) from None
    return tuple(found)


def raise_descriptor_limit() -> int:
    """Allows this process as many open files as its system lets it have, and says how many that are."""
    if sys.platform == "win32":
        return _LIMITLESS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _LIMITLESS if hard == resource.RLIM_INFINITY else min(hard, _LIMITLESS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError):  # macOS has a lower limit of its own than the one that it names
            return soft
        return wanted
    return _LIMITLESS if soft == resource.RLIM_INFINITY else soft


def room_for(files: int) -> int:
    """The connections that a process may hold which may open so many files."""
    return max(1, min(MOST, files - _OTHER_FILES))


class Connections:
    """Counts the connections of a server.

    Args:
        most: at once, in all.
        per_address: at once, from one network address (`network_of`).
        proxies: networks of proxies. Their connections are many people's, so they only count among all.
    """

    def __init__(self, most: int = MOST, per_address: int = PER_ADDRESS, proxies: Iterable[Network] = ()) -> None:
        self._most, self._per_address, self._proxies = most, per_address, tuple(proxies)
        self._held: dict[asyncio.BaseTransport, str] = {}
        self._leaving: set[asyncio.BaseTransport] = set()
        self._of_network: Counter[str] = Counter()
        self._sockets: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._held)

    def join(self, transport: asyncio.BaseTransport) -> tuple[int, str] | None:
        """Counts a connection; `BUSY` or `CROWDED` where it is one too many, which is then not counted."""
        if len(self._held) >= self._most:
            return BUSY
        host = (transport.get_extra_info("peername") or ("",))[0]
        network = "" if self._is_proxy(host) else network_of(host)
        if network and self._of_network[network] >= self._per_address:
            return CROWDED
        self._held[transport] = network
        self._of_network[network] += 1
        return None

    def part(self, transport: asyncio.BaseTransport) -> None:
        """A connection is gone; does nothing where it was not counted."""
        self._leaving.discard(transport)
        network = self._held.pop(transport, None)
        if network is not None:
            _less(self._of_network, network)

    def may_linger(self, transport: asyncio.BaseTransport) -> bool:
        """Whether a connection that is refused may stay for the moment that an answer to it takes."""
        if len(self._leaving) >= _LEAVING:
            return False
        self._leaving.add(transport)
        return True

    def join_socket(self, network: str) -> bool:
        """Counts the socket of a page by whom it is from, which a proxy's connection does not say."""
        if self._sockets[network] >= self._per_address:
            return False
        self._sockets[network] += 1
        return True

    def part_socket(self, network: str) -> None:
        """A socket that `join_socket` has counted is gone."""
        _less(self._sockets, network)

    def _is_proxy(self, host: str) -> bool:
        if not self._proxies:
            return False
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._proxies)


def _less(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
