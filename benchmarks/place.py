"""Where benchmarks happen: hosts and guests of the tests' lab, and links that are made by hand."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from benchmarks import load
from benchmarks.load import mac
from support.guests import Guest
from support.lab import Host, Lab
from support.namespaces import Namespace
from support.waiting import wait_for
from varpd.control.client import Client
from varpd.datapath.base import Link
from varpd.datapath.linux import links, names, tables
from varpd.datapath.linux.kernel import Kernel
from varpd.datapath.linux.netlink import NUD_PERMANENT, FdbRow
from varpd.engine.settings import Mode
from varpd.net.addresses import ZERO
from varpd.provider.answers import Target

NO_LIMITS: Final = (
    *(f"limit_{kind}=0" for kind in ("unicast", "arp", "nd", "dhcp", "multicast")),
    *(f"limit_source_{kind}=0" for kind in ("arp", "nd", "dhcp", "multicast")),
)
"""Properties that leave nothing of the limits on what guests may ask."""

FILLERS: Final = 200_000
"""Rows that were in the kernel before anything is measured: what its allocator needs to be as it
is on a host that runs for long."""


def mappings_file(path: Path, count: int, target: str) -> Path:
    """Write a mapping file of plugin `files` with the MACs of the load, all at one host."""
    place = {"ip": target, "port": 4789}
    text = json.dumps({mac(number).hex(":"): place for number in range(count)})
    path.write_text(text, encoding="ascii")
    return path


@dataclass(frozen=True, slots=True)
class Bare:
    """A bridge and a tunnel device made by hand, as varpd makes them, with no control plane."""

    namespace: Namespace
    bridge: str
    device: int

    def rows(self) -> int:
        """Return how many rows the tunnel device and the bridge both have."""
        with self.namespace.entered():
            return len(tables.read_rows(self.device, 4789)) - 1

    def empty(self) -> None:
        """Remove all rows."""
        with self.namespace.entered():
            while tables.delete_slice(self.device):
                pass


def bare(host: Host, name: str, vnetid: int, default: Target, *, mode: Mode) -> Bare:
    """Make an overlay's links without varpd; all that has no row goes to `default`."""
    link = Link(name, vnetid, "vxlan", mode, 1, ip_address(host.address), 4789)
    with host.namespace.entered(), contextlib.closing(Kernel()) as kernel:
        pair = links.make(kernel, link, default, contextlib.ExitStack())
    return Bare(host.namespace, name, pair.device)


@contextlib.contextmanager
def python(host: Host, module: str, *arguments: str) -> Iterator[int]:
    """Run a module of Python on a host meanwhile, which says when it is ready."""
    command = (sys.executable, "-m", module, *arguments)
    with host.namespace.popen(*command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise AssertionError(f"{module} does not start")
        yield process.pid


@contextlib.contextmanager
def bare_loop(host: Host, links_made: Bare, mappings: int, target: str) -> Iterator[int]:
    """Run `benchmarks.peers.bare` meanwhile; yields its process."""
    listen_ip = ip_address(host.address)
    link = Link(links_made.bridge, 0, "vxlan", Mode.DYNAMIC, 1, listen_ip, 4789)
    punt = str(names.punt_address(link))
    arguments = (str(links_made.device), punt, host.address, str(mappings), target)
    with python(host, "benchmarks.peers.bare", *arguments) as process:
        yield process


def condition(lab: Lab) -> None:
    """Bring the kernel's allocator into the state that it has after many rows came and went."""
    host = lab.host("filler", start=False)
    made = bare(host, "filler", 99, Target(ip=ip_address("192.0.2.99"), port=4789), mode=Mode.POINT)
    lines = (
        f"fdb replace {mac(number).hex(':')} dev {names.device_name('filler')} dst 192.0.2.98 self"
        for number in range(FILLERS)
    )
    batch(host.namespace, lines)
    made.empty()


def batch(namespace: Namespace, lines: Iterator[str]) -> None:
    """Run many commands of `bridge` in a namespace."""
    subprocess.run(
        namespace.command("bridge", "-batch", "-"),
        input="\n".join(lines) + "\n",
        text=True,
        check=True,
        capture_output=True,
    )


def is_empty(host: Host, overlay: str) -> bool:
    """Return whether neither table of an overlay has a row but the default one and own MACs."""
    with host.namespace.entered():
        rows = tables.fdb_rows(socket.if_nametoindex(names.device_name(overlay)))
        return all(_is_own(row) for row in rows)


def _is_own(row: FdbRow) -> bool:
    return row.mac == ZERO or bool(row.master and row.state & NUD_PERMANENT)


def miss_delays(
    host: Host,
    overlay: str,
    sink: Host,
    guest: Guest,
    frames: int,
    rate: int,
    meanwhile: Callable[[], None] = lambda: None,
) -> list[float]:
    """Send to MACs whose rows are gone; return the seconds that each frame was on its way.

    Args:
        host: has the overlay, which may still have frames of before to handle.
        overlay: its plugin knows the MACs.
        sink: where they are.
        guest: sends.
        frames: how many it sends, each to another MAC.
        rate: how many a second.
        meanwhile: is called when the first is about to be sent.

    Raises:
        AssertionError: a frame was lost.
    """
    forget(host, overlay)
    with load.arrivals(sink.namespace, frames) as found:
        meanwhile()
        load.send(guest.namespace, frames, rate)
    if len(found.came) != frames:
        raise AssertionError(f"{frames - len(found.came)} of {frames} frames were lost")
    return found.delays


def forget(host: Host, overlay: str) -> None:
    """Have an overlay know nothing; what still waits in its punt socket is waited for."""
    with Client(str(host.varpd.socket)) as client:

        def is_forgotten() -> bool:
            client.flush(overlay)
            return is_empty(host, overlay)

        wait_for("the rows to be gone", is_forgotten, 60)


def processor_seconds(process: int) -> float:
    """Return the processor time that a process has used so far."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(process: int) -> int:
    """Return the bytes of memory that a process has in use."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


def silent(guest: Guest) -> Guest:
    """Have a guest send nothing by itself."""
    guest.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    return guest
