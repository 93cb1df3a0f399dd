"""What varpd costs on paths that are resolved: nothing, since the kernel alone forwards there.

The peer is a VXLAN device and a bridge made by hand, with static rows in both tables. Both have
guests on two hosts; they are measured in turn.
"""

import json
import subprocess
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from benchmarks import place
from benchmarks.results import Outcome, Ratio, Series, paired
from support.guests import Guest
from support.lab import Host, Lab
from support.waiting import wait_for
from varpd.datapath.linux import names
from varpd.engine.settings import Mode
from varpd.provider.answers import Target

TITLE: Final = "resolved paths: TCP throughput, and packets of 64 bytes a second"
ALTERNATIONS: Final = 10
SECONDS: Final = "1"
GOAL: Final = 0.97

Pair = tuple[Guest, Guest]


def run(say: Callable[[str], None]) -> Outcome:
    """Measure both in turn."""
    found: dict[str, dict[str, list[float]]] = {
        unit: {"varpd": [], "by hand": []} for unit in ("Gbit/s", "packets/s")
    }
    with Lab(show_logs=False) as lab:
        pairs = {"varpd": with_varpd(lab), "by hand": by_hand(lab)}
        for one, other in pairs.values():
            if one.ping(other, 3).lost or other.ping(one, 3).lost:
                raise AssertionError("the guests do not reach each other")
        for turn in range(ALTERNATIONS):
            # Whoever comes first changes from turn to turn.
            for label in sorted(pairs, reverse=bool(turn % 2)):
                say(f"{label}, {turn + 1} of {ALTERNATIONS}")
                found["Gbit/s"][label].append(tcp(*pairs[label]) / 1e9)
                found["packets/s"][label].append(packets(*pairs[label]))
    series = tuple(
        Series(label, unit, tuple(values))
        for unit, labels in found.items()
        for label, values in labels.items()
    )
    ratios = tuple(
        Ratio.at_least(f"{unit}, varpd / by hand", paired(labels["varpd"], labels["by hand"]), GOAL)
        for unit, labels in found.items()
    )
    return Outcome("throughput", TITLE, series, ratios)


def with_varpd(lab: Lab) -> Pair:
    """Make two hosts with an overlay, and its guests."""
    here, there = lab.hosts("ours", "theirs")
    one, other = lab.files_overlay("fast", 7, {"one": here, "other": there})
    return one, other


def by_hand(lab: Lab) -> Pair:
    """Make two hosts with links and rows that somebody wrote."""
    hosts = [lab.host(name, start=False) for name in ("left", "right")]
    guests = []
    for host, other in (hosts, hosts[::-1]):
        target = Target(ip=ip_address(other.address), port=4789)
        place.bare(host, "hand", 8, target, mode=Mode.POINT)
        guests.append(host.attach("hand", f"guest-{host.name}"))
    for host, other, guest in zip(hosts, hosts[::-1], guests[::-1], strict=True):
        write_rows(host, other, guest)
    return guests[0], guests[1]


def write_rows(host: Host, other: Host, guest: Guest) -> None:
    """Write the rows of a guest on another host, as operators do."""
    device = names.device_name("hand")
    place.batch(
        host.namespace,
        iter(
            (
                f"fdb replace {guest.mac} dev {device} dst {other.address} self",
                f"fdb replace {guest.mac} dev {device} master static sticky",
            )
        ),
    )


def tcp(one: Guest, other: Guest) -> float:
    """Return the bits a second of one TCP stream."""
    return float(iperf(one, other)["end"]["sum_received"]["bits_per_second"])


def packets(one: Guest, other: Guest) -> float:
    """Return the packets of 64 bytes a second that arrive."""
    found = iperf(one, other, "--udp", "--length", "64", "--bitrate", "0")["end"]["sum"]
    return float((found["packets"] - found["lost_packets"]) / found["seconds"])


def iperf(one: Guest, other: Guest, *options: str) -> dict[str, dict[str, dict[str, float]]]:
    """Run iperf3 from one guest to another; return what it found."""
    serve = ("iperf3", "--server", "--one-off")
    send = ("iperf3", "--client", other.ipv4, "--time", SECONDS, "--json", *options)
    with other.popen(*serve, stdout=subprocess.DEVNULL) as server:
        wait_for("iperf3", lambda: ":5201" in other.run("ss", "-Hltn").stdout)
        said = one.run(*send).stdout
        server.wait(10)
    result: dict[str, dict[str, dict[str, float]]] = json.loads(said)
    return result
