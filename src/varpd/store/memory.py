"""A store that lives as long as its object: for tests, and for who wants nothing kept."""

from collections.abc import Mapping

from msgspec import structs

from varpd.provider.plugin import State
from varpd.store.base import Phase, StoredOverlay, StoredPort, StoredValue, StoreError


class MemoryStore:
    """A `varpd.store.base.Store` in memory."""

    def __init__(self, *overlays: StoredOverlay) -> None:
        """Take what is stored already."""
        self.failure: StoreError | None = None
        """What every change raises; for tests to set."""
        self._overlays = {overlay.name: overlay for overlay in overlays}

    async def load(self) -> list[StoredOverlay]:
        """See `Store.load`."""
        return [self._overlays[name] for name in sorted(self._overlays)]

    async def create(self, overlay: StoredOverlay) -> None:
        """See `Store.create`."""
        self._may_change()
        self._overlays[overlay.name] = overlay

    async def set_phase(self, name: str, phase: Phase) -> None:
        """See `Store.set_phase`."""
        self._change(name, phase=phase)

    async def set_properties(self, name: str, values: Mapping[str, StoredValue | None]) -> None:
        """See `Store.set_properties`."""
        merged = {**self._of(name).properties, **values} if name in self._overlays else {}
        kept = {key: value for key, value in merged.items() if value is not None}
        self._change(name, properties=kept)

    async def set_entry(self, name: str, mac: str, target: str) -> None:
        """See `Store.set_entry`."""
        if name in self._overlays:
            self._change(name, entries={**self._of(name).entries, mac: target})

    async def delete_entry(self, name: str, mac: str) -> None:
        """See `Store.delete_entry`."""
        if name in self._overlays:
            left = {key: value for key, value in self._of(name).entries.items() if key != mac}
            self._change(name, entries=left)

    async def set_port(self, name: str, port: str, known: StoredPort | None) -> None:
        """See `Store.set_port`."""
        if name in self._overlays:
            left = {key: value for key, value in self._of(name).ports.items() if key != port}
            self._change(name, ports=left if known is None else {**left, port: known})

    async def save_state(self, name: str, state: State | None) -> None:
        """See `Store.save_state`."""
        self._change(name, state=state)

    async def delete(self, name: str) -> None:
        """See `Store.delete`."""
        self._may_change()
        self._overlays.pop(name, None)

    def _of(self, name: str) -> StoredOverlay:
        return self._overlays[name]

    def _change(self, name: str, **values: object) -> None:
        self._may_change()
        if name in self._overlays:
            self._overlays[name] = structs.replace(self._of(name), **values)

    def _may_change(self) -> None:
        if self.failure is not None:
            raise self.failure
