"""The row of a target is in the kernel before the ARP or NDP reply for which it was set.

The reply goes all the way to the guest, and the frame that waited for it all the way back to the
tunnel device, inside the system call that injects the reply. So a row that came after the reply
would come too late for that frame, always: it would be punted.
"""

import socket
from collections.abc import Iterator
from typing import Final

import pytest

from support import numbered_plugins
from support.guests import Guest
from support.lab import Host, Lab
from support.observers import carried, punted, punts, underlay
from support.scapy_oracle import UDP, Ether

pytestmark = pytest.mark.integration

PLUGINS: Final = ("plain", "saying", "saying-later", "later")
"""The last one cannot have a row in time."""

PORT: Final = 9
STATIONS: Final = range(100, 200, 2)
"""Numbers of stations on the second host; nobody needs to be there for frames to be sent to."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    host, _ = lab.hosts("a", "b", plugins=[numbered_plugins.__file__])
    return host


def send_to_all(guest: Guest, version: int) -> None:
    """Send a datagram to each station, of whom the guest knows nothing yet."""
    prefix = "10.77.0." if version == 4 else "fd00:77::"
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with guest.namespace.entered(), socket.socket(family, socket.SOCK_DGRAM) as sender:
        for number in STATIONS:
            tail = str(number) if version == 4 else f"{number:x}"
            sender.sendto(b"first", (prefix + tail, PORT))


def is_first(frame: Ether | None) -> bool:
    return frame is not None and UDP in frame and frame[UDP].dport == PORT


def punted_after_reply(lab: Lab, host: Host, plugin: str, version: int) -> int:
    """Return how many of the guest's first frames the kernel had no row for."""
    vnetid = 10 * PLUGINS.index(plugin) + version
    name = f"blue{vnetid}"
    number = 2 * vnetid + 1  # odd, so that the plugins have it on this host
    host.create(name, vnetid, plugin)
    guest = host.attach(
        name,
        f"guest-{plugin}-{version}",
        mac=f"02:00:5e:10:00:{number:02x}",
        ips=[f"10.77.0.{number}/24", f"fd00:77::{number:x}/64"],
    )
    with punts(host) as seen, underlay(host) as out:
        send_to_all(guest, version)
        out.wait(
            "all frames on the underlay", lambda frame: is_first(carried(frame)), len(STATIONS)
        )
        return len(seen.seen(lambda frame: is_first(punted(frame))))


@pytest.mark.parametrize("version", [4, 6], ids=["arp", "ndp"])
@pytest.mark.parametrize("plugin", PLUGINS[:-1])
def test_a_row_is_there_before_the_reply(lab: Lab, host: Host, plugin: str, version: int) -> None:
    assert punted_after_reply(lab, host, plugin, version) == 0


@pytest.mark.parametrize("version", [4, 6], ids=["arp", "ndp"])
def test_without_a_row_the_frame_that_waited_for_the_reply_is_punted(
    lab: Lab, host: Host, version: int
) -> None:
    # So the test above would show a row that comes late.
    assert punted_after_reply(lab, host, PLUGINS[-1], version) == len(STATIONS)
