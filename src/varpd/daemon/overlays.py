"""The overlays of this host. Each is changed by one at a time, wholly or not at all.

What is acknowledged is in the store before::

    create   stored as MAKING ─► built ─► MADE                   (undone from the bottom up)
    modify   done ─► stored                                      (undone if it cannot be stored)
    delete   stored as DELETING ─► taken apart ─► forgotten
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

import structlog
from msgspec import structs

from varpd.control.messages import ControlError, CreateOverlay
from varpd.daemon import creation, properties, stored
from varpd.daemon.creation import Surroundings
from varpd.daemon.definitions import Definitions
from varpd.daemon.instance import Instance
from varpd.daemon.overlay import Overlay, Plan
from varpd.daemon.refusals import REFUSALS, refusal
from varpd.daemon.runner import Runner
from varpd.daemon.tasks import Tasks
from varpd.daemon.turn import Turn
from varpd.daemon.waiting import Waiting
from varpd.datapath.base import DatapathError
from varpd.engine.events import OverlayChanged
from varpd.provider.plugin import StopReason
from varpd.provider.properties import Value
from varpd.store.base import Phase, Store, StoreError

log = structlog.get_logger()


class Overlays(Definitions):
    """All overlays of this host, by name."""

    def __init__(
        self,
        runner: Runner,
        surroundings: Surroundings,
        make_instance: Callable[[Plan], Instance],
        tasks: Tasks,
        store: Store,
        boot: str,
    ) -> None:
        """Take the runner that serves them, what they can be made of, and what keeps them.

        Args:
            runner: serves them.
            surroundings: what they can be made of.
            make_instance: makes an instance of a plugin.
            tasks: whose end is the daemon's end.
            store: what survives a restart.
            boot: which boot of the host this is, for temporary overlays.
        """
        super().__init__()
        self.here = surroundings
        """What overlays can be made of."""
        self._runner = runner
        self._make_instance = make_instance
        self._tasks = tasks
        self._store = store
        self._boot = boot

    def set_defaults(self, defaults: Mapping[str, Value]) -> None:
        """Take other values for the properties of overlays that are made from now on."""
        self.here = structs.replace(self.here, defaults=defaults)

    async def create(self, request: CreateOverlay) -> Overlay:
        """Make an overlay.

        Raises:
            ControlError: it cannot be; nothing is left behind.
        """
        plan = creation.plan(request, self.here, self.free_number(request.name))
        record = stored.record_of(plan, self._boot if request.temporary else None)
        self.claim(record)
        try:
            await self._store.create(record)
            overlay = Overlay(plan, self._make_instance(plan), boot=record.boot)
            await self._make(overlay)
        except BaseException as exc:
            await self._forget(plan.name)
            self.undefine(plan.name)
            if isinstance(exc, StoreError):
                raise refusal(exc) from exc
            raise
        self.define(overlay)
        return overlay

    async def bring_up(self, waiting: Waiting) -> None:
        """Bring an overlay to work that is stored; its turn is taken.

        Raises:
            ControlError: it cannot be now; its links and rows are as they were.
        """
        record = waiting.record
        plan = stored.plan_of(record, self.here)
        entries = list(stored.entries_of(record, plan))
        overlay = Overlay(plan, self._make_instance(plan), waiting.turn, record.boot)
        await creation.build(overlay, self._runner, record.state, entries, undone=StopReason.FAULT)
        self.define(overlay)

    async def set_properties(self, overlay: Overlay, texts: Mapping[str, str | None]) -> None:
        """Set properties as an operator wrote them; None goes back to the default.

        Raises:
            ControlError: one cannot be set or stored; nothing has changed.
        """
        async with overlay.changing():
            overlay.check_works()
            plan = overlay.plan
            parsed = properties.parse((*plan.outer, *plan.inner), texts, running=True)
            try:
                await self._change(overlay, parsed)
            except REFUSALS as exc:
                raise refusal(exc, plan.encapsulation) from exc

    async def set_properties_of(self, waiting: Waiting, texts: Mapping[str, str | None]) -> None:
        """Set properties of an overlay that is not at work, all or none; its turn is taken.

        Also those that are not live: nothing is alive. Without its plugin the plugin's properties
        can be set back, but nobody could say whether a value is one.

        Raises:
            ControlError: one cannot be set or stored; nothing has changed.
        """
        record = stored.changed_record(waiting.record, texts, self.here)
        self.claim(record)
        values = {name: record.properties.get(name) for name in texts}
        try:
            await self._store.set_properties(record.name, values)
        except BaseException as exc:
            self.claim(waiting.record)
            if isinstance(exc, StoreError):
                raise refusal(exc) from exc
            raise
        waiting.record = record

    async def remove(self, overlay: Overlay) -> None:
        """Delete an overlay; what cannot be removed leaves it stopped, to be tried again.

        Raises:
            ControlError: its links cannot be removed, or that cannot be stored.
        """
        async with overlay.changing():
            name = overlay.name
            try:
                if overlay.stopped is None:
                    await self._begin_deletion(name)
                await creation.take_apart(overlay, self._runner, StopReason.DELETED)
            except DatapathError as exc:
                overlay.stopped = f"its links could not be removed: {exc}"
                raise refusal(exc, overlay.plan.encapsulation) from exc
            except StoreError as exc:
                raise refusal(exc) from exc
            overlay.stopped = "all but its name is deleted"
            await self._finish_deletion(name, overlay.turn)

    async def remove_waiting(self, waiting: Waiting) -> None:
        """Delete an overlay that is not at work, its links and rows; its turn is taken.

        Raises:
            ControlError: its links cannot be removed, or that cannot be stored.
        """
        try:
            if not waiting.deleting:
                await self._begin_deletion(waiting.name)
                waiting.record = structs.replace(waiting.record, phase=Phase.DELETING)
            await self._runner.datapath.close(waiting.name)
        except (DatapathError, StoreError) as exc:
            raise refusal(exc) from exc
        await self._finish_deletion(waiting.name, waiting.turn)

    async def reload(self) -> None:
        """Have every plugin read its data again."""
        await self._each("reload", self._reload)

    async def end(self) -> None:
        """End the instances; links, rows and what is stored stay."""
        await self._each("end", self._end)

    async def _make(self, overlay: Overlay) -> None:
        """Build an overlay and store that it is made, or leave nothing of it."""
        await creation.build(overlay, self._runner)
        try:
            await self._store.set_phase(overlay.name, Phase.MADE)
        except BaseException:
            try:
                await creation.take_apart(overlay, self._runner, StopReason.DELETED)
            except DatapathError as exc:
                log.warning("links are left", overlay=overlay.name, why=str(exc))
            raise

    async def _forget(self, name: str) -> None:
        """Forget an overlay that could not be made; else the next start of varpd does it."""
        try:
            await self._store.delete(name)
        except StoreError as exc:
            log.warning("a trace is left in the store", overlay=name, why=str(exc))

    async def _begin_deletion(self, name: str) -> None:
        try:
            await self._store.set_phase(name, Phase.DELETING)
        except asyncio.CancelledError:
            with suppress(StoreError):
                await self._store.set_phase(name, Phase.MADE)
            raise

    async def _finish_deletion(self, name: str, turn: Turn) -> None:
        try:
            await self._store.delete(name)
        except StoreError as exc:
            raise refusal(exc) from exc
        turn.gone = True
        self.undefine(name)

    async def _change(self, overlay: Overlay, parsed: Mapping[str, Value | None]) -> None:
        """Set properties of an overlay and store them, or change nothing."""
        instance, old = overlay.instance, overlay.plan
        plan, inner = old.changed(parsed)
        links, before = overlay.links, overlay.link()
        settings, after = plan.settings(), overlay.link(plan)
        target = instance.default_target
        inner_before = {name: instance.values.get(name) for name in inner}
        if after != before:
            links = await self._runner.datapath.change(after)
        try:
            if inner:
                await instance.set_properties(inner)
            try:
                if instance.default_target != target:
                    creation.check_elsewhere(overlay, self._runner)
                await self._store.set_properties(overlay.name, stored.changed(parsed))
            except BaseException:
                if inner:
                    await instance.set_properties(inner_before)
                raise
        except BaseException:
            if after != before:
                await self._runner.datapath.change(before)
            raise
        overlay.links = links
        if plan != old:
            overlay.plan = plan
            instance.configure(plan.instance_settings())
            self._runner.feed(OverlayChanged(overlay.name, settings))

    async def _reload(self, overlay: Overlay) -> None:
        async with overlay.changing():
            overlay.check_works()
            await overlay.instance.reload()

    async def _end(self, overlay: Overlay) -> None:
        async with overlay.changing():
            if overlay.stopped is None:
                await overlay.instance.stop(StopReason.SHUTDOWN)
                self._runner.instances.pop(overlay.name, None)
            overlay.turn.gone = True
            self.undefine(overlay.name)

    async def _each(self, what: str, work: Callable[[Overlay], Coroutine[Any, Any, None]]) -> None:
        """Do something with all overlays at once; one that fails does not stop the others.

        Whoever gives up waiting for this ends it: a reload that takes long is not in the way of
        the end.
        """

        async def guarded(overlay: Overlay) -> None:
            try:
                await work(overlay)
            except ControlError as exc:
                log.warning("refused", what=what, overlay=overlay.name, why=str(exc))

        started = [
            self._tasks.start(guarded(overlay), f"{what} {overlay.name}") for overlay in self.all()
        ]
        try:
            if started:
                await asyncio.wait(started)
        finally:
            for task in started:
                task.cancel()
