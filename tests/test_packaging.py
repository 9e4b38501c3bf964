"""What is declared, what is built, and what an import costs."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from usersim_env.version import __version__

FOLDERS = {
    "usersim_env": "usersim_env",
    "wrappers": "usersim_env/wrappers",
    "baselines": "usersim_env/baselines",
}
"""Top-level folder → where its files are in an installation."""

HEAVY = [
    "cma",
    "jinja2",
    "litellm",
    "matplotlib",
    "openenv",
    "skyrl_gym",
    "ray",
    "starlette",
    "tau_bench",
    "tau_trait",
    "torch",
    "transformers",
    "trl",
    "uvicorn",
    "verifiers",
    "verl",
    "websockets",
]
"""What belongs to an extra, or is installed beside the package: absent until it is used."""

LEAN = f"""
import importlib, sys
for name in {HEAVY}:
    sys.modules[name] = None  # an import of it now raises ImportError
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def run(*command: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **env},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def files_to_install(root: Path) -> set[str]:
    """Where each file of the three folders is after installation; links are not followed."""
    found = set()
    for folder, target in FOLDERS.items():
        for place, folders, names in os.walk(root / folder):
            folders[:] = [name for name in folders if name != "__pycache__"]
            inside = Path(target) / Path(place).relative_to(root / folder)
            found |= {(inside / name).as_posix() for name in names}
    return found


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    """The content of pyproject.toml."""
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    content: dict[str, Any] = toml.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from a source archive of a copy, so that the checkout stays clean."""
    copy = tmp_path_factory.mktemp("build") / "usersim_env"
    copy.mkdir()
    for name in FOLDERS:
        shutil.copytree(root / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(root / name, copy / name)
    done = run(sys.executable, "-m", "build", "--no-isolation", cwd=copy)
    assert done.returncode == 0, done.stdout
    return next((copy / "dist").glob("*.whl"))


def test_the_package_list_equals_the_folders(root: Path, project: dict[str, Any]) -> None:
    files = [Path(name) for name in files_to_install(root) if name.endswith(".py")]
    folders = {".".join(path.parent.parts) for path in files}
    assert sorted(folders) == project["tool"]["setuptools"]["packages"]
    assert {".".join(p.parent.parts) for p in files if p.name == "__init__.py"} == folders


@pytest.mark.parametrize("name", ["wrappers", "baselines"])
def test_the_links_lead_to_the_top_level_folders(root: Path, name: str) -> None:
    assert os.readlink(root / "usersim_env" / name) == f"../{name}"


@pytest.mark.parametrize("name", ["wrappers", "baselines"])
def test_the_short_name_is_refused(root: Path, name: str) -> None:
    done = run(sys.executable, "-c", f"import {name}", cwd=root)
    assert done.returncode == 1
    assert f"ImportError: import usersim_env.{name}, not {name}" in done.stdout
    assert run(sys.executable, "-c", f"import usersim_env.{name}", cwd=root).returncode == 0


def test_the_wheel_holds_every_file_once_and_nothing_else(root: Path, wheel: Path) -> None:
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    assert sorted(names) == sorted(files_to_install(root))


def test_the_wheel_brings_one_name_and_a_script_that_starts(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    options = ("--no-index", "--no-deps", "--no-compile", "--disable-pip-version-check", "--target", target)
    done = run(sys.executable, "-m", "pip", "install", *options, wheel, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    expected = {"bin", "usersim_env", f"usersim_env-{__version__}.dist-info"}
    assert {path.name for path in target.iterdir()} == expected

    started = run(target / "bin" / "usersim-env", "--help", cwd=tmp_path, PYTHONPATH=str(target))
    assert started.returncode == 0, started.stdout
    assert "usersim-env" in started.stdout
    where = "import usersim_env.wrappers as w, usersim_env.baselines as b; print(w.__file__, b.__file__)"
    located = run(sys.executable, "-c", where, cwd=tmp_path, PYTHONPATH=str(target))
    assert located.stdout.count(str(target)) == 2, located.stdout


def test_importing_the_package_loads_nothing_heavy(root: Path) -> None:
    code = "import sys, json, usersim_env; print(json.dumps(sorted(sys.modules)))"
    done = run(sys.executable, "-c", code, cwd=root)
    assert done.returncode == 0, done.stdout
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert "gymnasium" in loaded
    assert loaded & set(HEAVY) == set()


ON_FIRST_USE = {
    "study.admin",
    "study.server",
    "person.local",
    "person.sockets",
    "person.transport",
    "person.web",
    "llm.bounds",
}
"""Files that need an extra, a web server's or the model's, so they are loaded by name on first use."""


def test_every_module_can_be_imported_without_the_extras(root: Path) -> None:
    """Training scripts in baselines/ may want their libraries at once, and so may the web server; nothing else may."""
    names = [
        name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for name in sorted(files_to_install(root))
        if name.endswith(".py") and not name.startswith("usersim_env/baselines/")
    ]
    modules = [name for name in names if name.removeprefix("usersim_env.") not in ON_FIRST_USE]
    assert "usersim_env.errors" in modules and len(names) == len(modules) + len(ON_FIRST_USE)
    done = run(sys.executable, "-c", LEAN, *modules, cwd=root)
    assert done.returncode == 0, done.stdout


def test_the_lean_import_check_can_fail(tmp_path: Path) -> None:
    (tmp_path / "greedy.py").write_text("import matplotlib\n", encoding="utf-8")
    done = run(sys.executable, "-c", LEAN, "greedy", cwd=tmp_path)
    assert done.returncode == 1
    assert "matplotlib" in done.stdout


def test_extras(project: dict[str, Any]) -> None:
    extras = {"inspect", "llm", "study", "plot", "ray", "trl", "tuning", "dev", "all"}
    assert set(project["project"]["optional-dependencies"]) == extras


def test_every_dependency_of_the_set_up_is_pinned(root: Path, project: dict[str, Any]) -> None:
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r'[\w-]+==[\w.]+(; python_version (<|>=) "3\.\d+")?', pin)] == []
    extras = project["project"]["optional-dependencies"]
    wanted = {
        re.split(r"[\[<>=;]", name)[0]
        for name in project["project"]["dependencies"]
        + extras["inspect"]
        + extras["llm"]
        + extras["plot"]
        + extras["trl"]
        + extras["dev"]
    }
    names = {pin.split("==")[0].lower() for pin in pins}
    assert sorted(wanted - names - {"usersim_env"}) == []


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            'case "$1" in -c) exit 1;; esac; echo Python 3.9.18',
            "is Python 3.9.18; Python 3.10 or newer is needed",
        ),
        ('case "$2" in *venv*) exit 1;; esac', "has no venv module. On Debian or Ubuntu: apt-get install"),
        (None, "found. Install Python 3.10 or newer, or name one: make setup PYTHON=python3.12"),
    ],
)
def test_set_up_names_what_is_missing(root: Path, tmp_path: Path, script: str | None, message: str) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(root / name, tmp_path / name)
    python = tmp_path / "python"
    if script is not None:
        python.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        python.chmod(0o755)
    done = run("make", "setup", f"PYTHON={python}", cwd=tmp_path)
    assert done.returncode == 2
    assert f"error: {'no ' if script is None else ''}" in done.stdout
    assert message in done.stdout
    assert not (tmp_path / ".venv").exists()
