"""Questions for a plugin, made from a few words."""

from collections.abc import Sequence

from varpd.net import ethernet
from varpd.net.addresses import MacAddress
from varpd.provider.query import FRAME, REFRESH, Query

SOURCE = MacAddress.parse("02:00:5e:00:53:01")
"""The guest that asks, unless told otherwise."""


def mac_of(mac: str | bytes) -> MacAddress:
    """Return the address written as `mac`.

    Raises:
        ValueError: `mac` is no MAC address.
    """
    return MacAddress.parse(mac) if isinstance(mac, str) else MacAddress(mac)


def frame_query(
    mac: str | bytes,
    *,
    src: str | bytes = SOURCE,
    ethertype: int | None = ethernet.EtherType.IPV4,
    vlan: int | None = None,
    payload: bytes = bytes(46),
    vnetid: int = 100,
) -> Query:
    """Return the question where a guest's frame to `mac` goes.

    Args:
        mac: destination.
        src: source.
        ethertype: 1536 to 65535, or None for an 802.3 frame.
        vlan: 802.1Q VLAN, 1 to 4094, or None for an untagged frame.
        payload: what follows the header.
        vnetid: virtual network identifier of the overlay.

    Raises:
        ValueError: an argument is out of its range.
    """
    dst = mac_of(mac)
    tag = None if vlan is None else ethernet.Tag(vlan)
    frame = ethernet.Frame(dst, mac_of(src), ethertype, payload, tag)
    return Query(bytes(dst), vnetid, frame.serialize(), 0, FRAME)


def refresh_query(mac: str | bytes, *, vnetid: int = 100) -> Query:
    """Return varpd's own question where `mac` is."""
    return Query(bytes(mac_of(mac)), vnetid, None, 0, REFRESH)


def as_query(question: str | bytes | Query) -> Query:
    """Return `question`, which may be just a MAC address."""
    return question if isinstance(question, Query) else frame_query(question)


def refreshed(queries: Sequence[Query]) -> list[Query]:
    """Return the question about each unicast MAC in `queries` as varpd asks it itself."""
    macs = dict.fromkeys(query.key for query in queries if not query.dst.is_group)
    return [refresh_query(mac) for mac in macs]
