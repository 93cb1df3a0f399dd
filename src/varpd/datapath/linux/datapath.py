"""The datapath of the Linux kernel: vxlan devices, bridges, a punt socket for each overlay.

Four threads: the event loop, which reads punted frames and sends; the row writer; and two that wait
for the kernel, see `varpd.datapath.linux.threads`.
"""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Final, assert_never
from weakref import WeakValueDictionary

from msgspec import Struct

from varpd.datapath.base import (
    DatapathError,
    DatapathErrorCode,
    Link,
    LinkState,
    PuntState,
    Row,
    Sink,
)
from varpd.datapath.counters import HostCounters, OverlayCounters
from varpd.datapath.encapsulation import ENCAPSULATIONS, VXLAN
from varpd.datapath.inspection import MacRows
from varpd.datapath.linux import (
    buffers,
    counting,
    found,
    links,
    lookups,
    opening,
    path_mtu,
    refusals,
    row_questions,
    tables,
)
from varpd.datapath.linux.caretaker import Caretaker
from varpd.datapath.linux.found import Found
from varpd.datapath.linux.guard import ways
from varpd.datapath.linux.guard.protection import Protection
from varpd.datapath.linux.keeping import Keeper, NoKeeper
from varpd.datapath.linux.kernel import Kernel
from varpd.datapath.linux.monitor import Monitor
from varpd.datapath.linux.opening import Made
from varpd.datapath.linux.path_mtu import PathMtus
from varpd.datapath.linux.reader import PuntReader
from varpd.datapath.linux.send import Sender
from varpd.datapath.linux.threads import KernelThreads
from varpd.datapath.linux.writer import RowWriter
from varpd.engine.commands import (
    AskUsage,
    CheckRows,
    DatapathCommand,
    Inject,
    Install,
    InstallReplicas,
    RemoveRows,
    Resend,
    SetDefaultTarget,
)
from varpd.engine.events import (
    Event,
    FramesPunted,
    RowsRefused,
)
from varpd.engine.settings import Mode
from varpd.net import vxlan
from varpd.net.addresses import ZERO, IpAddress

NAME: Final = "linux"


class OpenOverlay(Struct, eq=False):
    """An overlay that frames are carried for."""

    link: Link
    made: Made
    sender: Sender


class LinuxDatapath:
    """`varpd.datapath.base.Datapath` by the Linux kernel, for this network namespace."""

    name: Final = NAME
    """How operators call this datapath."""

    encapsulations: Final[tuple[str, ...]] = (VXLAN.name,)
    """Names of the encapsulations that it can carry."""

    def __init__(self, sink: Sink, keeper: Keeper | None = None) -> None:
        """`sink` is called from the event loop, never from inside `apply`.

        `keeper` keeps the punt sockets for the next daemon; nobody does unless given.
        """
        self._sink = sink
        self._keeper = keeper or NoKeeper()
        self._overlays: dict[str, OpenOverlay] = {}
        # What keeps two changes of one overlay apart; each is kept while somebody uses it.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._reader: PuntReader | None = None
        self._stopped = False
        self._threads = KernelThreads()
        self.monitor = Monitor(sink, self._threads.tables)
        """Knows this host's addresses and guests' MACs."""

        self.writer = RowWriter(
            lambda overlay, macs, error: self._tell(RowsRefused(overlay, macs, error))
        )
        """Writes the rows."""

        self._loop: asyncio.AbstractEventLoop | None = None
        self.protection = Protection(self._threads, self._tell)
        """Keeps guests, host and underlay apart."""

        self.follow = self.protection.follow
        """See `Datapath.follow`."""

        self.refused_at_ports = self.protection.refused
        """See `Datapath.refused_at_ports`."""

        self.caretaker = Caretaker(self._threads, sink, self.writer, self.monitor, self.protection)
        """Keeps links and tables as they should be."""

    async def start(self) -> None:
        """See `Datapath.start`."""
        self._loop = asyncio.get_running_loop()
        try:
            await self._threads.start()
            self._reader = PuntReader(await self._threads.at_length(buffers.total))
            self.writer.start()
            await self.monitor.start()
            self.caretaker.start()
            self.protection.start(self._reader, self.caretaker, self.apply)
        except OSError as error:
            await self.stop()
            raise refusals.refused(NAME, "speak with the kernel (netlink)", error) from error

    async def stop(self) -> None:
        """See `Datapath.stop`."""
        if self._stopped:
            return
        self._stopped = True
        # First of all, so that what was asked for is still done.
        await self._threads.at_length(self.writer.stop)
        await self.protection.stop()
        for name in list(self._overlays):
            await self._let_go(name)
        if self._reader is not None:
            self._reader.stop()
        self.caretaker.stop()
        self.monitor.stop()
        await self._threads.stop()

    async def open(self, link: Link) -> LinkState:
        """See `Datapath.open`."""
        async with self._locks.setdefault(link.name, asyncio.Lock()):
            old = self._overlays.get(link.name)
            if old is None or old.link != link:
                if old is not None:
                    await self._let_go(link.name)
                    await self._threads.request(_forget, self._keeper, link.name)
                undo = ExitStack()
                try:
                    await self._make(link, undo)
                except BaseException as error:
                    self.monitor.unwatch(link.name)
                    if self._overlays.pop(link.name, None) is not None:
                        await asyncio.shield(asyncio.wrap_future(self.writer.close(link.name)))
                    # In the kernel's thread, behind whatever it is still doing for us.
                    await asyncio.shield(self._threads.request(lambda _: undo.close()))
                    if isinstance(error, OSError):
                        raise refusals.refused(link.name, "carry its frames", error) from error
                    raise
            return await _state(self._threads, link.name)

    async def close(self, overlay: str) -> None:
        """See `Datapath.close`."""
        async with self._locks.setdefault(overlay, asyncio.Lock()):
            found = self._overlays.get(overlay)
            await self._let_go(overlay)
            await self._threads.request(_forget, self._keeper, overlay)
            _, device = await self._threads.request(links.find, overlay)
            if device is not None:
                await self._threads.empty(device.index)
            port = vxlan.PORT if found is None else found.link.listen_port
            await self._threads.request(opening.remove, overlay, port)
            await self.protection.remove(overlay)

    async def change(self, link: Link) -> LinkState:
        """See `Datapath.change`."""
        async with self._locks.setdefault(link.name, asyncio.Lock()):
            found = self._overlays.get(link.name)
            if found is None:
                raise _unknown(link.name)
            mtu = link.mtu or links.MTU
            self.caretaker.pause(link.name)
            try:
                await self._threads.request(links.change_mtu, found.made.pair, mtu)
                found.link = link
                await self.protection.change(link, found.made)
            except OSError as error:
                raise refusals.refused(link.name, f"set the MTU to {mtu}", error) from error
            finally:
                self.caretaker.resume(link.name, found.link)
            return await _state(self._threads, link.name)

    def apply(self, commands: Sequence[DatapathCommand]) -> None:
        """See `Datapath.apply`."""
        for command in commands:
            found = self._overlays.get(command.overlay)
            if found is None or self.protection.holds(command):
                continue
            match command:
                case Install():
                    self.writer.submit(command)
                    self.monitor.taken(command.overlay, command.macs)
                    found.sender.resend(command.target, command.packets)
                case InstallReplicas() | RemoveRows():
                    self.writer.submit(command)
                case Resend():
                    found.sender.resend(command.target, command.packets)
                case Inject():
                    self.writer.inject(
                        partial(_inject, found.sender, command.frames), command.overlay
                    )
                case SetDefaultTarget():
                    found.made.default = command.target
                    row_questions.set_default(
                        self._threads,
                        found.made.pair.device,
                        found.link.listen_port,
                        command,
                        self._tell,
                    )
                case AskUsage():
                    row_questions.ask_usage(self.writer, command, self._tell)
                case CheckRows():
                    row_questions.check_rows(self.writer, command, self._tell)
                case _:
                    assert_never(command)

    async def settle(self) -> None:
        """See `Datapath.settle`."""
        await asyncio.wrap_future(self.writer.settle())
        await self._threads.request(_nothing)

    def counters(self, overlay: str) -> OverlayCounters:
        """See `Datapath.counters`."""
        found = self._overlays.get(overlay)
        if found is None:
            return OverlayCounters()
        delays = self.writer.delays_of(overlay)
        return counting.overlay_counters(found.made.punt, found.sender, delays)

    def totals(self) -> HostCounters:
        """See `Datapath.totals`."""
        return counting.host_counters(self.writer, self.monitor, self.protection.guard.tables)

    async def dump(self, overlay: str) -> list[Row]:
        """See `Datapath.dump`; takes seconds for 100,000 rows, and more than in proportion."""
        found = self._overlays.get(overlay)
        if found is None:
            return []
        rows = await self._threads.at_length(
            tables.read_rows, found.made.pair.device, found.link.listen_port
        )
        if found.link.mode is Mode.POINT:
            return rows
        return [row for row in rows if row.mac != ZERO]

    async def rows_of(self, overlay: str, mac: bytes) -> MacRows:
        """See `Datapath.rows_of`."""
        found = self._overlays.get(overlay)
        if found is None:
            raise _unknown(overlay)
        made, link = found.made, found.link
        punt = None if link.mode is Mode.POINT else made.default
        try:
            return await self._threads.request(
                lookups.rows_of, made.pair, link.listen_port, punt, mac
            )
        except OSError as error:
            raise refusals.refused(overlay, f"ask for {mac.hex(':')}", error) from error

    async def state(self, overlay: str) -> LinkState:
        """See `Datapath.state`."""
        if overlay not in self._overlays:
            raise _unknown(overlay)
        return await _state(self._threads, overlay)

    async def present(self) -> list[str]:
        """See `Datapath.present`."""
        return await self._threads.request(links.overlays)

    async def path_mtu(self, listen_ip: IpAddress, target: IpAddress) -> int:
        """See `Datapath.path_mtu`.

        Raises:
            DatapathError: there is no route.
        """
        try:
            return path_mtu.measure(listen_ip, target)
        except OSError as error:
            raise DatapathError(
                DatapathErrorCode.FAILED,
                f"no route from {listen_ip} to {target}: {error.strerror}",
            ) from error

    async def try_punt(self, overlay: str) -> PuntState | None:
        """See `Datapath.try_punt`."""
        async with self._locks.setdefault(overlay, asyncio.Lock()):
            found = self._overlays.get(overlay)
            if found is None or self._reader is None:
                raise _unknown(overlay)
            return await ways.try_in_use(found.link, found.made, self._reader)

    async def _make(self, link: Link, undo: ExitStack) -> None:
        loop = asyncio.get_running_loop()
        deliver = partial(_deliver, self._sink, link.name)
        await self.protection.prepare(link)
        protect = self.protection.protecting(undo)
        made = await self._threads.request(opening.make, link, deliver, self._keeper, undo, protect)
        rows = Found([], [], [])
        if made.pair.adopted:
            rows = await self._threads.at_length(
                found.read, made.pair.device, link.listen_port, link.mode
            )
            await self._threads.request(opening.tidy, link, made, rows.defaults)
        sender = Sender(
            link.listen_ip,
            link.listen_port,
            ENCAPSULATIONS[link.encapsulation],
            link.vnetid,
            PathMtus(link.listen_ip, loop.time),
        )
        undo.callback(sender.close)
        await self.monitor.watch(link.name, made.pair.bridge, made.pair.device)
        groups = {mac: targets for mac, targets in rows.rows if mac[0] & 1}
        self.writer.open(link.name, made.pair.device, groups=groups, listen_port=link.listen_port)
        self._overlays[link.name] = OpenOverlay(link, made, sender)
        # Before the first punted frame, and a slice at a time, since frames of others come first.
        for event in rows.events(link.name):
            self._sink(event)
            await asyncio.sleep(0)
        self.protection.opened(link, made, deliver, rows.rows)
        # Now that all rows that were there are known.
        self.caretaker.care(link, made)

    async def _let_go(self, overlay: str) -> None:
        """Carry no more frames for an overlay; its links and rows stay."""
        self.caretaker.leave(overlay)
        found = self._overlays.pop(overlay, None)
        if found is None:
            return
        await self.protection.let_go(overlay)
        self.monitor.unwatch(overlay)
        # The writer may be injecting through the sender until it has closed the overlay.
        await asyncio.wrap_future(self.writer.close(overlay))
        found.sender.close()

    def _tell(self, event: Event) -> None:
        """Give an event to the event loop, from any thread."""
        if self._loop is not None:
            # The loop may have ended meanwhile.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._sink, event)


async def _state(threads: KernelThreads, overlay: str) -> LinkState:
    found = await threads.request(links.state, overlay)
    if found is None:
        raise _unknown(overlay)
    return found


def _deliver(sink: Sink, overlay: str, packets: list[bytes], arrived: float) -> None:
    sink(FramesPunted(overlay, packets, arrived))


def _inject(sender: Sender, frames: list[bytes]) -> None:
    for frame in frames:
        sender.inject(frame)


def _forget(_: Kernel, keeper: Keeper, overlay: str) -> None:
    """Have nobody keep an overlay's punt socket, so that its port is free."""
    keeper.forget(overlay)


def _nothing(kernel: Kernel) -> None:
    """Be the last in the queue of a thread."""


def _unknown(overlay: str) -> DatapathError:
    return DatapathError(DatapathErrorCode.FAILED, f"{overlay}: there is no such overlay")
