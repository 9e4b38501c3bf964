"""README and docs/: Python blocks run as they stand, commands parse, links and make targets exist."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    path.name: path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
}
BLOCKS = {
    f"{name}-{i}": block
    for name, page in PAGES.items()
    if name != "own_domain.md"  # runs in test_own_domain.py, with its files
    for i, block in enumerate(re.findall(r"```python\n(.*?)```", page, re.S))
}
NOT_RUN = {
    "adapters.md-2": "needs skyrl-gym",
    "adapters.md-3": "needs verifiers",
    "adapters.md-4": "serves until it is stopped",
    "measuring.md-0": "needs the paper's human data",
    "measuring.md-3": "the middle of a training loop",
    "multi_agent.md-0": "one line of a larger program",
    "replay.md-0": "needs a recording",
    "trl.md-0": "needs torch and a model",
}
COMMANDS = [
    (name, line.replace("\\\n", " "))
    for name, page in PAGES.items()
    for line in re.findall(r"^ *(?:\.venv/bin/)?usersim-env ((?:.*\\\n)*.*)$", page, re.M)
]
LINKS = [(name, target) for name, page in PAGES.items() for target in set(re.findall(r"\]\((?!http)([^)#]+)\)", page))]


@pytest.mark.parametrize("name", [name for name in BLOCKS if name not in NOT_RUN])
def test_block_runs_in_a_process_of_its_own(name: str, tmp_path: Path) -> None:
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    done = subprocess.run(
        [sys.executable, "-c", BLOCKS[name]], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("name", NOT_RUN)
def test_what_is_not_run_can_be_read_and_imports_what_there_is(name: str) -> None:
    for node in ast.walk(ast.parse(BLOCKS[name])):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("usersim_env"):
            importing = subprocess.run(
                [sys.executable, "-c", ast.unparse(node)], capture_output=True, text=True, check=False
            )
            assert importing.returncode == 0 or "InstallError" in importing.stderr, importing.stderr


def test_there_are_blocks_and_commands() -> None:
    assert len([name for name in BLOCKS if name.startswith("README")]) >= 3
    assert len(BLOCKS) >= 18 and len(COMMANDS) >= 25


@pytest.mark.parametrize(("page", "target"), sorted(LINKS))
def test_link_leads_somewhere(page: str, target: str) -> None:
    folder = ROOT / "docs" if (ROOT / "docs" / page).exists() else ROOT
    assert (folder / target).exists()


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_commands_parse(page: str, line: str) -> None:
    from usersim_env.cli import parser

    words = shlex.split(line, comments=True)
    assert parser().parse_args(words).command == words[0]


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert set(re.findall(r"`make ([a-z-]+)", PAGES[page])) <= targets


def test_the_ten_scripts_need_one_import_each(root: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (root / "docs" / "scripts.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 10
    assert all(block.startswith("import usersim_env as ue\n") and block.count("import ") == 1 for block in blocks)
