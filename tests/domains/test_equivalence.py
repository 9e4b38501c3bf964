"""The same calls on τ-bench's own engine and on ours: the same observations, database and reward.

`make test` runs a seeded tenth of the tasks, `make equivalence` every task of every split.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import pytest

from usersim_env.domains import Domain, Task, World, get_domain, tau_bench
from usersim_env.domains.canonical import copied
from usersim_env.domains.upstream_engine import UpstreamEngine
from usersim_env.errors import InstallError
from usersim_env.feedback import scoring
from usersim_env.messages import ToolCall, ToolResult

SPLITS = {"retail/test": 115, "retail/train": 500, "retail/dev": 20, "airline/test": 50}
TRANSFER = "transfer_to_human_agents"
READY = "Your request is taken care of."


class Seen(NamedTuple):
    """What came of one variant on one engine."""

    observations: list[str]
    database: str
    right_database: bool
    reward: float


@cache
def upstream(split: str) -> tuple[UpstreamEngine, Any]:
    domain, name = split.split("/")
    try:
        engine = UpstreamEngine(domain)
    except InstallError as error:
        pytest.skip(str(error))
    return engine, engine.make(name)


# Variants


def variants(task: Task, domain: Domain) -> Iterator[tuple[str, list[ToolCall], list[str]]]:
    """Name, calls, and what the agent says to the user."""
    calls, rng = list(task.expected_calls), random.Random(f"equivalence {task.id}")
    outputs = [f"{READY} It is {output}." for output in task.required_outputs]
    yield "expected", calls, outputs
    yield "without the last", calls[:-1], outputs
    extended = list(calls)
    for _ in range(3):
        end = len(extended) - any(call.name == TRANSFER for call in extended)
        extended.insert(rng.randint(0, end), random_call(domain, rng))
    yield "three random calls added", extended, [READY, *outputs]
    yield "nothing", [], []


def random_call(domain: Domain, rng: random.Random) -> ToolCall:
    """A call that is valid by its tool's schema, with ids that exist and belong together."""
    tool = rng.choice([tool for name, tool in sorted(domain.tools.items()) if name != TRANSFER])
    values = (retail_values if domain.name == "retail" else airline_values)(tool.name, domain.data, rng)
    arguments = {}
    for name, schema in tool.schema["function"]["parameters"]["properties"].items():
        arguments[name] = values[name] if name in values else rng.choice(schema.get("enum") or ["no", "Austin"])
    if tool.name == "book_reservation":
        pay_in_full(arguments, domain.data)
    return ToolCall(tool.name, arguments)


def retail_values(tool: str, data: Any, rng: random.Random) -> dict[str, Any]:
    status = "pending" if "pending" in tool else "delivered" if "delivered" in tool else ""
    order = rng.choice([order for order in data["orders"].values() if status in order["status"]])
    user = data["users"][order["user_id"]]
    items = rng.sample(order["items"], rng.randint(1, min(2, len(order["items"]))))
    variants = [rng.choice(list(data["products"][item["product_id"]]["variants"])) for item in items]
    return {
        **user["address"],
        "address1": f"{rng.randint(1, 999)} Elm Street",
        "email": user["email"],
        "expression": f"{rng.randint(1, 99)} * ({rng.random():.3f} + {rng.randint(0, 9)})",
        "first_name": user["name"]["first_name"],
        "item_ids": [item["item_id"] for item in items],
        "last_name": user["name"]["last_name"],
        "new_item_ids": variants,
        "order_id": order["order_id"],
        "payment_method_id": rng.choice(list(user["payment_methods"])),
        "product_id": rng.choice(list(data["products"])),
        "reason": rng.choice(["no longer needed", "ordered by mistake"]),
        "thought": "Let me see.",
        "user_id": order["user_id"],
    }


def airline_values(tool: str, data: Any, rng: random.Random) -> dict[str, Any]:
    reservation = rng.choice(list(data["reservations"].values()))
    user = data["users"][reservation["user_id"]]
    flight = rng.choice([f for f in data["flights"].values() if open_dates(f)])
    leg = {"flight_number": flight["flight_number"], "date": rng.choice(open_dates(flight))}
    return {
        "amount": rng.choice([50, 100, 150.5]),
        "cabin": reservation["cabin"],
        "date": leg["date"],
        "destination": flight["destination"],
        "expression": f"{rng.randint(1, 99)} / {rng.randint(0, 3)}",
        "flights": rng.choice([[leg], copied(reservation["flights"])]),
        "nonfree_baggages": rng.randint(0, 2),
        "origin": flight["origin"],
        "passengers": [{**p, "dob": "1990-04-05"} for p in reservation["passengers"]],
        "payment_id": rng.choice(list(user["payment_methods"])),
        "payment_methods": [{"payment_id": rng.choice(list(user["payment_methods"])), "amount": 0}],
        "reservation_id": reservation["reservation_id"],
        "thought": "Let me see.",
        "total_baggages": rng.randint(2, 4),
        "user_id": reservation["user_id"],
    }


def open_dates(flight: Any) -> list[str]:
    return [date for date, on in flight["dates"].items() if on["status"] == "available"]


def pay_in_full(booking: dict[str, Any], data: Any) -> None:
    count = len(booking["passengers"])
    total = 50 * booking["nonfree_baggages"] + 30 * count * (booking["insurance"] == "yes")
    for leg in booking["flights"]:
        on = data["flights"][leg["flight_number"]]["dates"][leg["date"]]
        total += count * on.get("prices", {}).get(booking["cabin"], 0)
    booking["payment_methods"][0]["amount"] = total


# The two engines


def play_upstream(
    engine: UpstreamEngine, env: Any, index: int, calls: Sequence[ToolCall], texts: Sequence[str]
) -> list[str]:
    """A transfer is stepped like any other tool: upstream would score at once, and put another database in place."""
    env.reset(index)
    env.terminate_tools = []
    actions = [engine.action(name=c.name, kwargs=copy.deepcopy(dict(c.arguments))) for c in calls]
    observations = [env.step(action).observation for action in actions]
    for text in texts:
        env.step(engine.action(name="respond", kwargs={"content": text}))
    env.terminate_tools = [TRANSFER]
    return observations


def score_upstream(env: Any, known: Sequence[str] = ()) -> tuple[float, str, str]:
    """Upstream's own `calculate_reward`: the reward, the hash of the database, the hash of the expected one.

    With both hashes ``known``, it is spared half a second of computing them again.
    """
    hashes, compute, load = list(known), type(env).get_data_hash, env.data_load_func

    def get_data_hash() -> str:
        if not known:
            hashes.append(compute(env))
            return hashes[-1]
        return hashes.pop(0)

    env.get_data_hash = get_data_hash
    if known:
        env.data_load_func, env.task = dict, env.task.model_copy(update={"actions": []})
    try:
        reward = float(env.calculate_reward().reward)
    finally:
        env.data_load_func = load
        del env.get_data_hash
    database, right = known or hashes
    return reward, database, right


@cache
def untouched_hash(split: str) -> str:
    env = upstream(split)[1]
    env.reset(0)
    return str(env.get_data_hash())


def play_ours(task: Task, domain: Domain, calls: Sequence[ToolCall], texts: Sequence[str]) -> Seen:
    world = World(domain)
    observations = [world.call(call).content for call in calls]
    before = world.digest()
    checks = scoring.check(task, world, texts)
    assert world.digest() == before, "scoring changed what it scored"
    return Seen(observations, world.upstream_hash(), checks["database"], scoring.reward(checks))


def compare(task: Task) -> tuple[Counter[str], list[str]]:
    """Plays every variant of a task on both engines; counts, and a line for each difference."""
    domain = get_domain(task.domain)
    engine, env = upstream(f"{task.domain}/{task.split}")
    index, untouched = int(task.id.split("/")[2]), untouched_hash(f"{task.domain}/{task.split}")
    counts, differences, right = Counter[str](tasks=1), [], ""
    for name, calls, texts in variants(task, domain):
        observations = play_upstream(engine, env, index, calls, texts)
        if name == "expected":
            reward, database, right = score_upstream(env)
        else:
            database = env.get_data_hash() if calls else untouched
            reward = score_upstream(env, (database, right))[0]
        theirs = Seen(observations, database, database == right, reward)
        ours = play_ours(task, domain, calls, texts)
        counts.update(variants=1, steps=len(calls) + len(texts), rewarded=int(reward))
        for field, a, b in zip(Seen._fields, theirs, ours, strict=True):
            if a != b:
                differences.append(f"{task.id}, {name}: {field}: upstream {a!r:.300}, ours {b!r:.300}")
    counts["differences"] = len(differences)
    return counts, differences


def sampled() -> list[str]:
    """A seeded tenth of every split."""
    found = []
    for split, count in SPLITS.items():
        found += [f"{split}/{i}" for i in sorted(random.Random(split).sample(range(count), -(-count // 10)))]
    return found


def find(task_id: str) -> Task:
    try:
        return get_domain(task_id.split("/")[0]).task(task_id)
    except InstallError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", autouse=True)
def _base_unchanged() -> Iterator[None]:
    """After every test of this file, the shared databases are still what was verified when they were loaded.

    Garbage collection is off: upstream's hash makes a million tuples, and twice the time would go into counting them.
    """
    gc.disable()
    yield
    gc.enable()
    with contextlib.suppress(InstallError):
        assert_bases_are_unchanged()


def assert_bases_are_unchanged() -> None:
    for name, source in tau_bench.SOURCES.items():
        assert tau_bench.content_hash(get_domain(name).data) == source.hashes["data"], name


@pytest.mark.parametrize("task_id", sampled())
def test_a_tenth_of_the_tasks_plays_alike(task_id: str) -> None:
    counts, differences = compare(find(task_id))
    assert counts["variants"] == 4
    assert not differences, "\n".join(differences)


@pytest.mark.parametrize("domain", ["retail", "airline"])
def test_the_random_calls_reach_every_tool_and_change_something(domain: str) -> None:
    found, rng = get_domain(domain), random.Random(1)
    changed: Counter[str] = Counter()
    for _ in range(400):
        world, call = World(found), random_call(found, rng)
        world.call(call)
        changed[call.name] += bool(world.changed())
    assert set(changed) == set(found.tools) - {TRANSFER}
    assert found.written is not None
    assert {name for name, count in changed.items() if count} == set(found.written)


def misread(self: World, call: ToolCall) -> ToolResult:
    return ToolResult(call.name, READY)


PLANTED: dict[str, tuple[object, str, Callable[..., object]]] = {
    "observations": (World, "call", misread),
    "database": (World, "upstream_hash", lambda self: "0"),
    "right_database": (World, "changed", lambda self: {}),
    "reward": (scoring, "reward", lambda checks: 0.5),
}


@pytest.mark.parametrize("field", PLANTED)
def test_a_planted_difference_is_found(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task = find("retail/test/0")
    get_domain("retail").expected_changes(task)  # is kept for the process: not to be made by a planted fault
    monkeypatch.setattr(*PLANTED[field])
    assert any(f": {field}: upstream" in line for line in compare(task)[1])


@pytest.mark.slow
def test_every_task_of_every_split_plays_alike(capsys: pytest.CaptureFixture[str]) -> None:
    rows, differences = [], []
    for split, count in SPLITS.items():
        counts: Counter[str] = Counter()
        for index in range(count):
            found, lines = compare(find(f"{split}/{index}"))
            counts += found
            differences += lines
        cells = [counts[k] for k in ("tasks", "variants", "steps", "rewarded", "differences")]
        rows.append(f"| {split} | " + " | ".join(map(str, cells)) + " |")
        with capsys.disabled():
            print("\n" + rows[-1], flush=True)
    assert_bases_are_unchanged()
    assert not differences, "\n".join(differences)
