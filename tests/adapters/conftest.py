"""The oracle's moves as the texts and messages that a model would write."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from usersim_env import ScriptedUser
from usersim_env.adapters import EpisodeSettings
from usersim_env.baselines import Oracle
from usersim_env.errors import UserSideError
from usersim_env.messages import RESPOND


@pytest.fixture(autouse=True)
def _no_tallies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test counts for itself."""
    monkeypatch.setattr("usersim_env.adapters.episode._TALLIES", {})


Move = Callable[[], Any]


def hermes(action: dict[str, Any]) -> str:
    if action["name"] == RESPOND:
        return str(action["arguments"]["content"])
    return f"<tool_call>{json.dumps(action)}</tool_call>"


def react(action: dict[str, Any]) -> str:
    if action["name"] == RESPOND:
        return f"Final Answer: {action['arguments']['content']}"
    return f"Action: {action['name']}\nAction Input: {json.dumps(action['arguments'])}"


def message(action: dict[str, Any]) -> dict[str, Any]:
    if action["name"] == RESPOND:
        return {"role": "assistant", "content": action["arguments"]["content"]}
    function = {"name": action["name"], "arguments": json.dumps(action["arguments"])}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "type": "function", "function": function}]}


WRITERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "hermes": hermes,
    "react": react,
    "message": message,
    "call": lambda action: action,
}


@pytest.fixture(scope="session")
def oracle() -> Callable[[str, str], Move]:
    """Of a task's id and a way to write: the next move at each call."""

    def begin(task_id: str, writes: str) -> Move:
        session = Oracle().begin({"task_id": task_id}, seed=0)
        return lambda: WRITERS[writes](session.act({"role": "user", "name": "user", "content": ""}))

    return begin


@pytest.fixture
def outage() -> EpisodeSettings:
    """A user side that breaks at its first reply."""
    user = ScriptedUser(("Hello.", UserSideError("The line is dead.", "outage")))
    return EpisodeSettings("TauMock-v0", {"user": user})


@pytest.fixture
def dead() -> EpisodeSettings:
    """A user side that breaks at its opening."""
    return EpisodeSettings("TauMock-v0", {"user": ScriptedUser((UserSideError("Nobody there.", "outage"),))})


class Endpoint:
    """An OpenAI-compatible server on this machine that streams what ``move`` gives.

    Attributes:
        url: its address.
        move: the text of the next answer; set before an episode.
        bodies: the requests that came.
    """

    def __init__(self) -> None:
        self.move: Move = lambda: "Hello."
        self.bodies: list[dict[str, Any]] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                endpoint.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                sent = streamed(endpoint.move())
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"


def streamed(text: str) -> bytes:
    base = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "oracle"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    words = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    chunks: list[dict[str, Any]] = [{**base, "choices": [words]}, {**base, "choices": [end], "usage": usage}]
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks).encode() + b"data: [DONE]\n\n"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()
