"""What the administrator says of guests' ports; in force and stored, or neither."""

from collections.abc import Callable, Mapping

import structlog
from msgspec import structs

from varpd.control.messages import ControlError, ErrorCode, PortInfo, SetPort
from varpd.daemon import catalogue, guest_ports, statistics
from varpd.daemon.overlay import Overlay
from varpd.daemon.overlays import Overlays
from varpd.daemon.refusals import REFUSALS, refusal
from varpd.daemon.restoring import Restoration
from varpd.daemon.runner import Runner
from varpd.daemon.waiting import Waiting
from varpd.datapath.base import Antispoof, DatapathError
from varpd.store.base import Store, StoredPort

log = structlog.get_logger()


class PortChanges:
    """The half of the service that knows guests' ports."""

    def __init__(
        self,
        overlays: Overlays,
        restoration: Restoration,
        store: Store,
        runner: Runner,
        check_open: Callable[[], None],
    ) -> None:
        """Take what it is done with.

        Args:
            overlays: the overlays.
            restoration: those of them that are not at work.
            store: what survives a restart.
            runner: has the datapath.
            check_open: raises `ControlError` when nothing can be changed.
        """
        self._may_change = check_open
        self._overlays = overlays
        self._restoration = restoration
        self._store = store
        self._runner = runner

    async def ports(self, name: str) -> list[PortInfo]:
        """Return the guests' ports of an overlay in the order of their names."""
        found = self._overlays.get(name)
        if isinstance(found, Waiting):
            record = found.record
            set_ = {**record.defaults, **record.properties}
            usual = str(set_.get(catalogue.ANTISPOOF, Antispoof.OFF.value))
            return guest_ports.infos(name, record.ports, usual, (), {}, {})
        datapath = self._runner.datapath
        refused = await statistics.refused(datapath)
        try:
            present = (await datapath.state(name)).ports
        except DatapathError as exc:
            raise refusal(exc) from exc
        usual = str(found.plan.effective()[catalogue.ANTISPOOF])
        return guest_ports.infos(
            name,
            found.plan.ports,
            usual,
            present,
            refused.get(name, {}),
            found.instance.endpoints.conflicts,
        )

    async def set_port(self, name: str, port: str, change: SetPort) -> PortInfo:
        """Say who the guest at a port is, before or after the link is there."""
        self._may_change()
        self._check_port(name, port)
        if change.takeover and isinstance(self._overlays.get(name), Waiting):
            message = f"overlay {name} is not at work: nobody could take over a guest"
            raise ControlError(ErrorCode.FAILED, message, "takeover")
        if not await self._restoration.set_port(name, port, change):
            overlay = self._overlays.find(name)
            async with overlay.changing():
                overlay.check_works()
                known = overlay.plan.ports.get(port, guest_ports.NOTHING)
                wanted = guest_ports.changed(known, change)
                if change.takeover and wanted.mac is None:
                    message = "who has moved here? give the MAC, too"
                    raise ControlError(ErrorCode.MISSING, message, "mac")
                await self._put_port(overlay, port, wanted)
                if change.takeover:
                    overlay.instance.endpoints.take_over(port)
        log.info("port set", overlay=name, port=port)
        (info,) = [info for info in await self.ports(name) if info.port == port]
        return info

    async def delete_port(self, name: str, port: str) -> None:
        """Forget what was said of a guest's port."""
        self._may_change()
        if not await self._restoration.set_port(name, port, None):
            overlay = self._overlays.find(name)
            async with overlay.changing():
                overlay.check_works()
                if port not in overlay.plan.ports:
                    raise guest_ports.unknown(name, port)
                await self._put_port(overlay, port, None)
        log.info("port forgotten", overlay=name, port=port)

    def _check_port(self, name: str, port: str) -> None:
        guest_ports.check_name(port, name)
        for other in self._overlays.defined():
            ports = other.record.ports if isinstance(other, Waiting) else other.plan.ports
            if other.name != name and port in ports:
                message = f"port {port} belongs to overlay {other.name}"
                raise ControlError(ErrorCode.CONFLICT, message, "port")

    async def _put_port(self, overlay: Overlay, port: str, known: StoredPort | None) -> None:
        """Put what is known of a port in force and store it, or change nothing."""
        old = overlay.plan
        plan = structs.replace(old, ports=replaced(old.ports, port, known))
        before, after = overlay.link(), overlay.link(plan)
        datapath = self._runner.datapath
        try:
            if after != before:
                overlay.links = await datapath.change(after)
            try:
                await self._store.set_port(overlay.name, port, known)
            except BaseException:
                if after != before:
                    await datapath.change(before)
                raise
        except REFUSALS as exc:
            raise refusal(exc) from exc
        overlay.plan = plan
        overlay.instance.endpoints.register(plan.ports)


def replaced(
    ports: Mapping[str, StoredPort], port: str, known: StoredPort | None
) -> dict[str, StoredPort]:
    """Return what is known of ports, with one of them changed."""
    others = {name: each for name, each in ports.items() if name != port}
    return others if known is None else {**others, port: known}
