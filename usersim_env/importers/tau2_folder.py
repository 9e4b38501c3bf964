"""τ²-bench's results as a folder: ``results.json`` without the runs, and one file for each run in ``simulations/``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from usersim_env.errors import TraceError
from usersim_env.importers.fields import load_records

RESULTS, RUNS = "results.json", "simulations"


def holds(path: Path) -> bool:
    """Whether a path is such a folder, its results file, or one of its runs."""
    return path.is_dir() or _is_results(path) or _is_run(path)


def _is_results(path: Path) -> bool:
    return path.name == RESULTS and (path.parent / RUNS).is_dir()


def _is_run(path: Path) -> bool:
    return path.parent.name == RUNS and (path.parent.parent / RESULTS).is_file()


def whole(path: Path) -> Any:
    """The results file that a path belongs to, with its runs, as τ²-bench writes it in one piece.

    Args:
        path: the folder or its ``results.json`` (all runs), or one file of ``simulations/`` (that run); see `holds`.

    Raises:
        TraceError: a file of the folder is no JSON: which.
    """
    alone = _is_run(path) and not path.is_dir()
    folder = path if path.is_dir() else path.parent.parent if alone else path.parent
    if not (folder / RESULTS).is_file():
        raise TraceError(f"{path} is a folder without {RESULTS}; expected a file, or a folder of τ²-bench's results.")
    content = _json(folder / RESULTS)
    if not isinstance(content, dict) or "simulations" in content:
        return content
    found = [path] if alone else sorted((folder / RUNS).glob("*.json"))
    return content | {"simulations": [_json(file) for file in found]}


def _json(path: Path) -> Any:
    try:
        return load_records(path.read_bytes())
    except ValueError as error:
        raise TraceError(f"{path}: not JSON: {error}") from None
