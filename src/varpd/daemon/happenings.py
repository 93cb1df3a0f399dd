"""Records put into words: for `monitor`, for `explain`, for the log of a bug report."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from varpd.control.messages import EventInfo
from varpd.daemon.records import Kind, Record
from varpd.engine.events import Deferred, Failed
from varpd.net.addresses import IpAddress
from varpd.provider.answers import Drop, Neighbour, Proxy, Replicate, Target

SHOWN: Final = 16
"""MACs that one event names; of more it has the number. Events go out while guests wait."""

_PROXIES: Final = {
    Proxy.ARP: "the ARP proxy is to answer",
    Proxy.NDP: "the NDP proxy is to answer",
    Proxy.DHCP: "the DHCP proxy is to pass it on",
}

_REASONS: Final = {
    "": "rows removed from the kernel",
    "expired": "expired unused; rows removed from the kernel",
    "evicted": "evicted to make room; rows removed from the kernel",
}

_PLAIN: Final[dict[Kind, Callable[[Any], str]]] = {
    Kind.TARGET_SET: lambda target: f"the plugin says: {target}",
    Kind.INVALIDATED: lambda _: "the plugin says that what was known no longer holds",
    Kind.ANNOUNCED: lambda address: f"the plugin has {address} announced",
    Kind.DEFAULT_SET: lambda target: f"everything goes to {target}",
    Kind.ENTRY_SET: lambda target: f"the administrator says: {target or 'drop'}",
    Kind.ENTRY_DELETED: lambda _: "the administrator deleted the entry",
    Kind.FLUSHED: lambda _: "the administrator flushed the table",
    Kind.ROWS_REMOVED: lambda reason: _REASONS.get(reason or "", _REASONS[""]),
    Kind.ROWS_REFUSED: lambda error: f"the kernel refused rows: {error}",
    Kind.LEARNED: lambda _: "a guest here sends from it",
    Kind.FORGOTTEN: lambda _: "no guest here has sent from it for a while",
    Kind.STARTED: lambda _: "the plugin is at work",
    Kind.STOPPED: lambda _: "the plugin is no longer at work",
    Kind.ADDED: lambda _: "the overlay was made",
    Kind.REMOVED: lambda _: "the overlay was removed",
    Kind.CHANGED: lambda what: f"settings changed: {what}" if what else "settings changed",
    Kind.DEGRADED: lambda text: f"degraded: {text}",
    Kind.RECOVERED: lambda cause: f"no longer degraded: {cause}",
    Kind.FAULT: str,
    Kind.NOTE: str,
}


def answer_text(answer: object) -> str:
    """Return in words what a plugin answered to a question of any sort."""
    match answer:
        case Target():
            return str(answer)
        case Drop(hold=None):
            return "drop"
        case Drop():
            return f"drop, for {answer.hold:g} s"
        case Proxy():
            return _PROXIES[answer]
        case Replicate():
            return "copies to " + (", ".join(map(str, answer.targets)) or "nobody")
        case Neighbour():
            return f"{answer.mac}{', a router' if answer.router else ''}"
        case Deferred():
            return "thinks about it"
        case Failed():
            return f"failed: {answer.reason}"
        case _:
            return str(answer)


def infos(overlay: str, record: Record, epoch: float) -> Iterator[EventInfo]:
    """Yield a record in words: one event for each different thing that happened.

    Args:
        overlay: whose record it is.
        record: the record.
        epoch: what is added to the clock of the loop to get seconds since the epoch.
    """
    time = _time(record.at + epoch)
    unkept = record.count - len(record.macs)
    for text, macs, address, target in _parts(record):
        yield EventInfo(
            time=time,
            overlay=overlay,
            kind=record.kind.value,
            text=text,
            macs=tuple(mac.hex(":") for mac in macs[:SHOWN]),
            more=unkept + max(0, len(macs) - SHOWN),
            address=None if address is None else str(address),
            target=None if target is None else str(target),
        )
        unkept = 0


def of_mac(records: Iterable[Record], mac: bytes, addresses: Sequence[IpAddress]) -> list[Record]:
    """Return the records that concern a MAC, the overlay's table as a whole, or an address.

    Of a batch only what concerns the MAC is left.
    """
    found = []
    for record in records:
        kept = _only(record, mac, addresses)
        if kept is not None:
            found.append(kept)
    return found


def lost_info(lost: int, now: float) -> EventInfo:
    """Return the event that says that others were lost to a slow reader; `now` since the epoch."""
    text = f"{lost} events were lost: they came faster than they were read"
    return EventInfo(time=_time(now), overlay=None, kind="lost", text=text, macs=(), more=lost)


_Part = tuple[str, Sequence[bytes], IpAddress | None, Target | None]


def _parts(record: Record) -> Iterator[_Part]:
    """Yield text, MACs, overlay address and target of each different thing in a record."""
    detail: Any = record.detail
    match record.kind:
        case Kind.ANSWERED:
            for answer, macs in _by_answer(record.macs, detail):
                target = answer if isinstance(answer, Target) else None
                yield f"the plugin answered: {answer_text(answer)}", macs, None, target
        case Kind.DHCP:
            for answer, macs in _by_answer(record.macs, detail):
                text = f"the plugin answered which is the DHCP server: {answer_text(answer)}"
                yield text, macs, None, None
        case Kind.NEIGHBOUR:
            for address, answer in detail:
                text = f"the plugin answered who has {address}: {answer_text(answer)}"
                yield text, (), address, None
        case Kind.ENUMERATED:
            for target, macs in _by_answer(record.macs, detail):
                yield f"the plugin told beforehand: {target}", macs, None, target
        case Kind.ADOPTED | Kind.TORN:
            for targets, macs in _by_answer(record.macs, detail):
                to = ", ".join(map(str, targets)) or "nowhere that can be told"
                yield f"{_FOUND[record.kind]}: to {to}", macs, None, None
        case Kind.ROWS_WRITTEN:
            target = detail if isinstance(detail, Target) else None
            to = detail if target else ", ".join(map(str, detail))
            yield f"rows to {to} handed to the kernel", record.macs, None, target
        case Kind.ANNOUNCED:
            yield _PLAIN[record.kind](detail), record.macs, detail, None
        case _:
            target = detail if isinstance(detail, Target) else None
            yield _PLAIN[record.kind](detail), record.macs, None, target


def _by_answer(
    macs: Sequence[bytes], answers: Sequence[Any]
) -> Iterator[tuple[Any, Sequence[bytes]]]:
    """Yield each different answer with the MACs that it is about."""
    found: dict[Any, list[bytes]] = {}
    for mac, answer in zip(macs, answers, strict=False):
        found.setdefault(answer, []).append(mac)
    yield from found.items()


_WHOLE: Final = frozenset({Kind.FLUSHED, Kind.ADDED, Kind.STARTED, Kind.STOPPED, Kind.DEFAULT_SET})
"""What concerns every MAC."""

_FOUND: Final = {
    Kind.ADOPTED: "rows found in the kernel and kept",
    Kind.TORN: "rows found in the kernel that are not whole",
}

_LISTED: Final = frozenset({Kind.ANSWERED, Kind.DHCP, Kind.ENUMERATED, Kind.ADOPTED, Kind.TORN})
"""What has a detail for each MAC."""


def _only(record: Record, mac: bytes, addresses: Sequence[IpAddress]) -> Record | None:
    """Return what of a record concerns a MAC, or addresses that it has; None: nothing."""
    if record.kind in _WHOLE:
        return record
    detail = record.detail
    if record.kind is Kind.NEIGHBOUR:
        pairs = [
            (address, answer)
            for address, answer in detail
            if address in addresses or mac == (getattr(answer, "mac", answer))
        ]
        if not pairs:
            return None
        return Record(record.number, record.at, record.kind, (), 0, pairs)
    if mac not in record.macs:
        return None
    if record.kind in _LISTED:
        detail = [detail[at] for at, item in enumerate(record.macs) if item == mac]
    macs = (mac,) * (len(detail) if record.kind in _LISTED else 1)
    return Record(record.number, record.at, record.kind, macs, len(macs), detail)


def _time(epoch: float) -> str:
    when = datetime.fromtimestamp(epoch, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
