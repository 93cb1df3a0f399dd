"""The administrator's entries as they are written, and an overlay's table as it is shown."""

import asyncio
import heapq
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from operator import attrgetter
from typing import Final, Protocol, cast

from varpd.control.messages import (
    ControlError,
    ErrorCode,
    TargetInfo,
    TargetOrigin,
    TargetState,
)
from varpd.net.addresses import MacAddress, parse_ip
from varpd.provider.answers import Target
from varpd.provider.errors import TargetInvalid
from varpd.provider.kinds import DestinationKind
from varpd.provider.targets import check_target

BLOCK: Final = "drop"
"""The word for an entry whose frames are dropped."""

SLICE: Final = 500
"""Entries that are dealt with in one turn of the event loop: about two milliseconds."""

_BY_MAC: Final = attrgetter("mac")


class Entry(Protocol):
    """One entry of an overlay's table."""

    @property
    def mac(self) -> bytes:
        """Destination MAC."""

    @property
    def targets(self) -> tuple[Target, ...]:
        """Where its frames go; none, one, or for a group MAC several."""

    @property
    def state(self) -> str:
        """As in `TargetInfo`."""

    @property
    def origin(self) -> str:
        """As in `TargetInfo`."""

    @property
    def since(self) -> float | None:
        """When the target was learnt, by the clock of the loop."""


def parse_mac(text: str) -> MacAddress:
    """Return the unicast MAC address that an operator wrote.

    Raises:
        ControlError: it is none.
    """
    try:
        mac = MacAddress.parse(text)
    except ValueError as exc:
        raise ControlError(ErrorCode.INVALID, str(exc), "mac") from exc
    if mac.is_group or mac.is_zero:
        raise ControlError(ErrorCode.INVALID, f"{mac} is not the address of one guest", "mac")
    return mac


def parse_target(text: str, kinds: DestinationKind, family: int | None) -> Target | None:
    """Return the target that an operator wrote, or None for `BLOCK`.

    Args:
        text: ``IP:PORT``, ``[IPV6]:PORT``, without the port where the encapsulation has none.
        kinds: what the encapsulation needs.
        family: 4 or 6, that of the underlay; None for either.

    Raises:
        ControlError: it is none, or the encapsulation cannot use it.
    """
    if text == BLOCK:
        return None
    try:
        target = _split(text)
        return check_target(target, kinds, family)
    except TargetInvalid as exc:
        raise ControlError(ErrorCode.INVALID, str(exc), "target") from exc
    except ValueError as exc:
        form = "IP:PORT or [IPV6]:PORT" if DestinationKind.PORT in kinds else "an IP address"
        message = f"{text!r} is neither {form} nor {BLOCK}"
        raise ControlError(ErrorCode.INVALID, message, "target") from exc


def _split(text: str) -> Target:
    """Read an address and, if there is one, a port.

    Raises:
        ValueError: it is nothing of the kind.
    """
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in host or (rest and not rest.startswith(":")):
            raise ValueError("no address in brackets")
        return Target(ip=parse_ip(host), port=_port(rest[1:]) if rest else None)
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return Target(ip=parse_ip(host), port=_port(port))
    return Target(ip=parse_ip(text))


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise ValueError("no port")
    return int(text)


def point(overlay: str, target: Target | None) -> list[TargetInfo]:
    """Return the one row of a POINT overlay."""
    return [_row(overlay, None, target, "valid" if target else "pending", "plugin", None)]


async def table(overlay: str, entries: Iterable[Entry], now: float) -> list[TargetInfo]:
    """Return the rows of a DYNAMIC overlay in the order of the MACs: one for each target.

    A table may be long, so other work has its turn in between.

    Args:
        overlay: its name.
        entries: its table.
        now: the clock of the loop.
    """
    left = iter(entries)
    runs: list[list[Entry]] = []
    while run := sorted(islice(left, SLICE), key=_BY_MAC):
        runs.append(run)
        await asyncio.sleep(0)
    rows: list[TargetInfo] = []
    for number, entry in enumerate(heapq.merge(*runs, key=_BY_MAC), 1):
        if number % SLICE == 0:
            await asyncio.sleep(0)
        mac = entry.mac.hex(":")
        age = None if entry.since is None else round(max(0.0, now - entry.since), 3)
        for target in entry.targets or (None,):
            rows.append(_row(overlay, mac, target, entry.state, entry.origin, age))  # noqa: PERF401 - it awaits in between
    return rows


def _row(
    overlay: str,
    mac: str | None,
    target: Target | None,
    state: str,
    origin: str,
    age: float | None,
) -> TargetInfo:
    return TargetInfo(
        overlay=overlay,
        mac=mac,
        ip=None if target is None else _ip_text(target),
        port=None if target is None else target.port,
        state=cast(TargetState, state),
        origin=cast(TargetOrigin, origin),
        age_s=age,
    )


@lru_cache(maxsize=4096)  # a table has many entries and few targets
def _ip_text(target: Target) -> str | None:
    return None if target.ip is None else str(target.ip)
