"""Copy-on-write view of a shared database: what a tool reads, what it changes.

The base is parsed once per process and never written. A table holds touched records only. Readers see
records uncopied; writers get a copy on first touch. A dict subclass would lie to C code such as
``json.dumps``, so a table is a plain `Mapping` and every record in it a plain dict.
"""

from __future__ import annotations

from collections.abc import Collection, ItemsView, Iterable, Iterator, KeysView, Mapping, MutableMapping, ValuesView
from typing import Any

from usersim_env.domains.canonical import canonical, copied, sha256

Record = Any
Database = Mapping[str, Mapping[str, Record]]

_GONE = object()


class ReadTable(Mapping[str, Record]):
    """A table as a reader sees it: touched records over the base's."""

    __slots__ = ("_base", "_touched")

    def __init__(self, base: Mapping[str, Record], touched: dict[str, Record]) -> None:
        self._base = base
        self._touched = touched

    def __getitem__(self, key: str) -> Record:
        record = self._touched.get(key, _GONE)
        return self._base[key] if record is _GONE else record

    def __contains__(self, key: object) -> bool:
        return key in self._touched or key in self._base

    def _merged(self) -> Mapping[str, Record]:
        """A whole table, for scans: keys keep the base's order, new ones come last."""
        return {**self._base, **self._touched} if self._touched else self._base

    def __iter__(self) -> Iterator[str]:
        return iter(self._merged())

    def __len__(self) -> int:
        return len(self._merged())

    def keys(self) -> KeysView[str]:
        """Scans without a Python-level step per record."""
        return self._merged().keys()

    def values(self) -> ValuesView[Record]:
        """Scans without a Python-level step per record."""
        return self._merged().values()

    def items(self) -> ItemsView[str, Record]:
        """Scans without a Python-level step per record."""
        return self._merged().items()


class WriteTable(ReadTable, MutableMapping[str, Record]):
    """A table as a writer sees it: a record is copied when it is first looked at."""

    __slots__ = ()

    def __getitem__(self, key: str) -> Record:
        record = self._touched.get(key, _GONE)
        if record is _GONE:
            record = self._touched[key] = copied(self._base[key])
        return record

    def __setitem__(self, key: str, record: Record) -> None:
        self._touched[key] = record

    def __delitem__(self, key: str) -> None:
        raise TypeError("tables of τ-bench only grow; declare no writers to have the domain copied whole")

    def _merged(self) -> Mapping[str, Record]:
        """A scan by a writer may write to what it finds, so every record is touched."""
        for key in self._base:
            self[key]
        return {**self._base, **self._touched}


class Overlay:
    """One episode's database over the shared base.

    Args:
        base: table name → key → record (a dict); shared, never written.
        written: names of the tables that some tool writes; the others are handed out as they are.
    """

    __slots__ = ("_base", "_touched", "reader", "writer")

    def __init__(self, base: Database, written: Collection[str]) -> None:
        self._base = base
        self._touched: dict[str, dict[str, Record]] = {name: {} for name in written}
        self.reader: dict[str, Any] = dict(base)
        self.writer: dict[str, Any] = dict(base)
        for name, touched in self._touched.items():
            self.reader[name] = ReadTable(base[name], touched)
            self.writer[name] = WriteTable(base[name], touched)

    def state(self) -> dict[str, dict[str, Record]]:
        """The records that were touched, by table: what is pickled instead of the base."""
        return self._touched

    def restore(self, state: Mapping[str, Mapping[str, Record]]) -> None:
        """Takes over what `state` gave, on a fresh overlay of the same base."""
        for name, records in state.items():
            self._touched[name].update(records)

    def changed(self) -> dict[tuple[str, str], str]:
        """Records whose content differs from the base's: (table, key) → canonical text."""
        found = {}
        for name, touched in self._touched.items():
            base = self._base[name]
            for key, record in touched.items():
                text = canonical(record)
                if key not in base or canonical(base[key]) != text:
                    found[name, key] = text
        return found


def texts(data: Database) -> dict[tuple[str, str], str]:
    """Every record of a database: (table, key) → canonical text."""
    return {(name, key): canonical(record) for name, table in data.items() for key, record in table.items()}


def joined(records: Mapping[tuple[str, str], str], tables: Iterable[str]) -> str:
    """The canonical text of a whole database from those of its records."""
    rows: dict[str, list[str]] = {name: [] for name in sorted(tables)}
    for name, key in sorted(records):
        rows[name].append(f"({key!r}, {records[name, key]})")
    return _tuple([f"({name!r}, {_tuple(found)})" for name, found in rows.items()])


def _tuple(items: list[str]) -> str:
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def digest(changed: Mapping[tuple[str, str], str]) -> str:
    """SHA-256 of the changed records, whatever the order in which they were changed."""
    return sha256(str(sorted(changed.items())))
