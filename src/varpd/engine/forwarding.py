"""The way of a punted frame that has an entry, or gets one.

This is the path that decides how many misses a second varpd takes: one plain loop over a batch,
no object that nobody reads.
"""

from typing import Final

from msgspec import structs

from varpd.engine import classify
from varpd.engine.commands import Command
from varpd.engine.inquiries import Inquiries
from varpd.engine.overlay import ROWS_GRACE, Overlay
from varpd.net import ethernet
from varpd.net.decode import DecodeError
from varpd.provider.query import Query
from varpd.targets.entries import (
    Blocked,
    Entry,
    Negative,
    Pending,
    Refreshing,
    Shape,
    Valid,
    Waiting,
    held,
    valid_of,
    with_valid,
)

_SHORTEST: Final = ethernet.TAGGED_HEADER_SIZE


class Forwarding:
    """Takes punted frames of one overlay."""

    def __init__(self, overlay: Overlay, inquiries: Inquiries) -> None:
        """Take the overlay, and who handles frames that have no entry."""
        self._overlay = overlay
        self._inquiries = inquiries

    def punted(
        self, packets: list[bytes], now: float, out: list[Command], arrived: float = 0.0
    ) -> None:
        """Take frames that the kernel had no row for; `arrived` is when the first of them came."""
        overlay = self._overlay
        headroom = overlay.settings.headroom
        overlay.counters["punted"] += len(packets)
        if min(map(len, packets), default=0) < headroom + _SHORTEST:
            packets = self._whole(packets)
        if overlay.default is not None:
            # A POINT overlay; the kernel punted before its default row said where to.
            overlay.install(overlay.valid((overlay.default,), now), [], packets, out)
            return
        unicast = [packet for packet in packets if not packet[headroom] & 1]
        if len(unicast) != len(packets):
            groups = [packet for packet in packets if packet[headroom] & 1]
            self._groups(groups, now, out, arrived)
        if unicast:
            overlay.counters["punted.unicast"] += len(unicast)
            self.frames(self._limited(classify.UNICAST, unicast, now), now, out, arrived)

    def frames(
        self, packets: list[bytes], now: float, out: list[Command], arrived: float = 0.0
    ) -> None:
        """Take frames that have entries or get them; no limit is applied."""
        overlay = self._overlay
        if not overlay.running:
            overlay.drop("no-instance", len(packets))
            return
        entries = overlay.entries
        vnetid, headroom = overlay.settings.vnetid, overlay.settings.headroom
        end = headroom + 6
        shares = overlay.shares
        turn = _Turn(shares.waiting.room(), shares.lookups.room())
        begun, space = turn.room, shares.targets.room()
        fresh = 0
        queries = turn.queries
        known: list[tuple[bytes, bytes, Valid]] = []
        for packet in packets:
            mac = packet[headroom:end]
            entry = entries.get(mac)
            if entry is None:
                size = len(packet)
                if size > turn.room or fresh >= space or len(queries) >= turn.asks:
                    overlay.drop(_full(size > turn.room, fresh >= space))
                    continue
                turn.room -= size
                fresh += 1
                query = Query(mac, vnetid, packet, headroom)
                entries[mac] = Pending(query, Waiting([packet], size, arrived))
                queries.append(query)
            elif type(entry) is Valid:
                known.append((mac, packet, entry))
            elif type(entry) is Refreshing:
                known.append((mac, packet, entry.valid))
            else:
                self._meet(mac, entry, packet, now, turn)
        shares.waiting.take(begun - turn.room)
        shares.targets.take(fresh)
        overlay.start(queries, out)
        if known:
            self._forward(known, now, out)

    def _meet(self, mac: bytes, entry: Entry, packet: bytes, now: float, turn: "_Turn") -> None:
        """Take a frame whose MAC is PENDING, NEGATIVE or BLOCKED."""
        overlay = self._overlay
        size = len(packet)
        if isinstance(entry, Blocked):
            overlay.drop("blocked")
            return
        assert isinstance(entry, Pending | Negative)  # noqa: S101 - for the type checker
        if entry.holds and held(entry.holds, shape_of(overlay.query(mac, packet)), now):
            overlay.drop("negative")
        elif size > turn.room:
            overlay.drop("waiting-overlay")
        elif isinstance(entry, Negative):
            self._ask_again(mac, entry, packet, now, turn)
        elif entry.waiting.size + size > overlay.settings.limits.waiting_mac:
            overlay.drop("waiting-mac")
        else:
            turn.room -= size
            entry.waiting.add(packet)
            if mac not in overlay.waits and entry.query in overlay.deferred:
                overlay.wait(mac, now)

    def _ask_again(
        self, mac: bytes, entry: Negative, packet: bytes, now: float, turn: "_Turn"
    ) -> None:
        """Take a frame for which a hold has ended."""
        overlay = self._overlay
        waiting = Waiting([packet], len(packet))
        if entry.query is not None:
            # The overdue lookup remains the one lookup of its MAC; this frame joins it.
            turn.room -= waiting.size
            overlay.entries[mac] = Pending(entry.query, waiting, entry.holds)
            overlay.wait(mac, now)
        elif len(turn.queries) >= turn.asks:
            overlay.drop("lookups")
        else:
            turn.room -= waiting.size
            query = overlay.query(mac, packet)
            overlay.entries[mac] = Pending(query, waiting, entry.holds)
            turn.queries.append(query)

    def _forward(
        self, known: list[tuple[bytes, bytes, Valid]], now: float, out: list[Command]
    ) -> None:
        """Send frames whose target is known; their rows are on the way, or missing."""
        overlay = self._overlay
        runs: dict[tuple[bool, Valid], tuple[dict[bytes, None], list[bytes]]] = {}
        for mac, packet, valid in known:
            macs, packets = runs.setdefault((bool(mac[0] & 1), valid), ({}, []))
            packets.append(packet)
            if valid.rows_at <= now:
                macs[mac] = None
        for (group, valid), (macs, packets) in runs.items():
            for mac in macs:
                overlay.counters["rows-rewritten"] += 1
                self._renew(mac, now)
            if group and not macs:
                overlay.replicate(valid.targets, packets, out)
            else:
                overlay.install(valid, list(macs), packets, out)

    def _renew(self, mac: bytes, now: float) -> None:
        """Give the rows of a MAC, which are written again, time to get to the kernel."""
        entry = self._overlay.entries[mac]
        valid = valid_of(entry)
        if valid is not None:
            renewed = structs.replace(valid, rows_at=now + ROWS_GRACE, refused=False)
            self._overlay.put(mac, with_valid(entry, renewed))

    def _groups(self, packets: list[bytes], now: float, out: list[Command], arrived: float) -> None:
        """Take frames to group addresses."""
        overlay = self._overlay
        headroom = overlay.settings.headroom
        kinds: dict[int, list[bytes]] = {}
        for packet in packets:
            kinds.setdefault(classify.group_kind(packet[headroom:]), []).append(packet)
        for kind, some in kinds.items():
            overlay.counters[f"punted.{classify.KINDS[kind]}"] += len(some)
            conforming = self._limited(kind, some, now)
            if not overlay.running:
                overlay.drop("no-instance", len(conforming))
            elif kind == classify.MULTICAST:
                self._multicast(conforming, now, out, arrived)
            else:
                self._inquiries.punted(conforming, now, out)

    def _multicast(
        self, packets: list[bytes], now: float, out: list[Command], arrived: float
    ) -> None:
        headroom = self._overlay.settings.headroom
        rows = [p for p in packets if classify.may_have_rows(p[headroom : headroom + 6])]
        rowless = [p for p in packets if not classify.may_have_rows(p[headroom : headroom + 6])]
        if rows:
            self.frames(rows, now, out, arrived)
        if rowless:
            self._inquiries.punted(rowless, now, out)

    def _limited(self, kind: int, packets: list[bytes], now: float) -> list[bytes]:
        """Return the frames of one kind that the limits let through; the newest are dropped."""
        overlay = self._overlay
        name = classify.KINDS[kind]
        sources = overlay.sources[kind]
        if sources.is_limited:
            start = overlay.settings.headroom + 6
            conforming = [p for p in packets if sources.conforms(p[start : start + 6], now)]
            overlay.drop(f"limit-source-{name}", len(packets) - len(conforming))
            packets = conforming
        allowed = overlay.buckets[kind].take(len(packets), now)
        overlay.drop(f"limit-{name}", len(packets) - allowed)
        return packets[:allowed] if allowed < len(packets) else packets

    def _whole(self, packets: list[bytes]) -> list[bytes]:
        """Return the packets that hold a whole Ethernet header; short ones are rare."""
        headroom = self._overlay.settings.headroom
        whole = []
        for packet in packets:
            try:
                ethernet.header_length(packet[headroom:])
            except DecodeError:
                self._overlay.drop("truncated")
            else:
                whole.append(packet)
        return whole


class _Turn:
    """What one batch may still use, and the questions that it makes."""

    __slots__ = ("asks", "queries", "room")

    def __init__(self, room: int, asks: int) -> None:
        self.room = room
        self.asks = asks
        self.queries: list[Query] = []


def shape_of(query: Query) -> Shape:
    """Return what frames are alike by."""
    return query.ethertype, query.vlan


def _full(waiting: bool, table: bool) -> str:
    """Return the reason for which a frame to an unknown MAC is dropped."""
    if waiting:
        return "waiting-overlay"
    return "table-full" if table else "lookups"
