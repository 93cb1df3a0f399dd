"""What is seen of an overlay from outside: its punts, what it sends, its rows in the kernel."""

import json
from typing import Any, Final

from support.lab import UNDERLAY, Host
from support.scapy_oracle import UDP, VXLAN, Ether
from support.wire_tap import Tap

PUNT_PORT: Final = 789
"""Where the kernel hands frames to varpd."""

VXLAN_PORT: Final = 4789


def punts(host: Host) -> Tap:
    """Return a tap for the frames that the kernel hands to varpd; see `punted`."""
    return Tap(host.namespace, "lo")


def underlay(host: Host) -> Tap:
    """Return a tap for what a host sends to and gets from the underlay; see `carried`."""
    return Tap(host.namespace, UNDERLAY, outgoing=True)


def punted(frame: Ether) -> Ether | None:
    """Return the guest's frame that a frame on `lo` hands to varpd, or None."""
    return _inner(frame, PUNT_PORT)


def carried(frame: Ether) -> Ether | None:
    """Return the guest's frame that a frame of the underlay carries, or None."""
    return _inner(frame, VXLAN_PORT)


def _inner(frame: Ether, port: int) -> Ether | None:
    if UDP not in frame or frame[UDP].dport != port:
        return None
    inner = VXLAN(bytes(frame[UDP].payload)).payload
    return inner if isinstance(inner, Ether) else None


def rows(host: Host, overlay: str, mac: object) -> list[dict[str, Any]]:
    """Return the rows of a MAC as `bridge` shows them: the bridge's and the tunnel device's."""
    shown = json.loads(host.run("bridge", "-json", "fdb", "show", "br", overlay).stdout)
    return sorted((row for row in shown if row["mac"] == str(mac)), key=str)
