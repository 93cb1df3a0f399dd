"""The overlays of this host. Each is changed by one at a time, wholly or not at all."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import structlog
from msgspec import structs

from varpd.control.messages import ControlError, CreateOverlay, ErrorCode
from varpd.daemon import creation, properties
from varpd.daemon.creation import Surroundings
from varpd.daemon.instance import Instance
from varpd.daemon.overlay import Overlay, Plan
from varpd.daemon.refusals import REFUSALS, refusal
from varpd.daemon.runner import Runner
from varpd.daemon.tasks import Tasks
from varpd.datapath.base import DatapathError
from varpd.engine.events import OverlayChanged, OverlayRemoved
from varpd.provider.plugin import StopReason
from varpd.provider.properties import Value

log = structlog.get_logger()


class Overlays:
    """All overlays of this host, by name."""

    def __init__(
        self,
        runner: Runner,
        surroundings: Surroundings,
        make_instance: Callable[[Plan], Instance],
        tasks: Tasks,
    ) -> None:
        """Take the runner that serves them, what they can be made of, and what makes instances."""
        self._runner = runner
        self._surroundings = surroundings
        self._make_instance = make_instance
        self._tasks = tasks
        self._overlays: dict[str, Overlay] = {}
        self._plans: dict[str, Plan] = {}  # those of overlays that are being made, too

    def all(self) -> list[Overlay]:
        """Return all in the order of their names."""
        return [self._overlays[name] for name in sorted(self._overlays)]

    def find(self, name: str) -> Overlay:
        """Return one.

        Raises:
            ControlError: there is none of that name.
        """
        overlay = self._overlays.get(name)
        if overlay is None:
            raise ControlError(ErrorCode.NOT_FOUND, f"no overlay {name!r}", "name")
        return overlay

    def set_defaults(self, defaults: Mapping[str, Value]) -> None:
        """Take other values for the properties of overlays that are made from now on."""
        self._surroundings = structs.replace(self._surroundings, defaults=defaults)

    async def create(self, request: CreateOverlay) -> Overlay:
        """Make an overlay.

        Raises:
            ControlError: it cannot be; nothing is left behind.
        """
        if request.name in self._plans:
            message = f"there is an overlay {request.name} already"
            raise ControlError(ErrorCode.EXISTS, message, "name")
        number = creation.free_number(plan.number for plan in self._plans.values())
        plan = creation.plan(request, self._surroundings, number)
        creation.check_vnetid(plan, self._plans.values())
        self._plans[plan.name] = plan  # nobody else takes its name, number or vnetid
        try:
            overlay = Overlay(plan, self._make_instance(plan))
            await creation.build(overlay, self._runner)
        except BaseException:
            del self._plans[plan.name]
            raise
        self._overlays[plan.name] = overlay
        return overlay

    async def set_properties(self, overlay: Overlay, texts: Mapping[str, str | None]) -> None:
        """Set properties as an operator wrote them; None goes back to the default.

        Raises:
            ControlError: one cannot be set; nothing has changed.
        """
        async with overlay.changing():
            overlay.check_works()
            plan = overlay.plan
            parsed = properties.parse((*plan.outer, *plan.inner), texts, running=True)
            new, inner = plan.changed(parsed)
            try:
                await self._change(overlay, new, inner)
            except REFUSALS as exc:
                raise refusal(exc, plan.encapsulation) from exc

    async def remove(self, overlay: Overlay, reason: StopReason) -> None:
        """Take an overlay apart; what cannot be removed leaves it stopped, to be tried again.

        Raises:
            ControlError: its links cannot be removed.
        """
        async with overlay.changing():
            name = overlay.name
            if overlay.stopped is None:
                await overlay.instance.stop(reason)
                self._runner.instances.pop(name, None)
                self._runner.feed(OverlayRemoved(name))
            try:
                await self._runner.datapath.close(name)
            except DatapathError as exc:
                overlay.stopped = f"its links could not be removed: {exc}"
                raise refusal(exc, overlay.plan.encapsulation) from exc
            overlay.gone = True
            del self._overlays[name], self._plans[name]

    async def reload(self) -> None:
        """Have every plugin read its data again."""
        await self._each("reload", self._reload)

    async def end(self) -> None:
        """Remove all; their plugins go on another time."""
        await self._each("end", lambda overlay: self.remove(overlay, StopReason.SHUTDOWN))

    async def _change(
        self, overlay: Overlay, plan: Plan, inner: Mapping[str, Value | None]
    ) -> None:
        """Make an overlay follow `plan` and set properties of its plugin, or change nothing."""
        links, before = overlay.links, overlay.link()
        settings, after = plan.settings(), overlay.link(plan)
        if after != before:
            links = await self._runner.datapath.change(after)
        try:
            if inner:
                await self._change_plugin(overlay, inner)
        except BaseException:
            if after != before:
                await self._runner.datapath.change(before)
            raise
        overlay.links = links
        if plan != overlay.plan:
            overlay.plan = self._plans[overlay.name] = plan
            overlay.instance.configure(plan.instance_settings())
            self._runner.feed(OverlayChanged(overlay.name, settings))

    async def _change_plugin(self, overlay: Overlay, values: Mapping[str, Value | None]) -> None:
        """Set properties of an overlay's plugin, unless they make this host its one target."""
        instance = overlay.instance
        before, target = (
            {name: instance.values.get(name) for name in values},
            instance.default_target,
        )
        await instance.set_properties(values)
        if instance.default_target == target:
            return
        try:
            creation.check_elsewhere(overlay, self._runner)
        except ControlError:
            await instance.set_properties(before)
            raise

    async def _reload(self, overlay: Overlay) -> None:
        async with overlay.changing():
            overlay.check_works()
            await overlay.instance.reload()

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
