"""Finding, verifying and entering the installed τ-bench."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from usersim_env.domains import Domain, Task, World, get_domain, get_task, tau_bench
from usersim_env.domains.canonical import canonical
from usersim_env.errors import InstallError
from usersim_env.messages import ToolCall

COUNTS = {"retail": {"test": 115, "train": 500, "dev": 20}, "airline": {"test": 50}}
RECORDS = {
    "retail": {"orders": 1000, "products": 50, "users": 500},
    "airline": {"flights": 300, "reservations": 2000, "users": 500},
}


@pytest.fixture(params=["retail", "airline"])
def domain(request: pytest.FixtureRequest) -> Domain:
    return load(request.param)


def load(name: str) -> Domain:
    try:
        return get_domain(name)
    except InstallError as error:
        pytest.skip(str(error))


def test_it_is_all_there_and_nothing_else(domain: Domain) -> None:
    assert {split: len(tasks) for split, tasks in domain.splits.items()} == COUNTS[domain.name]
    assert {name: len(table) for name, table in domain.data.items()} == RECORDS[domain.name]
    assert len(domain.tools) == {"retail": 16, "airline": 14}[domain.name]
    assert domain.policy.lstrip().startswith("# ")
    assert domain.source["package"] in tau_bench.PACKAGES
    assert domain.written is not None
    assert set(domain.written) < set(domain.tools)


def test_ids_count_within_a_split(domain: Domain) -> None:
    for split, tasks in domain.splits.items():
        assert [task.id for task in tasks] == [f"{domain.name}/{split}/{i}" for i in range(len(tasks))]
    assert get_task(f"{domain.name}/test/17") is domain.tasks("test")[17]


def test_every_expected_call_names_a_tool(domain: Domain) -> None:
    tasks = [task for tasks in domain.splits.values() for task in tasks]
    assert {call.name for task in tasks for call in task.expected_calls} <= set(domain.tools)
    assert len({task.hash for task in tasks}) > 0.9 * len(tasks)


def test_required_outputs_are_as_many_as_known(domain: Domain) -> None:
    with_outputs = sum(bool(task.required_outputs) for task in domain.tasks("test"))
    assert with_outputs == {"retail": 37, "airline": 4}[domain.name]


def test_doing_nothing_is_right_on_as_many_tasks_as_upstream(domain: Domain) -> None:
    tasks = [task for task in domain.tasks("test") if not task.required_outputs]
    assert sum(not domain.expected_changes(task) for task in tasks) == {"retail": 7, "airline": 19}[domain.name]


def arguments_of(domain: Domain, name: str) -> list[dict[str, Any]]:
    tasks = [task for tasks in domain.splits.values() for task in tasks]
    calls = [dict(c.arguments) for task in tasks for c in task.expected_calls if c.name == name]
    properties = domain.tools[name].schema["function"]["parameters"]["properties"]
    return [*calls[:40], dict.fromkeys(properties, "no such thing")]


def test_reader_tools_leave_the_base_as_it_is(domain: Domain) -> None:
    """Readers get the base's own records, so one that writes would change every episode of the process."""
    assert domain.written is not None
    before = canonical(domain.data)
    for name in set(domain.tools) - set(domain.written):
        for arguments in arguments_of(domain, name):
            World(domain).call(ToolCall(name, arguments))
        assert canonical(domain.data) == before, f"{name} writes and is not declared a writer"
    for name in domain.written:
        for arguments in arguments_of(domain, name):
            World(domain).call(ToolCall(name, arguments))
        assert canonical(domain.data) == before, f"{name} reached the base"


def test_writers_write_only_the_tables_that_are_declared(domain: Domain) -> None:
    assert domain.written is not None
    for name, tables in domain.written.items():
        for arguments in arguments_of(domain, name):
            world = World(domain)
            world.call(ToolCall(name, arguments))
            assert {table for table, _ in world.changed()} <= tables


# Verification


@pytest.mark.parametrize("name", ["retail", "airline"])
def test_every_part_is_verified(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load(name)
    source, hashes = tau_bench.SOURCES[name], dict(tau_bench.SOURCES[name].hashes)
    assert set(hashes) == {"data", "code", "tools", "policy", *source.splits}
    for part in hashes:
        monkeypatch.setitem(source.__dict__, "hashes", {**hashes, part: "0" * 64})
        with pytest.raises(InstallError, match=f"^The {part} of {name} in the installed "):
            tau_bench.load.__wrapped__(name)
    assert get_domain(name) is get_domain(name), "a failed load spoils nothing"


@pytest.mark.parametrize(
    ("part", "file", "old", "new"),
    [
        ("data", "data/users.json", "Yusuf", "Josef"),
        ("code", "tools/cancel_pending_order.py", '"cancelled"', '"canceled"'),
        ("tools", "tools/get_order_details.py", "Get the status", "Fetch the status"),
        ("policy", "wiki.md", "retail agent", "shop agent"),
        ("test", "tasks_test.py", "credit card", "debit card"),
    ],
)
def test_a_tampered_copy_is_refused(
    part: str, file: str, old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load("retail")
    spec = importlib.util.find_spec(package := tau_bench.installed())
    assert spec is not None and spec.origin is not None
    shutil.copytree(Path(spec.origin).parent / "envs" / "retail", tmp_path / package / "envs" / "retail")
    for name in ("types.py", "envs/tool.py"):
        shutil.copy(Path(spec.origin).parent / name, tmp_path / package / name)
    (tmp_path / package / "__init__.py").write_text("raise RuntimeError('the package itself was imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert tau_bench.load.__wrapped__("retail").tasks() == get_domain("retail").tasks()
    path = tmp_path / package / "envs" / "retail" / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(InstallError) as error:
        tau_bench.load.__wrapped__("retail")
    first = "code" if part == "tools" else part  # a schema is part of its tool's source
    assert str(error.value).startswith(f"The {first} of retail in the installed {package}")
    assert str(error.value).endswith(f"Results would not be comparable. Type: {tau_bench.INSTALL}")


def test_nothing_installed_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for package in tau_bench.PACKAGES:
        monkeypatch.delitem(sys.modules, package, raising=False)
    with pytest.raises(InstallError, match=r"Type: pip install --no-deps tau-trait==0\.1\.1"):
        tau_bench.load.__wrapped__("retail")


def test_the_original_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tau_bench", types.ModuleType("tau_bench"))
    assert tau_bench.installed() == "tau_bench"
    monkeypatch.setitem(sys.modules, "tau_bench", None)  # an import of it would fail
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name == "tau_trait" else None)
    assert tau_bench.installed() == "tau_trait"


# Entering the package


def make_package(folder: Path) -> None:
    for name, text in {
        "heavy/__init__.py": "from heavy.parts import OF\nREAL = True\n",
        "heavy/parts/__init__.py": "import there_is_no_such_sdk\nOF = 1\n",
        "heavy/parts/tool.py": "from heavy.kinds import KIND\nTOOL = KIND\n",
        "heavy/kinds.py": "KIND = 'kind'\n",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def modules(top: str) -> list[str]:
    return [name for name in sys.modules if name == top or name.startswith(top + ".")]


def test_parents_are_entered_without_running_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_package(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with tau_bench.paths_only("heavy", "heavy.parts"):
        assert importlib.import_module("heavy.parts.tool").TOOL == "kind"
    assert modules("heavy") == []
    with pytest.raises(ImportError), tau_bench.paths_only("heavy", "heavy.parts"):
        importlib.import_module("heavy.parts.missing")
    assert modules("heavy") == [], "also after a failure"
    monkeypatch.setitem(sys.modules, "there_is_no_such_sdk", types.ModuleType("there_is_no_such_sdk"))
    assert importlib.import_module("heavy").REAL, "a later import is the real one"
    with tau_bench.paths_only("heavy", "heavy.parts"):
        assert importlib.import_module("heavy.parts.tool").TOOL == "kind"
    assert sys.modules["heavy"].REAL, "and stays"
    for name in modules("heavy"):
        del sys.modules[name]


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_of_upstream_stays_imported() -> None:
    load("retail")
    code = """
import sys
from usersim_env.domains import get_domain
assert len(get_domain("retail").tasks()) == 115 and len(get_domain("airline").tasks()) == 50
print([name for name in sys.modules if name.startswith(("tau_trait", "tau_bench", "litellm"))])
"""
    assert run(code).strip() == "[]"


def test_tasks_pickle_where_upstream_is_not_importable(tmp_path: Path) -> None:
    task = load("retail").tasks()[17]
    path = tmp_path / "task.pickle"
    path.write_bytes(pickle.dumps(task))
    code = f"""
import pickle, sys
sys.modules["tau_trait"] = sys.modules["tau_bench"] = None
print(pickle.load(open({str(path)!r}, "rb")).hash)
"""
    assert run(code).strip() == task.hash


def test_the_calls_are_not_upstreams_own_objects() -> None:
    """Upstream's engine writes into the arguments of its tasks; ours must not move with them."""
    shared: list[Any] = [{"payment_id": "p"}]
    action = types.SimpleNamespace(name="book_reservation", kwargs={"payment_methods": shared})
    theirs = types.SimpleNamespace(instruction="", actions=[action], outputs=[])
    module: Any = types.ModuleType("made_up_root.tasks")
    module.TASKS = [theirs]
    sys.modules[module.__name__] = module
    try:
        (task,) = tau_bench._tasks("airline", "test", "made_up_root", "tasks", "TASKS", 1)
    finally:
        del sys.modules[module.__name__]
    shared.append("changed")
    assert isinstance(task, Task)
    assert task.expected_calls[0].arguments["payment_methods"] == [{"payment_id": "p"}]
