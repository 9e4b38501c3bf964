"""τ²-bench's results as a folder: ``results.json`` without the runs, and one file for each run in ``simulations/``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from usersim_env.errors import TraceError
from usersim_env.importers.fields import load_records

RESULTS, RUNS = "results.json", "simulations"


def whole(path: Path) -> Any | None:
    """The results file that a path belongs to, with its runs, as τ²-bench writes it in one piece.

    Args:
        path: the folder or its ``results.json`` (all runs), or one file of ``simulations/`` (that run).

    Returns:
        The content, or ``None`` where the path is nothing of the kind.

    Raises:
        TraceError: a file of the folder is no JSON: which.
    """
    if path.is_dir():
        folder, files = path, None
    elif path.name == RESULTS and (path.parent / RUNS).is_dir():
        folder, files = path.parent, None
    elif path.parent.name == RUNS and (path.parent.parent / RESULTS).is_file():
        folder, files = path.parent.parent, [path]
    else:
        return None
    if not (folder / RESULTS).is_file():
        raise TraceError(f"{path} is a folder without {RESULTS}; expected a file, or a folder of τ²-bench's results.")
    content = _json(folder / RESULTS)
    if not isinstance(content, dict) or "simulations" in content:
        return content
    found = sorted((folder / RUNS).glob("*.json")) if files is None else files
    return content | {"simulations": [_json(file) for file in found]}


def _json(path: Path) -> Any:
    try:
        return load_records(path.read_bytes())
    except ValueError as error:
        raise TraceError(f"{path}: not JSON: {error}") from None
