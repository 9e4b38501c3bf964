"""`ModelSession`: one seat's calls in one episode, with retries, cassette and the bill.

What happens between the tries is one generator that never waits or sends. `complete` and `acomplete` carry out what
it asks for and differ in nothing else.
"""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from collections.abc import Generator, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from usersim_env.errors import ModelError
from usersim_env.llm import transport
from usersim_env.llm.cassette import Tape
from usersim_env.llm.limits import gate
from usersim_env.llm.model import Model
from usersim_env.llm.request import Completion, Request


class Send(NamedTuple):
    """Try this request once."""

    body: Mapping[str, Any]


class Wait(NamedTuple):
    """Wait before the next try."""

    seconds: float


Plan: TypeAlias = Generator[Send | Wait, Completion | ModelError | None, Completion]


@dataclass
class Usage:
    """What a session has used so far; a number that is not known is ``None``, never 0.

    ``reasoning_tokens`` are among the completion's tokens, ``cached_tokens`` among the prompt's.
    """

    calls: int = 0
    retries: int = 0
    replayed: int = 0
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    cost: float | None = 0.0
    reasoning_tokens: int | None = 0
    cached_tokens: int | None = 0

    def add(self, answer: Completion) -> None:
        """Counts one answer."""
        self.calls += 1
        self.prompt_tokens = _sum(self.prompt_tokens, answer.prompt_tokens)
        self.completion_tokens = _sum(self.completion_tokens, answer.completion_tokens)
        self.cost = _sum(self.cost, answer.cost)
        # Servers leave these out where there are none.
        self.reasoning_tokens = _sum(self.reasoning_tokens, answer.reasoning_tokens or 0)
        self.cached_tokens = _sum(self.cached_tokens, answer.cached_tokens or 0)

    def lose_count(self) -> None:
        """A call failed that may have been charged for."""
        self.prompt_tokens = self.completion_tokens = self.cost = None
        self.reasoning_tokens = self.cached_tokens = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def total(cls, parts: Iterable[Usage]) -> Usage:
        """Several sessions together; what one does not know, the sum does not know."""
        whole = cls()
        for part in parts:
            for name in asdict(whole):
                setattr(whole, name, _sum(getattr(whole, name), getattr(part, name)))
        return whole


def _sum(so_far: Any, more: Any) -> Any:
    return None if so_far is None or more is None else so_far + more


class ModelSession:
    """Asks one model; one session per seat and episode (a cassette counts repetitions within it)."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.usage = Usage()
        self._gate = gate(model)
        self._tape = Tape(model.cassette, model.api_key) if model.cassette is not None else None

    def complete(self, request: Request) -> Completion:
        """One answer, after as many tries as it takes.

        Raises:
            ModelError: there is none; ``kind`` says why.
            InstallError: litellm is missing.
        """
        plan = self._plan(request)
        result: Completion | ModelError | None = None
        while True:
            try:
                step = plan.send(result)
            except StopIteration as done:
                return _answer(done)
            result = None
            if isinstance(step, Send):
                with self._gate.passed():
                    result = transport.send(self.model, step.body)
            else:
                time.sleep(step.seconds)

    async def acomplete(self, request: Request) -> Completion:
        """Async twin of `complete`."""
        plan = self._plan(request)
        result: Completion | ModelError | None = None
        while True:
            try:
                step = plan.send(result)
            except StopIteration as done:
                return _answer(done)
            result = None
            if isinstance(step, Send):
                async with self._gate.apassed():
                    result = await transport.asend(self.model, step.body)
            else:
                await asyncio.sleep(step.seconds)

    def _plan(self, request: Request) -> Plan:
        body = self.model.body(request)
        # Without a seed in the request, the episode tells apart what is otherwise the same.
        episode = None if "seed" in body else request.seed
        answer = self._tape.play(body, episode) if self._tape is not None else None
        if answer is not None:
            self.usage.replayed += 1
        else:
            answer = yield from self._tries(body)
            if self._tape is not None:
                self._tape.record(body, answer, episode)
        self.usage.add(answer)
        return answer

    def _tries(self, body: Mapping[str, Any]) -> Plan:
        jitter: np.random.Generator | None = None
        tried = 0
        while True:
            answer = yield Send(body)
            tried += 1
            if isinstance(answer, Completion):
                return answer
            assert answer is not None
            if answer.billed:
                self.usage.lose_count()
            if not answer.passes or tried > self.model.retries:
                raise _after(answer, tried)
            self.usage.retries += 1
            if jitter is None:
                jitter = np.random.default_rng(zlib.crc32(json.dumps(body, sort_keys=True, default=str).encode()))
            yield Wait(self._pause(answer, tried, float(jitter.uniform(0.75, 1.25))))

    def _pause(self, error: ModelError, tried: int, jitter: float) -> float:
        """Seconds before the next try: what the server asked for, or a back-off that doubles."""
        longest = self.model.max_wait
        if error.retry_after is None:
            return min(self.model.backoff * 2.0 ** (tried - 1) * jitter, longest)
        if error.retry_after > longest:
            more = f"the server asks to wait {error.retry_after:g} s, longer than max_wait={longest:g}"
            raise ModelError(f"{error}; {more}", error.kind, True, error.retry_after)
        return error.retry_after


def _answer(done: StopIteration) -> Completion:
    assert isinstance(done.value, Completion)
    return done.value


def _after(error: ModelError, tried: int) -> ModelError:
    if tried == 1:
        return error
    return ModelError(f"{error} (tried {tried} times)", error.kind, error.passes, error.retry_after, error.billed)
