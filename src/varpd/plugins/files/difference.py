"""What changes when one mapping file takes the place of another."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from varpd.net.addresses import IpAddress, Mac
from varpd.plugins.files.content import SLICE, Content


@dataclass(frozen=True, slots=True)
class Difference:
    """What the new content says otherwise than the old."""

    macs: list[Mac]
    """MACs of which another target, or none, or one at last, is said."""

    moved: list[tuple[IpAddress, Mac]]
    """Overlay addresses that another MAC has now, and that MAC."""


def difference(old: Content, new: Content, pause: Callable[[], None]) -> Difference:
    """Compare two contents, with a pause after every `SLICE` steps.

    A MAC that is only in the new content counts as changed, since somebody may have been told
    that nobody knows it.
    """
    macs: list[Mac] = []
    get_new, get_old = new.targets.get, old.targets.get
    for step, (mac, target) in enumerate(old.targets.items(), 1):
        now = get_new(mac)
        if now is not target and now != target:
            macs.append(mac)
        if not step % SLICE:
            pause()
    for step, mac in enumerate(new.targets, 1):
        if get_old(mac) is None:
            macs.append(mac)
        if not step % SLICE:
            pause()
    moved: list[tuple[IpAddress, Mac]] = []
    moved += ((IPv4Address(at), mac) for at, mac in _moved(old.ipv4, new.ipv4, pause))
    moved += ((IPv6Address(at), mac) for at, mac in _moved(old.ipv6, new.ipv6, pause))
    return Difference(macs, moved)


def _moved(
    old: dict[int, Mac], new: dict[int, Mac], pause: Callable[[], None]
) -> list[tuple[int, Mac]]:
    found = []
    for step, (address, mac) in enumerate(new.items(), 1):
        before = old.get(address)
        if before is not None and before != mac:
            found.append((address, mac))
        if not step % SLICE:
            pause()
    return found
