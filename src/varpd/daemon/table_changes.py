"""What the administrator does with the table of an overlay; stored before it is in force."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import structlog

from varpd.control.messages import ControlError, ErrorCode
from varpd.daemon import entries
from varpd.daemon.overlay import Overlay
from varpd.daemon.overlays import Overlays
from varpd.daemon.refusals import refusal
from varpd.daemon.restoring import Restoration
from varpd.daemon.runner import Runner
from varpd.daemon.waiting import Waiting
from varpd.engine.events import EntryDeleted, EntrySet, TableFlushed
from varpd.engine.settings import Mode
from varpd.store.base import Store, StoreError

log = structlog.get_logger()


class Known(Protocol):
    """What the engine knows."""

    def knows(self, overlay: str, mac: bytes) -> bool:
        """Return whether an overlay has an entry for a MAC."""


class TableChanges:
    """Changes of overlays' tables."""

    def __init__(
        self,
        overlays: Overlays,
        restoration: Restoration,
        store: Store,
        runner: Runner,
        tables: Known,
    ) -> None:
        """Take the overlays, those not at work, the store, the runner, the engine's tables."""
        self._overlays = overlays
        self._restoration = restoration
        self._store = store
        self._runner = runner
        self._tables = tables

    async def set_entry(self, name: str, mac: str, target: str) -> None:
        """Say where a MAC is (``IP:PORT``, ``[IPV6]:PORT``), or that frames to it are dropped."""
        if await self._set_waiting(name, mac, target):
            return
        overlay = self._with_table(name)
        async with overlay.changing():
            overlay.check_works()
            address = entries.parse_mac(mac)
            settings = overlay.plan.settings()
            parsed = entries.parse_target(target, settings.kinds, settings.family)
            with _stored():
                await self._store.set_entry(name, str(address), target)
            self._runner.feed(EntrySet(name, bytes(address), parsed))
        log.info("entry set", overlay=name, mac=str(address), target=target)

    async def delete_entry(self, name: str, mac: str) -> None:
        """Forget a MAC, be it the administrator's or the plugin's word."""
        if await self._set_waiting(name, mac, None):
            return
        overlay = self._with_table(name)
        async with overlay.changing():
            overlay.check_works()
            address = entries.parse_mac(mac)
            if not self._tables.knows(name, bytes(address)):
                message = f"overlay {name} has no entry for {address}"
                raise ControlError(ErrorCode.NOT_FOUND, message, "mac")
            with _stored():
                await self._store.delete_entry(name, str(address))
            self._runner.feed(EntryDeleted(name, bytes(address)))
        log.info("entry deleted", overlay=name, mac=str(address))

    async def flush(self, name: str) -> None:
        """Forget all that the plugin said; the administrator's entries stay."""
        overlay = self._with_table(name)
        async with overlay.changing():
            overlay.check_works()
            self._runner.feed(TableFlushed(name))
        log.info("table flushed", overlay=name)

    async def _set_waiting(self, name: str, mac: str, target: str | None) -> bool:
        """Set or delete an entry of an overlay that is not at work; else return False."""
        found = self._overlays.get(name)
        if not isinstance(found, Waiting):
            return False
        if found.record.mode == "point":
            raise _no_table(name, found.record.search)
        return await self._restoration.set_entry(name, mac, target)

    def _with_table(self, name: str) -> Overlay:
        """Return an overlay that has a table to change."""
        overlay = self._overlays.find(name)
        if overlay.plan.mode is Mode.POINT:
            raise _no_table(name, overlay.plan.plugin.name)
        return overlay


def _no_table(name: str, search: str) -> ControlError:
    message = f"overlay {name} has no table: {search} has one target for everything"
    return ControlError(ErrorCode.UNSUPPORTED, message)


@contextmanager
def _stored() -> Iterator[None]:
    """Say to who asked what the store says."""
    try:
        yield
    except StoreError as exc:
        raise refusal(exc) from exc
