"""Who may begin: in a study that anybody with the link can join, one visitor must not take all the places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from usersim_env.person.settings import ServerSettings
from usersim_env.study.study import CannotJoin, Study


class Doorkeeper:
    """Lets people in while not too many conversations from their network are open.

    Networks are kept in memory only, as long as the conversation is open: where somebody is from is no data of the
    study. After a restart of the server the count begins anew.

    Args:
        study: that people join.
        server: says how many there may be.
    """

    def __init__(self, study: Study, server: ServerSettings) -> None:
        self._study = study
        self._most = server.most_open(len(study.tasks) * study.settings.per_task)
        self._everybody_known = study.settings.participants_from != "link"
        self._of: dict[str, str] = {}
        self._joining: Counter[str] = Counter()

    async def join(self, network: str, query: Mapping[str, Any], agreed_to: str) -> str:
        """`Study.join` for somebody from a network.

        Raises:
            CannotJoin: as there, or because of the other conversations from this network.
        """
        if self._everybody_known:
            return await self._study.join(query, agreed_to)
        self._of = {sitting: from_ for sitting, from_ in self._of.items() if sitting in self._study.live}
        if Counter(self._of.values())[network] + self._joining[network] >= self._most:
            raise CannotJoin(
                "Other conversations from your network are still open. Please go back to yours if you have begun "
                "one, or try again when they are over."
            )
        self._joining[network] += 1
        try:
            token = await self._study.join(query, agreed_to)
            self._of[token.partition(".")[0]] = network
            return token
        finally:
            self._joining[network] -= 1
            if not self._joining[network]:
                del self._joining[network]
