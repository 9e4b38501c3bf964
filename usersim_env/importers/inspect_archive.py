"""Inspect's ``.eval`` files, which are ZIP archives of JSON: the same content as its ``.json`` logs, sample by sample.

They are packed with Zstandard, which `zipfile` reads from Python 3.14 on; before that ``backports.zstd`` does.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from usersim_env.errors import InstallError, TraceError
from usersim_env.importers.fields import NotJsonHere, load_records

LARGEST = 256 * 1024 * 1024
"""Bytes of one sample, unpacked."""

_BEGIN = b"PK\x03\x04"
_HEAD, _START, _SAMPLES = "header.json", "_journal/start.json", "samples/"
_BESIDE = ("events", "events_data", "timelines")
"""What is large in a sample and not read."""


def holds(path: Path) -> bool:
    """Whether a path is an archive."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_BEGIN)) == _BEGIN


def whole(path: Path) -> Any:
    """The log in such a file as one value, without the events.

    Raises:
        TraceError: the archive is broken, or no log.
        InstallError: the extra ``inspect`` is not installed.
    """
    zipfile = _zipfile()
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            head = next((name for name in (_HEAD, _START) if name in names), None)
            if head is None:
                raise TraceError(f"{path} is an archive, but no log of Inspect: it has no {_HEAD}.")
            samples = sorted({name for name in names if name.startswith(_SAMPLES) and name.endswith(".json")})
            return {**_json(archive, head, path), "samples": [_sample(archive, name) for name in samples]}
    except TraceError:
        raise
    except Exception as error:  # a damaged archive makes zipfile and its decoders raise errors of many kinds
        raise TraceError(f"{path}: the archive cannot be read: {error}") from None


def _sample(archive: Any, name: str) -> Any:
    """One sample; what is wrong with it stands in its place, so that the others can be read."""
    if archive.getinfo(name).file_size > LARGEST:
        return NotJsonHere(f"{name} has more than {LARGEST >> 20} MiB")
    try:
        found = load_records(archive.read(name))
    except ValueError as error:
        return NotJsonHere(f"{name}: {error}")
    return {key: value for key, value in found.items() if key not in _BESIDE} if isinstance(found, dict) else found


def _json(archive: Any, name: str, path: Path) -> Any:
    try:
        return load_records(archive.read(name))
    except ValueError as error:
        raise TraceError(f"{path}, {name}: not JSON: {error}") from None


def _zipfile() -> ModuleType:
    if sys.version_info >= (3, 14):
        import zipfile

        return zipfile
    try:
        from backports.zstd import zipfile as found
    except ImportError:
        raise InstallError(
            'Inspect packs .eval files with Zstandard. Type: pip install "usersim_env[inspect]", or convert the log: '
            "inspect log convert FILE --to json --output-dir DIR"
        ) from None
    module: ModuleType = found
    return module
