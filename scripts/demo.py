"""The demo: three hosts, each with a real varpd, one overlay from a mapping file, six guests.

Started by `scripts/demo` in namespaces of its own. Ends with 0 if no ping was lost, 1 if one was
or something failed, 130 when interrupted.
"""

import signal
import statistics
import sys
import time
from functools import partial
from itertools import permutations
from types import FrameType
from typing import Final

from rich.console import Console
from rich.table import Table

from support.guests import INTERFACE, Guest, Pings
from support.lab import Host, Lab
from support.waiting import wait_for
from varpd.control.client import Client

OVERLAY: Final = "blue"
VNETID: Final = 7
HOSTS: Final = ("host1", "host2", "host3")
PLACES: Final = {f"guest{number}": (number - 1) // 2 for number in range(1, 7)}
"""Guests, and the index of the host that each is on at first."""

PINGS_AFTER_MOVE: Final = 5
WIDTH: Final = 100
"""Columns where there is no terminal."""


class Interrupted(Exception):  # noqa: N818 - what happened, no error
    """Ctrl-C, or the like."""


class Interruption:
    """Notes signals, so that the demo ends between two steps and not in the middle of one."""

    def __init__(self) -> None:
        """Take over the signals that end a program."""
        self._noted = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._noted = True

    def check(self) -> None:
        """Raise `Interrupted` if there was a signal."""
        if self._noted:
            raise Interrupted


class Demo:
    """The demo, and the score of its pings."""

    def __init__(self, lab: Lab, console: Console, interruption: Interruption) -> None:
        """Take where it happens and where it is told."""
        self.lab = lab
        self.console = console
        self.interruption = interruption
        self.sent = 0
        self.lost = 0
        self.hosts: list[Host] = []
        self.guests: list[Guest] = []
        self.places: dict[str, Host] = {}

    def run(self) -> None:
        """Do everything."""
        self.build()
        for version in (4, 6):
            self.ping_cold(version)
        self.ping_warm()
        self.show(self.hosts[1])
        self.move(self.guests[-1], self.hosts[0])
        self.show(self.hosts[1])

    def build(self) -> None:
        """Start the daemons, make the overlay on each host, and put the guests on it."""
        start = time.monotonic()
        self.hosts = self.lab.hosts(*HOSTS)
        self.interruption.check()
        self.places = {name: self.hosts[index] for name, index in PLACES.items()}
        self.guests = self.lab.files_overlay(OVERLAY, VNETID, self.places)
        self.interruption.check()
        table = Table("host", "underlay", "guests", title="Three hosts, each with its own varpd")
        for host in self.hosts:
            here = [guest for guest in self.guests if self.places[guest.name] is host]
            table.add_row(
                host.name,
                host.address,
                "\n".join(
                    f"{guest.name}  {guest.mac}  {guest.ipv4}  {guest.ipv6}" for guest in here
                ),
            )
        self.say(table)
        self.say(
            f"overlay {OVERLAY}, vnetid {VNETID}, made on each host from one mapping file;"
            f" all ready after {time.monotonic() - start:.1f} s"
        )

    def ping_cold(self, version: int) -> None:
        """Ping every guest from every other; nobody knows anything before each ping."""
        first: dict[tuple[str, str], Pings] = {}
        for asking, asked in permutations(self.guests, 2):
            self.interruption.check()
            self.forget((asking, asked))
            address = asked.ipv4 if version == 4 else asked.ipv6
            first[asking.name, asked.name] = self.count(asking.ping(address))
        self.interruption.check()

        names = [guest.name for guest in self.guests]
        table = Table("from", *names, title=f"IPv{version}, first ping in ms (=: on the same host)")
        for name in names:
            table.add_row(name, *(self.cell(first, name, other) for other in names))
        self.say(table)
        far = [
            pings.times[0]
            for (asking, asked), pings in first.items()
            if pings.times and self.places[asking] is not self.places[asked]
        ]
        lost = sum(pings.lost for pings in first.values())
        if far:
            self.say(
                f"{len(first)} cold pings, {lost} lost; between hosts: median"
                f" {statistics.median(far):.2f} ms, slowest {max(far):.2f} ms"
            )

    def ping_warm(self) -> None:
        """Ping every guest from every other again; all hosts then know all guests."""
        far = []
        for version in (4, 6):
            for asking, asked in permutations(self.guests, 2):
                self.interruption.check()
                pings = self.count(asking.ping(asked.ipv4 if version == 4 else asked.ipv6, 3))
                if self.places[asking.name] is not self.places[asked.name]:
                    far.append(pings.times[-1:])
        times = [time for run in far for time in run]
        if times:
            self.say(f"once more, warm; between hosts: median {statistics.median(times):.2f} ms")

    def cell(self, first: dict[tuple[str, str], Pings], asking: str, asked: str) -> str:
        """Return how a first ping went."""
        if asking == asked:
            return "-"
        pings = first[asking, asked]
        same = "=" if self.places[asking] is self.places[asked] else ""
        return f"{same}{pings.times[0]:.2f}" if pings.times else "LOST"

    def forget(self, guests: tuple[Guest, ...]) -> None:
        """Empty the tables of all hosts, in varpd and in the kernel, and the guests' neighbours."""
        for host in self.hosts:
            with Client(str(host.varpd.socket)) as client:
                client.flush(OVERLAY)
        for guest in guests:
            guest.run("ip", "neigh", "flush", "dev", INTERFACE)
        for host in self.hosts:
            wait_for(f"{host.name} to forget", partial(knows_nothing, host))

    def move(self, guest: Guest, host: Host) -> None:
        """Bring a guest to another host, say so in the file, and ping it from everywhere."""
        old = self.places[guest.name]
        others = [other for other in self.guests if other is not guest]
        host.move(guest, OVERLAY)
        start = time.monotonic()
        self.lab.mapping_file(f"{OVERLAY}.json").put(guest.identity, host)
        for place in self.hosts:
            wait_for(f"{place.name} to follow", partial(knows_not, place, guest, old))
        followed = time.monotonic() - start
        self.interruption.check()
        self.places[guest.name] = host
        runs = [
            self.count(other.ping(address, PINGS_AFTER_MOVE))
            for other in others
            for address in (guest.ipv4, guest.ipv6)
        ]
        self.interruption.check()
        self.say(
            f"{guest.name} moves from {old.name} to {host.name}, and the file says so.\n"
            f"{followed * 1000:.0f} ms after the change of the file no host sends its frames to"
            f" {old.name} any more.\n"
            f"{sum(run.sent for run in runs)} pings from all other guests to {guest.name} on"
            f" {host.name}, {sum(run.lost for run in runs)} lost"
        )

    def show(self, host: Host) -> None:
        """Show what a host knows."""
        self.say(f"{host.name}# overlayadm show -t {OVERLAY}")
        self.console.out(host.overlayadm("show", "-t", OVERLAY).stdout, highlight=False)

    def count(self, pings: Pings) -> Pings:
        """Add to the score."""
        self.sent += pings.sent
        self.lost += pings.lost
        return pings

    def say(self, what: Table | str) -> None:
        """Print a part of the account."""
        self.console.print()
        self.console.print(what, highlight=False)


def rows(host: Host) -> list[str]:
    """Return the kernel's rows that send to other hosts."""
    lines = host.run("bridge", "fdb", "show", "dev", f"vx-{OVERLAY}").stdout.splitlines()
    return [line for line in lines if " dst " in line and " dst 127." not in line]


def knows_nothing(host: Host) -> bool:
    """Whether a host has no row for any guest."""
    return not rows(host)


def knows_not(host: Host, guest: Guest, place: Host) -> bool:
    """Whether a host has no row that sends frames for a guest to a place."""
    return not any(
        row.startswith(str(guest.mac)) and f" dst {place.address} " in row for row in rows(host)
    )


def main() -> int:
    """Run the demo and return its exit status."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    interruption = Interruption()
    start = time.monotonic()
    lab = Lab(show_logs=False)
    try:
        with lab:
            demo = Demo(lab, console, interruption)
            try:
                demo.run()
            except AssertionError:
                console.print(lab.logs(), markup=False, highlight=False)
                raise
    except Interrupted:
        console.print("\ninterrupted; everything is removed")
        return 130
    except AssertionError as error:
        console.print(f"\nfailed: {error}", markup=False)
        return 1
    console.print(
        f"\n{demo.sent} pings, {demo.lost} lost; {time.monotonic() - start:.0f} s", highlight=False
    )
    return 1 if demo.lost else 0


if __name__ == "__main__":
    sys.exit(main())
