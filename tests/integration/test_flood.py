"""Guests who send to MACs that nobody has, as fast as they can."""

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from support import hostile_plugins
from support.guests import INTERFACE
from support.lab import Host, Lab
from support.shared_lab import overlays_of_a_test
from support.waiting import wait_for
from varpd.control.client import Client
from varpd.control.messages import CreateOverlay

pytestmark = pytest.mark.integration

MIB: Final = 1 << 20
LOCAL_EXPERIMENT: Final = b"\x88\xb5"
"""An ethertype for experiments (IEEE 802, 9.2.3)."""

MAX_WAITING: Final = 1 * MIB
MAX_LOOKUPS: Final = 256
MAX_TARGETS: Final = 5_000
TO: Final = b"\x06\x00"
FROM: Final = b"\x06\x01"
"""How the MACs of the flood begin."""

FRAME_SIZE: Final = 1_000
COLD_PINGS: Final = 10

GROWTH: Final = 48 * MIB
"""Bytes that a daemon may grow by while it is flooded: some for each entry, question and frame."""

FLAT: Final = 8 * MIB
"""Bytes that a daemon may grow by when what has happened before happens again."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(show_logs=False) as made:
        yield made


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> list[Host]:
    return lab.hosts("a", "b", plugins=[hostile_plugins.__file__])


@pytest.fixture(autouse=True)
def clean(hosts: list[Host]) -> Iterator[None]:
    with overlays_of_a_test(hosts):
        yield


class Flood:
    """Frames from a guest, each to another MAC than all before."""

    def __init__(self, sender: socket.socket, source: bytes | None) -> None:
        """Take a packet socket of the guest's interface, and the source of the frames."""
        self.sent = 0
        self._sender = sender
        self._source = source
        self._rest = LOCAL_EXPERIMENT + bytes(FRAME_SIZE - 14)

    def send(self, frames: int) -> None:
        """Send as fast as the interface takes it."""
        send, rest = self._sender.send, self._rest
        for number in range(self.sent, self.sent + frames):
            tail = number.to_bytes(4, "big")
            send(TO + tail + (self._source or FROM + tail) + rest)
        self.sent += frames

    @contextmanager
    def going_on(self, frames: int) -> Iterator[None]:
        """Send meanwhile without a pause, `frames` at least."""
        ended = threading.Event()

        def run() -> None:
            while not ended.is_set() or self.sent < frames:
                self.send(100)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@contextmanager
def flooding(lab: Lab, host: Host, deed: str, *, spoofed: bool) -> Iterator[Flood]:
    """Make overlay `bad-0` with small bounds, and a guest that floods it.

    If it is `spoofed`, each frame has another source, too.
    """
    values: dict[str, str | None] = {
        "vxlan/listen_ip": host.address,
        "hostile/do": deed,
        "limit_waiting": str(MAX_WAITING),
        "limit_targets": str(MAX_TARGETS),
        "max_lookups": str(MAX_LOOKUPS),
    }
    with Client(str(host.varpd.socket)) as client:
        client.create(CreateOverlay("bad-0", 100, "hostile", properties=values))
    guest = host.attach("bad-0", "flooding")
    with guest.namespace.entered():
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    with sender:
        sender.bind((INTERFACE, 0))
        yield Flood(sender, None if spoofed else bytes(guest.mac))


def memory(host: Host) -> int:
    """Return the bytes of memory that a host's daemon has in use."""
    status = Path(f"/proc/{host.varpd.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


@pytest.mark.parametrize("frames", [20_000, pytest.param(200_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("spoofed", [False, True], ids=["own-source", "many-sources"])
@pytest.mark.parametrize("deed", ["good", "hang"])
def test_a_flood_to_unknown_macs_hurts_no_other_overlay(
    lab: Lab, hosts: list[Host], deed: str, spoofed: bool, frames: int
) -> None:
    """The plugin says at once that it knows nothing (`good`), or does not answer (`hang`)."""
    a, b = hosts
    here, there = lab.files_overlay("calm", 7, {"here": a, "there": b})
    with (
        flooding(lab, a, deed, spoofed=spoofed) as flood,
        Client(str(a.varpd.socket)) as client,
    ):
        before, seen = memory(a), []
        with flood.going_on(frames):
            for _ in range(COLD_PINGS):
                client.flush("calm")
                here.run("ip", "neigh", "flush", "dev", INTERFACE)
                assert here.ping(there, wait=10).lost == 0
                seen.append(Counter(target.state for target in client.targets("bad-0")))
        seen.append(Counter(target.state for target in client.targets("bad-0")))
        once = memory(a)
        flood.send(frames)
        wait_for("the flood to be over", lambda: not pending(client))
        twice = memory(a)

    # It was enough of a flood to meet the bounds; the guest asks a question or two of its own.
    known = max(states["negative"] for states in seen)
    asked = max(states["pending"] for states in seen)
    assert (known == MAX_TARGETS) if deed == "good" else (asked > MAX_LOOKUPS // 2)
    assert asked <= MAX_LOOKUPS
    assert max(states.total() for states in seen) <= MAX_TARGETS
    assert once - before < GROWTH
    assert twice - once < FLAT
    assert "Traceback" not in a.varpd.log()


def pending(client: Client) -> bool:
    """Return whether the daemon still asks about MACs of the flood."""
    return any(
        target.state == "pending" and str(target.mac).startswith(TO.hex(":"))
        for target in client.targets("bad-0")
    )
