"""The first ping where nothing is known: no ARP entry, no row on either host.

Beside it: the same guests when all rows are there; and hosts that flood and learn, as a VXLAN
device does without a control plane, with one other host to flood to.
"""

from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from benchmarks import place
from benchmarks.results import Outcome, Ratio, Series
from support.guests import INTERFACE, Guest
from support.lab import Host, Lab
from varpd.engine.settings import Mode
from varpd.provider.answers import Target

TITLE: Final = "the first ping, everything cold"
PINGS: Final = 200
P50: Final = 0.7
P99: Final = 2.0


def run(say: Callable[[str], None]) -> Outcome:
    """Measure all in turn."""
    found: dict[str, list[float]] = {"cold": [], "warm rows": [], "flood and learn": []}
    with Lab(show_logs=False) as lab:
        hosts = lab.hosts("ours", "theirs")
        ours = lab.files_overlay("first", 7, {"one": hosts[0], "other": hosts[1]})
        peers = [lab.host(name, start=False) for name in ("left", "right")]
        learning = flooding(lab, peers)
        for number in range(PINGS):
            if number % 20 == 0:
                say(f"{number} of {PINGS}")
            forget_all(hosts, ours)
            found["cold"].append(first(*ours))
            forget_neighbours(ours)
            found["warm rows"].append(first(*ours))
            forget_neighbours(learning)
            for host in peers:
                host.run("ip", "link", "set", "dev", "learn", "type", "bridge", "fdb_flush")
            found["flood and learn"].append(first(*learning))
    series = tuple(Series(label, "ms", tuple(values)) for label, values in found.items())
    cold = series[0]
    return Outcome(
        "cold",
        TITLE,
        series,
        (
            Ratio.at_most("cold, p50 in ms", cold.quantile(0.5), P50),
            Ratio.at_most("cold, p99 in ms", cold.quantile(0.99), P99),
            Ratio("cold / warm rows, p50", cold.median / series[1].median, ""),
            Ratio("cold / flood and learn, p50", cold.median / series[2].median, ""),
        ),
        ("None was lost.",),
    )


def flooding(lab: Lab, hosts: list[Host]) -> tuple[Guest, Guest]:
    """Make hosts whose every unknown frame goes to the other one."""
    guests = []
    for host, other in (hosts, hosts[::-1]):
        target = Target(ip=ip_address(other.address), port=4789)
        place.bare(host, "learn", 8, target, mode=Mode.POINT)
        guests.append(host.attach("learn", f"guest-{host.name}"))
    return guests[0], guests[1]


def forget_all(hosts: list[Host], guests: tuple[Guest, ...] | list[Guest]) -> None:
    """Have hosts and guests know nothing."""
    for host in hosts:
        place.forget(host, "first")
    forget_neighbours(guests)


def forget_neighbours(guests: tuple[Guest, ...] | list[Guest]) -> None:
    """Have guests know no MAC."""
    for guest in guests:
        guest.run("ip", "neigh", "flush", "dev", INTERFACE)


def first(one: Guest, other: Guest) -> float:
    """Return the milliseconds of one ping.

    Raises:
        AssertionError: it was lost.
    """
    found = one.ping(other.ipv4)
    if found.lost:
        raise AssertionError("a ping was lost")
    return found.times[0]
