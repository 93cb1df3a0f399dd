"""Overlays in the tables of the database; everything here blocks.

Each change is one transaction.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from varpd.provider.plugin import State
from varpd.store import opening
from varpd.store.base import Phase, StoredOverlay, StoredPort, StoredValue, StoreError

_SET, _DEFAULT = 0, 1  # property.is_default

_OVERLAY: Final = (
    "INSERT INTO overlay (name, vnetid, number, encapsulation, search, mode, boot, phase) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_PROPERTY: Final = (
    "INSERT OR REPLACE INTO property (overlay, is_default, name, value) VALUES (?, ?, ?, ?)"
)
_ENTRY: Final = "INSERT OR REPLACE INTO entry (overlay, mac, target) VALUES (?, ?, ?)"
_PORT: Final = "INSERT OR REPLACE INTO port (overlay, name, content) VALUES (?, ?, ?)"
_STATE: Final = "INSERT OR REPLACE INTO state (overlay, content) VALUES (?, ?)"


class _Row(Struct, frozen=True, array_like=True):
    """An overlay's row as it has to be."""

    name: str
    vnetid: str
    number: int
    encapsulation: str
    search: str
    mode: Literal["point", "dynamic"]
    boot: str | None
    phase: Phase


class Database:
    """The open database, for one thread."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            StoreError: see `opening.open_database`.
        """
        self._path = path
        self._connection = opening.open_database(path)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def load(self) -> list[StoredOverlay]:
        """See `Store.load`; reads each table once, however many overlays there are."""
        try:
            return self._load()
        except sqlite3.Error as exc:
            raise opening.refused(self._path, exc, "it cannot be read") from exc
        except (msgspec.MsgspecError, ValueError) as exc:
            message = f"{self._path} holds what varpd cannot have written ({exc})"
            raise StoreError(message) from exc

    def create(self, overlay: StoredOverlay) -> None:
        """See `Store.create`."""
        name = overlay.name
        row = (name, str(overlay.vnetid), overlay.number, overlay.encapsulation, overlay.search)
        with self._transaction() as do:
            do.execute("DELETE FROM overlay WHERE name = ?", (name,))
            do.execute(_OVERLAY, (*row, overlay.mode, overlay.boot, overlay.phase.value))
            for kind, values in ((_SET, overlay.properties), (_DEFAULT, overlay.defaults)):
                do.executemany(_PROPERTY, ((name, kind, k, _json(v)) for k, v in values.items()))
            do.executemany(_ENTRY, ((name, mac, to) for mac, to in overlay.entries.items()))
            do.executemany(_PORT, ((name, at, _json(port)) for at, port in overlay.ports.items()))
            if overlay.state is not None:
                do.execute(_STATE, (name, _json(overlay.state)))

    def set_phase(self, name: str, phase: Phase) -> None:
        """See `Store.set_phase`."""
        with self._transaction() as do:
            do.execute("UPDATE overlay SET phase = ? WHERE name = ?", (phase.value, name))

    def set_properties(self, name: str, values: Mapping[str, StoredValue | None]) -> None:
        """See `Store.set_properties`."""
        with self._transaction() as do:
            if not _is_known(do, name):
                return
            for key, value in values.items():
                if value is None:
                    do.execute(
                        "DELETE FROM property WHERE overlay = ? AND is_default = ? AND name = ?",
                        (name, _SET, key),
                    )
                else:
                    do.execute(_PROPERTY, (name, _SET, key, _json(value)))

    def set_entry(self, name: str, mac: str, target: str) -> None:
        """See `Store.set_entry`."""
        with self._transaction() as do:
            if _is_known(do, name):
                do.execute(_ENTRY, (name, mac, target))

    def delete_entry(self, name: str, mac: str) -> None:
        """See `Store.delete_entry`."""
        with self._transaction() as do:
            do.execute("DELETE FROM entry WHERE overlay = ? AND mac = ?", (name, mac))

    def set_port(self, name: str, port: str, known: StoredPort | None) -> None:
        """See `Store.set_port`."""
        with self._transaction() as do:
            if known is None:
                do.execute("DELETE FROM port WHERE overlay = ? AND name = ?", (name, port))
            elif _is_known(do, name):
                do.execute(_PORT, (name, port, _json(known)))

    def save_state(self, name: str, state: State | None) -> None:
        """See `Store.save_state`."""
        with self._transaction() as do:
            if state is None:
                do.execute("DELETE FROM state WHERE overlay = ?", (name,))
            elif _is_known(do, name):
                do.execute(_STATE, (name, _json(state)))

    def delete(self, name: str) -> None:
        """See `Store.delete`."""
        with self._transaction() as do:
            do.execute("DELETE FROM overlay WHERE name = ?", (name,))

    def _load(self) -> list[StoredOverlay]:
        select = self._connection.execute
        values: dict[tuple[str, int], dict[str, StoredValue]] = defaultdict(dict)
        for name, kind, key, text in select(
            "SELECT overlay, is_default, name, value FROM property"
        ):
            values[name, kind][key] = msgspec.json.decode(text, type=StoredValue)
        entries: dict[str, dict[str, str]] = defaultdict(dict)
        for name, mac, target in select("SELECT overlay, mac, target FROM entry"):
            entries[name][mac] = target
        ports: dict[str, dict[str, StoredPort]] = defaultdict(dict)
        for name, port, content in select("SELECT overlay, name, content FROM port ORDER BY name"):
            ports[name][port] = msgspec.json.decode(content, type=StoredPort)
        states = {
            name: msgspec.json.decode(content, type=dict[str, Any])
            for name, content in select("SELECT overlay, content FROM state")
        }
        found = select(
            "SELECT name, vnetid, number, encapsulation, search, mode, boot, phase FROM overlay "
            "ORDER BY name"
        )
        rows = [msgspec.convert(row, _Row) for row in found]
        return [
            StoredOverlay(
                name=row.name,
                vnetid=int(row.vnetid),
                number=row.number,
                encapsulation=row.encapsulation,
                search=row.search,
                mode=row.mode,
                boot=row.boot,
                phase=row.phase,
                properties=values.get((row.name, _SET), {}),
                defaults=values.get((row.name, _DEFAULT), {}),
                entries=entries.get(row.name, {}),
                ports=ports.get(row.name, {}),
                state=states.get(row.name),
            )
            for row in rows
        ]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Have a block happen wholly or not at all.

        Raises:
            StoreError: it did not happen.
        """
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as exc:
            self._roll_back()
            raise opening.refused(self._path, exc, "nothing was changed") from exc
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        # After some errors SQLite has done so by itself.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def _is_known(connection: sqlite3.Connection, name: str) -> bool:
    found = connection.execute("SELECT 1 FROM overlay WHERE name = ?", (name,)).fetchone()
    return found is not None


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
