"""Brings stored overlays to work, and serves those that are not at work yet.

Nothing is ever deleted because restoring it failed: what cannot be brought to work stays as it is
stored, its links and rows as they are, and is tried again. What an operator does with such an
overlay ends an attempt that is under way, which may hang, and begins another.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog
from msgspec import structs

from varpd.control.messages import ControlError, SetPort
from varpd.daemon import entries, guest_ports, stored
from varpd.daemon.backoff import Backoff
from varpd.daemon.definitions import Defined
from varpd.daemon.overlays import Overlays
from varpd.daemon.refusals import refusal
from varpd.daemon.retries import Retries, Sleep
from varpd.daemon.tasks import Tasks
from varpd.daemon.turn import Turn
from varpd.daemon.waiting import Waiting
from varpd.datapath.base import Datapath
from varpd.store.base import Phase, Store, StoreError

AT_ONCE: Final = 32
"""Overlays that are brought to work at the same time at the start."""

PATIENCE: Final = 5.0
"""Seconds that the start, or an operator, waits for one attempt; it goes on without them."""

_log: Final = structlog.get_logger()


class Restoration:
    """All overlays that are stored and not at work."""

    def __init__(
        self,
        overlays: Overlays,
        datapath: Datapath,
        store: Store,
        tasks: Tasks,
        boot: str,
        sleep: Sleep = asyncio.sleep,
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        """Take the overlays, what has their links, and what is stored of them.

        Args:
            overlays: where they are defined.
            datapath: has their links.
            store: holds them.
            tasks: whose end is the daemon's end.
            boot: which boot of the host this is.
            sleep: passes the time between attempts.
            backoff: makes what says how long that is.
        """
        self._overlays = overlays
        self._datapath = datapath
        self._store = store
        self._boot = boot
        self._retries = Retries(self._attempt, tasks, sleep, backoff)

    async def load(self) -> None:
        """Define all overlays that are stored; none of them is at work yet.

        Raises:
            StoreError: the store cannot be read.
        """
        for record in await self._store.load():
            if record.boot not in (None, self._boot):
                # It has not lived to see this boot of the host.
                record = structs.replace(record, phase=Phase.DELETING)
            self._overlays.claim(record)
            self._overlays.define(Waiting(record, Turn(record.name)))

    async def restore(
        self, progress: Callable[[int, int], None] = lambda _done, _all: None
    ) -> None:
        """Try once to bring each overlay to work, and go on with those that cannot be yet.

        Args:
            progress: told how many of how many have been tried.
        """
        await self._name_strangers()
        waiting = self._waiting()
        slots = asyncio.Semaphore(AT_ONCE)
        done = 0

        async def first(overlay: Waiting) -> None:
            nonlocal done
            async with slots:
                self._retries.start(overlay, now=True)
                await self._outcome(overlay)
            done += 1
            progress(done, len(waiting))

        async with asyncio.TaskGroup() as group:
            for overlay in waiting:
                group.create_task(first(overlay), name=f"first {overlay.name}")

    async def set_properties(self, name: str, texts: Mapping[str, str | None]) -> bool:
        """Set properties of an overlay that is not at work, all or none, and try it again.

        Returns:
            False if it is at work; nothing was done.

        Raises:
            ControlError: one cannot be set or stored; nothing has changed.
        """
        async with self._interrupted(name) as found:
            if not isinstance(found, Waiting):
                return False
            found.check_stays()
            await self._overlays.set_properties_of(found, texts)
        await self._outcome(found)
        return True

    async def forget_state(self, name: str) -> bool:
        """Forget what a plugin saved that is not at work, and try it again.

        Returns:
            False if it is at work; nothing was done.

        Raises:
            ControlError: that cannot be stored; nothing has changed.
        """
        async with self._interrupted(name) as found:
            if not isinstance(found, Waiting):
                return False
            found.check_stays()
            try:
                await self._store.save_state(name, None)
            except StoreError as exc:
                raise refusal(exc) from exc
            found.record = structs.replace(found.record, state=None)
        await self._outcome(found)
        return True

    async def set_entry(self, name: str, mac: str, target: str | None) -> bool:
        """Set or, without a target, delete an entry of an overlay that is not at work.

        Returns:
            False if it is at work; nothing was done.

        Raises:
            ControlError: it cannot be set or stored; nothing has changed.
        """
        async with self._interrupted(name) as found:
            if not isinstance(found, Waiting):
                return False
            found.check_stays()
            address = str(entries.parse_mac(mac))
            kept = {key: value for key, value in found.record.entries.items() if key != address}
            try:
                if target is None:
                    await self._store.delete_entry(name, address)
                else:
                    kept[address] = target
                    record = structs.replace(found.record, entries={address: target})
                    # What it means can only be said with a plan.
                    list(stored.entries_of(record, stored.plan_of(record, self._overlays.here)))
                    await self._store.set_entry(name, address, target)
            except StoreError as exc:
                raise refusal(exc) from exc
            found.record = structs.replace(found.record, entries=kept)
        return True

    async def set_port(self, name: str, port: str, change: SetPort | None) -> bool:
        """Say who the guest at a port is, or forget it, of an overlay that is not at work.

        Returns:
            False if it is at work; nothing was done.

        Raises:
            ControlError: it means nothing, or cannot be stored; nothing has changed.
        """
        async with self._interrupted(name) as found:
            if not isinstance(found, Waiting):
                return False
            found.check_stays()
            ports = dict(found.record.ports)
            known = ports.pop(port, None)
            if change is not None:
                ports[port] = guest_ports.changed(known or guest_ports.NOTHING, change)
            elif known is None:
                raise guest_ports.unknown(name, port)
            try:
                await self._store.set_port(name, port, ports.get(port))
            except StoreError as exc:
                raise refusal(exc) from exc
            found.record = structs.replace(found.record, ports=ports)
        return True

    async def delete(self, name: str) -> bool:
        """Delete an overlay that is not at work, its links and rows.

        Returns:
            False if it is at work; nothing was done.

        Raises:
            ControlError: that cannot be done; it is tried again.
        """
        async with self._interrupted(name) as found:
            if not isinstance(found, Waiting):
                return False
            await self._overlays.remove_waiting(found)
        return True

    async def reload(self) -> None:
        """Try all again now."""
        for waiting in self._waiting():
            with suppress(ControlError):
                async with self._interrupted(waiting.name):
                    pass

    async def end(self) -> None:
        """Give up all attempts."""
        await self._retries.end()

    def _waiting(self) -> list[Waiting]:
        return [item for item in self._overlays.defined() if isinstance(item, Waiting)]

    async def _attempt(self, waiting: Waiting) -> None:
        if waiting.deleting:
            await self._overlays.remove_waiting(waiting)
            _log.info("overlay that was not to stay is gone", overlay=waiting.name)
        else:
            await self._overlays.bring_up(waiting)
            _log.info("overlay restored", overlay=waiting.name)

    async def _outcome(self, waiting: Waiting) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(waiting.tried.wait(), PATIENCE)

    @asynccontextmanager
    async def _interrupted(self, name: str) -> AsyncIterator[Defined]:
        """Take an overlay's turn from the attempts to bring it to work, which then begin anew."""
        defined = self._overlays.get(name)
        if not isinstance(defined, Waiting):
            yield defined  # whoever is at work stays so
            return
        await self._retries.stop(name)
        async with self._overlays.changing(name) as found:
            try:
                yield found
            finally:
                if isinstance(found, Waiting) and not found.turn.gone:
                    found.tried.clear()
                    self._retries.start(found, now=True)

    async def _name_strangers(self) -> None:
        """Warn of links that look like ours, and belong to no overlay that we know."""
        known = {overlay.name for overlay in self._overlays.defined()}
        try:
            strangers = sorted(set(await self._datapath.present()) - known)
        except OSError as exc:
            _log.warning("links cannot be listed", why=str(exc))
            return
        if strangers:
            _log.warning(
                "links of overlays that are not stored are left alone; creating an overlay of "
                "that name takes them over, `ip link delete` removes them",
                overlays=strangers,
            )
