"""The guard of one datapath: what has to happen to it when overlays come, change and go."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial

import structlog
from msgspec import structs

from varpd.datapath.base import Antispoof, Link
from varpd.datapath.linux import names, netlink, refusals, tables
from varpd.datapath.linux.guard import bridged, links
from varpd.datapath.linux.guard.admission import Admission
from varpd.datapath.linux.guard.guard import Guard
from varpd.datapath.linux.guard.rules import Guarded, Sources
from varpd.datapath.linux.guard.ways import Caring, PuntWays, Reading, Way
from varpd.datapath.linux.kernel import Kernel
from varpd.datapath.linux.link_check import Port
from varpd.datapath.linux.links import PORT_FORWARDS, Pair, Protect, find
from varpd.datapath.linux.opening import Made
from varpd.datapath.linux.threads import KernelThreads
from varpd.engine.commands import DatapathCommand
from varpd.engine.events import GuardReported
from varpd.engine.settings import Mode
from varpd.net.addresses import ZERO, IpAddress
from varpd.provider.answers import Target

log = structlog.get_logger(__name__)


Apply = Callable[[Sequence[DatapathCommand]], None]
"""Does commands."""


class Protection:
    """Guards overlays and proves the ways of their frames; used from the event loop."""

    def __init__(self, threads: KernelThreads, tell: Callable[[GuardReported], None]) -> None:
        """`tell` takes what is amiss with an overlay, from any thread."""
        self.guard = Guard(lambda overlay, text: tell(GuardReported(overlay, text)))
        """What does the work."""

        self._threads = threads
        self._ways: PuntWays | None = None
        self._open: dict[str, tuple[Link, Made]] = {}
        self._seen: dict[str, tuple[Port, ...]] = {}
        """The guests' ports of each overlay's bridge when it was last looked at."""

        self._admissions: dict[str, Admission] = {}
        self._expected: dict[str, frozenset[IpAddress]] = {}
        """Targets of links that an earlier daemon made, until they are open."""

        self._apply: Apply | None = None

    def start(self, reader: Reading, caring: Caring, apply: Apply) -> None:
        """Begin.

        Args:
            reader: reads punt sockets.
            caring: looks after default rows.
            apply: does commands that were kept back.
        """
        self._apply = apply
        self._ways = PuntWays(self._threads, reader, caring, self._way_changed)
        self.guard.start(self._ways.prove, partial(_probe, self._open, self._seen))

    async def stop(self) -> None:
        """End; the rules stay, and protect."""
        await self._threads.at_length(self.guard.stop)

    async def prepare(self, link: Link) -> None:
        """Learn whom an earlier daemon had let in, before its links are taken over.

        Raises:
            OSError: the kernel does not tell.
        """
        if not link.only_targets:
            return
        _, device = await self._threads.request(find, link.name)
        if device is not None:
            self._expected[link.name] = await self._threads.at_length(
                _destinations, device.index, link.mode
            )

    def protect(self, kernel: Kernel, link: Link, pair: Pair) -> None:
        """Guard links before frames flow over them; in the kernel's thread.

        It never fails: what cannot be had is told.
        """
        _, made = self._open.get(link.name, (None, None))
        try:
            there = tables.ports(pair.bridge).items()
            ports = tables.open_ports(pair.bridge, PORT_FORWARDS)
        except OSError as error:
            self.guard.put(self._guarded(link, pair, made))
            self.guard.fault(link.name, "ports", f"the bridge's ports cannot be read ({error})")
            return
        self._seen[link.name] = tuple(Port(n, i) for n, i in there if i != pair.device)
        self.guard.put(self._guarded(link, pair, made))
        self.guard.fault(link.name, "ports", links.close_ports(kernel, ports))

    def protecting(self, undo: ExitStack) -> Protect:
        """Return `protect` for links that are made, or taken back by `undo`."""

        def protect(kernel: Kernel, link: Link, pair: Pair) -> None:
            if not pair.adopted:
                undo.callback(_remove, self.guard, link.name)
            self.protect(kernel, link, pair)

        return protect

    def see(self, overlay: str, ports: Sequence[Port]) -> None:
        """Take note of the guests' ports that an overlay's bridge has now."""
        known = self._seen.get(overlay)
        self._seen[overlay] = tuple(ports)
        link, made = self._open.get(overlay, (None, None))
        if link is None or made is None or link.antispoof is Antispoof.OFF:
            return
        if known is None or set(known) != set(ports):
            item = self._guarded(link, made.pair, made)
            self._threads.submit(lambda _: self.guard.put(item))

    async def refused(self) -> dict[str, dict[str, int]]:
        """See `Datapath.refused_at_ports`.

        Raises:
            DatapathError: the kernel does not tell.
        """
        try:
            return await self._threads.request(lambda _: self.guard.tables.refused())
        except OSError as error:
            raise refusals.refused("linux", "count what antispoof refuses", error) from error

    def close(self, overlay: str, ports: Iterable[int]) -> None:
        """Have ports of an overlay's bridge give nothing to the host."""
        closed = self._threads.submit(links.close_ports, ports)
        closed.add_done_callback(
            lambda done: self.guard.fault(
                overlay, "ports", None if done.exception() else done.result()
            )
        )

    def opened(
        self,
        link: Link,
        made: Made,
        deliver: Callable[[list[bytes], float], None],
        rows: Iterable[tuple[bytes, tuple[Target, ...]]],
    ) -> None:
        """Take frames from the socket in use, and look after the overlay from now on.

        `rows` are those that were there already.
        """
        known = {target.ip for _, targets in rows for target in targets if target.ip is not None}
        self._follow_link(link, made, known)
        self._expected.pop(link.name, None)
        if made.punt is not None and self._ways is not None:
            self._ways.add(Way(link, made, deliver))
            self.guard.prove(link.name)

    async def change(self, link: Link, made: Made) -> None:
        """Guard an overlay as its link says now."""
        self._follow_link(link, made, ())
        if self._ways is not None:
            self._ways.follow(link)
        item = self._guarded(link, made.pair, made)
        await self._threads.request(lambda _: self.guard.put(item))

    def follow(self, overlay: str, targets: frozenset[IpAddress]) -> None:
        """See `Datapath.follow`."""
        if (admission := self._admissions.get(overlay)) is not None:
            admission.follow(targets)

    def holds(self, command: DatapathCommand) -> bool:
        """Return whether a command is kept back until those whom it names are let in."""
        if not self._admissions:
            return False
        admission = self._admissions.get(command.overlay)
        return admission is not None and admission.hold(command)

    async def let_go(self, overlay: str) -> None:
        """Take no more frames, and close the sockets; the rules stay."""
        # Behind a proof that is under way: nothing else uses the sockets then.
        await self._threads.at_length(self.guard.let_go, overlay)
        if self._ways is not None:
            self._ways.remove(overlay)
        self._admissions.pop(overlay, None)
        self._seen.pop(overlay, None)
        _, made = self._open.pop(overlay, (None, None))
        if made is not None:
            for punt in (made.punt, None if made.detour is None else made.detour.punt):
                if punt is not None:
                    punt.close()

    async def remove(self, overlay: str) -> None:
        """Take the rules of an overlay away, whose links are gone."""
        await self._threads.request(lambda _: _remove(self.guard, overlay))

    def _way_changed(self, way: Way) -> None:
        self.guard.put(self._guarded(way.link, way.made.pair, way.made))

    def _follow_link(self, link: Link, made: Made, known: Collection[IpAddress]) -> None:
        """Take note of what an overlay is now, and let in targets if only these may send."""
        self._open[link.name] = (link, made)
        if not link.only_targets:
            self._admissions.pop(link.name, None)
        elif link.name not in self._admissions and self._apply is not None:
            now = asyncio.get_running_loop().time
            admission = Admission(partial(self._let_in, link.name), self._apply, now)
            self._admissions[link.name] = admission
            default = None if link.default is None else link.default.ip
            admission.admit({*known, *(() if default is None else (default,))})

    def _let_in(self, overlay: str, addresses: frozenset[IpAddress]) -> Future[None]:
        link, made = self._open[overlay]
        item = structs.replace(self._guarded(link, made.pair, made), sources=addresses)
        return self._threads.submit(lambda _: self.guard.put(item))

    def _guarded(self, link: Link, pair: Pair, made: Made | None) -> Guarded:
        item = guarded(link, pair, made, self._sources(link))
        known = {port.name for port in link.ports}
        seen = self._seen.get(link.name, ())
        strangers = frozenset((p.name, p.index) for p in seen if p.name not in known)
        return structs.replace(item, strangers=strangers)

    def _sources(self, link: Link) -> Sources:
        if not link.only_targets:
            return link.sources
        admission = self._admissions.get(link.name)
        if admission is not None:
            return admission.addresses
        return self._expected.get(link.name, frozenset())


def guarded(link: Link, pair: Pair, made: Made | None, sources: Sources) -> Guarded:
    """Return what the guard has to know of an overlay.

    `made` is what there is of it so far, or None: that it takes a detour is known later.
    """
    ports = [names.PUNT_PORT] if link.mode is Mode.DYNAMIC else []
    if made is not None and made.detour is not None and made.detour.target.port is not None:
        ports.append(made.detour.target.port)
    return Guarded(
        overlay=link.name,
        vnetid=link.vnetid,
        listen_ip=link.listen_ip,
        listen_port=link.listen_port,
        bridge=pair.bridge,
        device=pair.device,
        host_access=link.host_access,
        underlay=link.underlay,
        sources=sources,
        punt_ports=tuple(ports),
        antispoof=link.antispoof,
        ports=link.ports,
    )


def _destinations(device: int, mode: Mode) -> frozenset[IpAddress]:
    """Return where the rows of a tunnel device lead; blocks, for seconds where it has many."""
    return frozenset(
        netlink.ip_of(row.destination)
        for row in tables.whole_fdb(device)
        # A default destination is varpd itself, but in POINT mode.
        if row.destination and (row.mac != ZERO or mode is Mode.POINT)
    )


def _probe(
    overlays: Mapping[str, tuple[Link, Made]], seen: Mapping[str, tuple[Port, ...]], family: int
) -> None:
    """Send a packet where there are guests whom rules may cut off; in the guard's thread."""
    # A list at once, since the event loop changes what there is.
    links = [link for link, _ in list(overlays.values()) if seen.get(link.name)]
    bridged.send(links, family)


def _remove(guard: Guard, overlay: str) -> None:
    try:
        guard.remove(overlay)
    except OSError as error:
        # They hold for links that are gone; the next check tries again.
        log.warning("cannot remove firewall rules", overlay=overlay, error=str(error))
