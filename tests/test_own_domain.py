"""Domains from outside: the page's example in every place that takes a domain, and clear errors for bad ones."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from usersim_env import ScriptedUser, Trace, read_traces, register_domain
from usersim_env.baselines import make_agent
from usersim_env.cli import main
from usersim_env.domains import LOADERS, Domain, Tool, get_domain, get_task, read_domain, tool_of
from usersim_env.errors import UnknownName, UsageError
from usersim_env.gap import GapSettings, compare
from usersim_env.multi_agent import AGENT, USER, UserPolicy, tau_v0
from usersim_env.registration import DOMAINS, SIDES, env_id, env_parts, load_plugin
from usersim_env.rollouts import RolloutSettings, rollout
from usersim_env.users.agenda import AgendaUser
from usersim_env.wrappers import make_vec

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/own_domain.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`(tea_shop/[\w./]+)`.*?```\w+\n(.*?)```", PAGE, re.M | re.S))
SCRIPTS = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.S) if block not in FILES.values()]
COMMANDS = re.findall(r"^    usersim-env (.+)$", PAGE, re.M)
ID = "TauTeaShop-agenda-v0"
QUIET = RolloutSettings(progress=False)


@pytest.fixture(autouse=True)
def nothing_stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ids, names and modules of this test are gone after it."""
    ids, names, known, modules = set(gym.registry), dict(DOMAINS), dict(LOADERS), set(sys.modules)
    yield
    for name in set(gym.registry) - ids:
        del gym.registry[name]
    for old, now in ((names, DOMAINS), (known, LOADERS)):
        for name in set(now) - set(old):
            del now[name]
    for name in set(sys.modules) - modules:
        if name.startswith(("my_", "tools_of_")):
            del sys.modules[name]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The page's files."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "tea_shop"


def in_a_process(folder: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


# -- the page ----------------------------------------------------------------------------------------------------------


def test_the_page_has_a_whole_domain_of_about_sixty_lines() -> None:
    assert set(FILES) == {
        f"tea_shop/{part}" for part in ("policy.md", "tools.py", "data/orders.json", "tasks/test.json")
    }
    assert len(SCRIPTS) == 1 and len(COMMANDS) == 3
    assert sum(text.count("\n") for text in FILES.values()) <= 70


def test_the_page_runs_in_a_process_of_its_own(shop: Path) -> None:
    assert in_a_process(shop.parent, "-c", SCRIPTS[0]) == ""


def test_the_commands_of_the_page_run(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop.parent)
    printed = []
    for line in COMMANDS:
        assert main(line.split()) == 0
        printed.append(capsys.readouterr().out)
    assert "tea_shop/test/1" in printed[0]
    assert "success 1.000; 2 scored" in printed[1]
    assert re.search(r"^episodes: 2$", printed[2], re.M)


def test_the_checking_page_runs(tmp_path: Path) -> None:
    page = (ROOT / "docs/checking.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.S)
    assert in_a_process(tmp_path, "-W", "ignore", "-c", block).endswith("{}\n")


# -- wherever a domain goes --------------------------------------------------------------------------------------------


def timeless(trace: Trace) -> Trace:
    return dataclasses.replace(trace, provenance=dataclasses.replace(trace.provenance, started="", seconds=0.0))


def test_it_has_every_id_and_its_tasks(shop: Path) -> None:
    register_domain(shop)
    assert env_id("tea_shop", "llm") == "TauTeaShop-llm-v0" and env_parts(ID) == ("tea_shop", "agenda")
    assert all(env_id("tea_shop", side) in gym.registry for side in SIDES)
    assert get_task("tea_shop/test/1").instruction.startswith("Your name is Raj")
    domain = get_domain("tea_shop")
    assert domain.source["package"] == "tea_shop" and re.fullmatch("[0-9a-f]{12}", domain.source["version"])
    assert domain.written == {"change_tea": frozenset({"orders"})}
    schema = domain.tools["change_tea"].schema["function"]
    assert schema["description"].startswith("Changes an open order")
    assert schema["parameters"] == {
        "type": "object",
        "properties": {
            "order_id": {"type": "string"},
            "tea": {"type": "string", "enum": ["assam", "oolong", "sencha"]},
        },
        "required": ["order_id", "tea"],
    }


def test_an_edited_domain_has_another_version(shop: Path) -> None:
    before = read_domain(shop).source
    (shop / "policy.md").write_text("Be kind.", encoding="utf-8")
    assert read_domain(shop).source != before


def test_pettingzoo_gives_the_same_trace(shop: Path) -> None:
    register_domain(shop)
    result = rollout(make_agent("oracle"), ID, QUIET)
    assert result.success == 1.0 and rollout(make_agent("silent"), ID, QUIET).success == 0.5
    env: Any = tau_v0.env(domain="tea_shop")
    env.unwrapped.agent_seat = result.traces[0].agent
    policies = {USER: UserPolicy(AgendaUser(), env), AGENT: None}
    env.reset(seed=0, options={"task_id": "tea_shop/test/0"})
    calls = [event for event in result.traces[0].events if event["event"] == "act"]
    for name in env.agent_iter(100):
        observation, _, terminated, truncated, info = env.last()
        if terminated or truncated:
            env.step(None)
        elif name == USER:
            env.step(policies[USER](observation, info))  # type: ignore[misc]
        else:
            event = calls.pop(0)
            env.step({"name": event["name"], "arguments": event["arguments"]})
    assert timeless(env.unwrapped.trace()).events == timeless(result.traces[0]).events


def test_the_gap_of_two_user_sides_on_it(shop: Path) -> None:
    register_domain(shop)
    sim, reference = (
        rollout(make_agent("oracle"), ID, dataclasses.replace(QUIET, seeds=range(3), keywords={"persona": persona}))
        for persona in ("cooperative", "humanlike")
    )
    result = compare(sim.traces, reference.traces, GapSettings(seed=0, real=False))
    assert "tea_shop" in json.dumps(result.as_dict())


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_vector_envs(shop: Path, mode: Any) -> None:
    register_domain(shop)
    envs = make_vec(ID, 2, mode, tasks=["tea_shop/test/0"])
    _, infos = envs.reset(seed=0)
    assert infos["task_id"].tolist() == ["tea_shop/test/0"] * 2
    envs.close()


SPAWN = """
import sys
from usersim_env.wrappers import make_vec

if __name__ == "__main__":
    {register}
    envs = make_vec({id!r}, 2, "async", vector_kwargs={{"context": "spawn"}}, user=None)
    _, infos = envs.reset(seed=0)
    print(*infos["task_id"])
    envs.close()
"""
MODULE = "from usersim_env import register_domain\nfrom usersim_env.domains import read_domain\n"


@pytest.mark.parametrize(
    ("register", "name"),
    [
        ("from usersim_env import register_domain; register_domain('tea_shop')", ID),
        ("pass", f"my_shop:{ID}"),
    ],
    ids=["folder", "module:id"],
)
def test_worker_processes_that_are_not_forked_find_it(shop: Path, register: str, name: str) -> None:
    (shop.parent / "my_shop.py").write_text(MODULE + "register_domain(read_domain('tea_shop'), plugin=__name__)\n")
    (shop.parent / "run.py").write_text(SPAWN.format(register=register, id=name))
    assert "tea_shop/test/" in in_a_process(shop.parent, "run.py")


def test_a_worker_that_cannot_find_it_says_what_to_type(shop: Path) -> None:
    register_domain(read_domain(shop))
    del LOADERS["tea_shop"]  # as in a process that was not forked
    with pytest.raises(UnknownName, match=r"Unknown domain 'tea_shop'.*register_domain\(domain, plugin=__name__\)"):
        gym.make(ID)


def test_a_module_on_the_command_line(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop.parent / "my_shop.py").write_text(MODULE + f"register_domain({str(shop)!r})\n")
    monkeypatch.chdir(shop.parent)
    monkeypatch.syspath_prepend(shop.parent)
    words = ["rollout", "--env", f"my_shop:{ID}", "--agent", "oracle", "--tasks", "0", "--out", "o.jsonl"]
    assert main(words) == 0
    assert main(["rescore", "o.jsonl", "--plugin", "my_shop", "--plugin", "tea_shop"]) == 0
    assert [t.task_id for t in read_traces("o.jsonl")] == ["tea_shop/test/0"]
    assert main(["tasks", "--plugin", "my_shp"]) == 2
    error = capsys.readouterr().err
    assert "'my_shp' is neither a folder with a domain (tools.py, …) nor a module that imports" in error


def test_a_plugin_is_loaded_once_and_another_folder_of_that_name_is_a_clash(shop: Path, tmp_path: Path) -> None:
    load_plugin(str(shop))
    load_plugin(os.path.relpath(shop))
    other = tmp_path / "other" / "tea_shop"
    other.parent.mkdir()
    shop.rename(other)
    with pytest.raises(UsageError, match="The ids TauTeaShop-… belong to the domain 'tea_shop' already"):
        load_plugin(str(other))


def test_a_domain_without_writers_is_copied_per_episode(shop: Path) -> None:
    domain = dataclasses.replace(read_domain(shop), written=None, name="tea_shop")
    register_domain(domain)
    assert rollout(make_agent("oracle"), ID, QUIET).success == 1.0
    assert domain.data["orders"]["O-1"]["tea"] == "assam"


# -- bad ones ----------------------------------------------------------------------------------------------------------


TOOLS, TASKS, DATA = "tools.py", "tasks/test.json", "data/orders.json"
BAD: list[tuple[tuple[str, str, str], str]] = [
    ((TASKS, '"find_order"', '"find_ordr"'), "tea_shop/test/0: expects a call of 'find_ordr', which is no tool"),
    ((TASKS, '"email":', '"mail":'), r"test/0: expects find_order\(mail\), which takes email and needs email"),
    ((TASKS, '"O-1"', "[]"), r"tea_shop/test/0: change_tea\(order_id=\[\], .*raised TypeError: unhashable"),
    ((TASKS, '["18.00"]', '"18.00"'), "test.json: task 0 is an object.*required_outputs is a list of texts"),
    ((TASKS, '["18.00"]', "[18]"), r"tea_shop/test/0: required_outputs is a tuple of texts, got \(18,\)"),
    ((TASKS, '"expected_calls": [{', '"expected": [{'), "test.json: task 1 .*unknown field expected"),
    ((TASKS, "[\n  {", "{\n  {"), "test.json is not JSON"),
    ((TASKS, FILES["tea_shop/" + TASKS], "{}"), "test.json holds a list of tasks"),
    ((TASKS, FILES["tea_shop/" + TASKS], "[]"), r"splits: 'test' has no task \(splits: test\)"),
    ((TASKS, "instruction", "text"), "test.json: task 0 .*unknown field text"),
    ((DATA, "200", "NaN"), "data: the table 'orders' is not JSON: Out of range float"),
    ((DATA, FILES["tea_shop/" + DATA], "[]"), "orders.json holds an object, key → record"),
    (("policy.md", FILES["tea_shop/policy.md"], " "), "policy is the text that the agent is given"),
    (
        (TOOLS, ", email: str", ", email"),
        "tools.py: The tool find_order gives no type for email",
    ),
    ((TOOLS, ", email: str", ", email: map"), "find_order has a type that JSON does not have"),
    (
        (TOOLS, '    """The orders of the customer with an e-mail."""\n', ""),
        "find_order has no docstring",
    ),
    (
        (TOOLS, "(data: dict[str, Any], email", "(db: dict[str, Any], email"),
        "takes the database first",
    ),
    ((TOOLS, "TOOLS = [", "TOOL = ["), r"tools.py has a list TOOLS of functions.*got None"),
    ((TOOLS, "import json", "import jsn"), "tools.py cannot be run: ModuleNotFoundError: No module named 'jsn'"),
    (
        (TOOLS, '{"change_tea": ["orders"]}', "{}"),
        "the shared table orders was written",
    ),
    ((TOOLS, ': ["orders"]}', ': ["teas"]}'), "written: change_tea writes 'teas', which is no table"),
    ((TOOLS, '{"change_tea":', '{"change":'), "written: 'change' is no tool"),
    ((TOOLS, "WRITTEN = ", "TERMINAL = ['bye']\nWRITTEN = "), "terminal: 'bye' is no tool"),
    ((TOOLS, 'order["tea"] = tea', 'order["at"] = len(str(LOG)); LOG.append(1)'), "another database each time"),
    ((TOOLS, 'return f"changed', 'LOG.append(1); return f"{len(LOG)} changed'), "answers '.*to the same call"),
    ((TOOLS, "return json.dumps(found) if", "return found if"), "raised TypeError: find_order returned no text"),
    ((TOOLS, "found = {", 'data["orders"]["O-1"]["seen"] = 1; found = {'), "shared table orders was written"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_a_bad_domain_is_a_clear_error(shop: Path, change: tuple[str, str, str], message: str) -> None:
    part, old, new = change
    text = (shop / part).read_text(encoding="utf-8")
    assert old in text
    (shop / part).write_text(
        text.replace(old, new, 1).replace("import json\n", "import json\nLOG = []\n"), encoding="utf-8"
    )
    with pytest.raises(UsageError, match=message):
        register_domain(shop)
    assert "tea_shop" not in LOADERS and "TeaShop" not in DOMAINS and ID not in gym.registry


@pytest.mark.parametrize("part", ["policy.md", "tools.py", "data/orders.json", "tasks/test.json"])
def test_a_missing_part_is_named(shop: Path, part: str) -> None:
    (shop / part).unlink()
    missing = part if "/" not in part else part.split("/")[0] + r"/\*.json"
    with pytest.raises(UsageError, match=f"has no {missing}. A domain is a folder with policy.md, data/<table>.json"):
        register_domain(shop)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere is no folder\. A domain is a folder with policy.md"):
        register_domain(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["Tea", "tea-shop", "tea shop", "_tea", "tea__shop", "téa", ""])
def test_bad_names(shop: Path, name: str) -> None:
    with pytest.raises(UsageError, match="name is small letters, digits and single underscores such as 'tea_shop'"):
        register_domain(dataclasses.replace(read_domain(shop), name=name))


@pytest.mark.parametrize("name", ["retail", "mock", "tea_shop"])
def test_names_that_are_taken(shop: Path, name: str) -> None:
    register_domain(shop)
    with pytest.raises(UsageError, match=rf"The ids Tau\w+-… belong to the domain '{name}' already: take another name"):
        register_domain(dataclasses.replace(read_domain(shop), name=name))


def test_two_names_of_one_id(shop: Path) -> None:
    tasks = tuple(dataclasses.replace(t, id=t.id.replace("tea_shop", "tea_2"), domain="tea_2") for t in _tasks(shop))
    register_domain(dataclasses.replace(read_domain(shop), name="tea_2", splits={"test": tasks}))
    with pytest.raises(UsageError, match="The ids TauTea2-… belong to the domain 'tea_2' already"):
        register_domain(dataclasses.replace(read_domain(shop), name="tea2"))


def _tasks(shop: Path) -> Any:
    return read_domain(shop).splits["test"]


def test_every_reason_is_listed(shop: Path) -> None:
    domain = read_domain(shop)
    schemaless = Tool("find_order", {}, domain.tools["find_order"].invoke)
    speaking = Tool("respond", domain.tools["find_order"].schema, lambda data: "")
    strange = dataclasses.replace(
        domain,
        tools={"find_order": schemaless, "respond": speaking, "change_tea": domain.tools["find_order"]},
        data={"orders": {1: ()}},  # type: ignore[dict-item]
        splits={"test": (domain.splits["test"][1], "a task")},  # type: ignore[dict-item]
    )
    with pytest.raises(UsageError) as caught:
        register_domain(strange)
    text = str(caught.value)
    for reason in (
        "- data: the table 'orders' is key → record of JSON values",
        "- tools: find_order has no schema of the shape",
        "- tools: 'respond' holds the tool 'respond'; the two are the same, and not 'respond'",
        "- tools: 'change_tea' holds the tool 'find_order'",
        "- tea_shop/test/0: got id='tea_shop/test/1'",
        "- tea_shop/test/1 is a Task, got str",
        "See docs/own_domain.md",
    ):
        assert reason in text


def test_tools_that_are_no_functions() -> None:
    with pytest.raises(UsageError, match="A tool is a function"):
        tool_of(3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a folder, got dict"):
        register_domain({})  # type: ignore[arg-type]


def test_optional_and_nested_arguments() -> None:
    def order(data: Any, teas: list[str], note: str = "", grams: int = 100) -> str:
        """Orders teas."""
        return f"{teas} {note} {grams}"

    parameters = tool_of(order).schema["function"]["parameters"]
    assert parameters["required"] == ["teas"]
    assert parameters["properties"]["teas"] == {"type": "array", "items": {"type": "string"}}
    assert parameters["properties"]["grams"] == {"type": "integer", "default": 100}


def test_a_tool_without_arguments() -> None:
    def list_all(data: Any) -> str:
        """Everything."""
        return str(data)

    assert tool_of(list_all).schema["function"]["parameters"] == {"type": "object", "properties": {}}


def test_what_is_registered_is_what_was_built(shop: Path) -> None:
    domain: Domain = read_domain(shop)
    register_domain(domain, plugin="my_shop")
    assert get_domain("tea_shop") is domain
    assert gym.spec("TauTeaShop-v0").kwargs["plugin"] == "my_shop"
    env = gym.make("TauTeaShop-v0", user=ScriptedUser(("hi",)))
    assert env.reset(seed=0)[1]["policy"] == FILES["tea_shop/policy.md"]
