"""DHCP through the proxy: a real client gets its lease from a real server on another host."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from support import numbered_plugins
from support.guests import Guest
from support.lab import Host, Lab
from support.observers import punted, punts
from support.scapy_oracle import ARP, IP, UDP, Ether, Raw
from support.waiting import wait_for
from support.wire_tap import Tap

pytestmark = pytest.mark.integration

BROADCAST: Final = "ff:ff:ff:ff:ff:ff"
BROADCAST_IP: Final = "255.255.255.255"
SCRIPT: Final = """#!/bin/sh
case $1 in
    bound) ip address add "$ip/$mask" dev "$interface"; echo "lease $ip from $serverid" ;;
esac
"""
DHCP_PORT_HEX: Final = ":0043 "
NOISE: Final = 50
"""Broadcast frames at once, fewer than the limit for one guest."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        # Numbers 1 and 2, by which the plugin knows where they are.
        lab.identity("ponder-client")
        lab.identity("ponder-server")
        yield lab


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> list[Host]:
    return lab.hosts("a", "b", plugins=[numbered_plugins.__file__])


@contextlib.contextmanager
def dhcp_server(guest: Guest, leases: dict[Guest, str], directory: Path) -> Iterator[None]:
    """A DHCP server at work in a guest, which gives each client its address."""
    log = directory / f"{guest.name}.log"
    with (
        log.open("w", encoding="utf-8") as output,
        guest.popen(
            *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0"),
            *("--interface=eth0", "--user=root", "--pid-file=", "--log-facility=-", "--no-ping"),
            *("--dhcp-authoritative", f"--dhcp-leasefile={directory / guest.name}.leases"),
            f"--dhcp-range={guest.ipv4},static,255.255.255.0,1h",
            *(f"--dhcp-host={client.mac},{ip}" for client, ip in leases.items()),
            stdout=output,
            stderr=output,
        ) as process,
    ):

        def listens() -> bool:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            with guest.namespace.entered():
                sockets = Path("/proc/thread-self/net/udp").read_text(encoding="ascii")
            return DHCP_PORT_HEX in sockets

        wait_for("the DHCP server", listens)
        yield


def get_lease(guest: Guest, directory: Path, *options: str) -> str:
    """Run a DHCP client in a guest, and return all that it said.

    It asks once and then waits longer than anything but a lost frame takes.
    """
    script = directory / "lease.sh"
    if not script.exists():
        script.write_text(SCRIPT, encoding="utf-8")
        script.chmod(0o755)
    done = guest.run(
        *("udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "1", "-T", "15", "-s", str(script)),
        *options,
        check=False,
    )
    return done.stdout + done.stderr


def noise(guest: Guest) -> list[Ether]:
    """Broadcast that nobody wants, each frame different."""
    packet = IP(src="10.77.0.99", dst=BROADCAST_IP)
    return [
        Ether(src=str(guest.mac), dst=BROADCAST) / packet / UDP(sport=9, dport=9) / Raw(b"%d" % n)
        for n in range(NOISE)
    ]


def asks_for(guest: Guest, address: str) -> Ether:
    """An ARP request of a guest without an address of its own."""
    packet = ARP(op=1, hwsrc=str(guest.mac), psrc="10.77.0.99", pdst=address)
    return Ether(src=str(guest.mac), dst=BROADCAST) / packet


def is_reply(frame: Ether) -> bool:
    return ARP in frame and frame[ARP].op == 2


@pytest.mark.parametrize("flag", [(), ("-B",)], ids=["unicast replies", "broadcast replies"])
def test_a_client_gets_its_lease_from_a_server_on_another_host(
    lab: Lab, hosts: list[Host], flag: tuple[str, ...], tmp_path: Path
) -> None:
    a, b = hosts
    name, vnetid, lease = ("flag", 8, "10.77.0.150") if flag else ("noflag", 7, "10.77.0.151")
    server_identity = lab.identity(f"server-{name}")
    file = lab.mapping_file(f"{name}.json")
    file.put(server_identity, b)
    proxy = {"dhcp-proxy": str(server_identity.mac)}
    file.put(lab.identity(f"client-{name}"), a, arp=[lease], **proxy)
    for host in hosts:
        host.create(name, vnetid, "files", f"files/config={file.path}")
    server = b.attach(name, f"server-{name}")
    client = a.attach(name, f"client-{name}", ips=[])

    with dhcp_server(server, {client: lease}, tmp_path), Tap(client.namespace, "eth0") as tap:
        for frame in noise(client):
            tap.send(frame)
        # With -a the client asks whether somebody has the address: it is its own, so nobody has.
        said = get_lease(client, tmp_path, "-a", *flag)
        offers = tap.seen(lambda frame: UDP in frame and frame[UDP].sport == 67)

    assert f"lease {lease} from {server.ipv4}" in said, said
    assert {frame[IP].dst for frame in offers} == ({BROADCAST_IP} if flag else {lease})
    assert client.ping(server).lost == 0
    assert server.ping(lease).lost == 0


def test_a_client_that_may_only_use_its_lease_gets_it_and_finds_no_duplicate(
    lab: Lab, hosts: list[Host], tmp_path: Path
) -> None:
    """With `antispoof=mac+ip` at both ends: DHCP, and duplicate address detection over IPv6."""
    a, b = hosts
    lease = "10.77.0.152"
    server_identity, client_identity = lab.identity("server-kept"), lab.identity("client-kept")
    file = lab.mapping_file("kept.json")
    file.put(server_identity, b)
    proxy = {"dhcp-proxy": str(server_identity.mac)}
    file.put(client_identity, a, arp=[lease], **proxy)
    for host in hosts:
        host.create("kept", 10, "files", f"files/config={file.path}", "antispoof=mac+ip")
    ipv6 = [str(item) for item in client_identity.ips if item.version == 6]
    server = b.attach("kept", "server-kept")
    client = a.attach("kept", "client-kept", ips=ipv6, dad=True)
    b.overlayadm(
        *("port", "kept", server.port, "--mac", str(server.mac)),
        *("--ip", server.ipv4, "--ip", server.ipv6),
    )
    a.overlayadm(
        *("port", "kept", client.port, "--mac", str(client.mac)),
        *("--ip", lease, "--ip", client.ipv6),
    )

    with dhcp_server(server, {client: lease}, tmp_path):
        said = get_lease(client, tmp_path, "-a")
        assert f"lease {lease} from {server.ipv4}" in said, said

    wait_for("duplicate detection to end", lambda: "tentative" not in addresses(client))
    assert "dadfailed" not in addresses(client)
    assert client.ping(server).lost == 0
    assert client.ping(server.ipv6).lost == 0
    # Any other address than its own gets it nowhere.
    client.run("ip", "address", "delete", f"{lease}/24", "dev", "eth0")
    client.run("ip", "address", "add", "10.77.0.153/24", "dev", "eth0")
    assert client.ping(server, wait=0.3).lost == 1


def addresses(guest: Guest) -> str:
    """Return the addresses of a guest, as `ip` shows them."""
    return guest.run("ip", "address", "show", "dev", "eth0").stdout


def test_broadcast_that_a_plugin_ponders_for_ever_delays_neither_arp_nor_dhcp(
    lab: Lab, hosts: list[Host], tmp_path: Path
) -> None:
    a, b = hosts
    server_mac = lab.identity("ponder-server").mac
    for host in hosts:
        host.create("ponder", 9, "hanging", f"hanging/server={server_mac}", "lookup_timeout=30")
    client = a.attach("ponder", "ponder-client", ips=[])
    server = b.attach("ponder", "ponder-server")
    lease = "10.77.0.1"

    with (
        dhcp_server(server, {client: lease}, tmp_path),
        punts(a) as seen,
        Tap(client.namespace, "eth0") as tap,
    ):
        for frame in noise(client):
            tap.send(frame)
        seen.wait("the noise to be with varpd", lambda frame: is_noise(punted(frame)), NOISE)
        # From here on all is answered while the noise still waits for its answers.
        tap.send(asks_for(client, server.ipv4))
        tap.wait("an ARP reply", is_reply)
        said = get_lease(client, tmp_path)

    assert f"lease {lease} from {server.ipv4}" in said, said
    assert "no answer" not in a.varpd.log()
    assert client.ping(server).lost == 0


def is_noise(frame: Ether | None) -> bool:
    return frame is not None and UDP in frame and frame[UDP].dport == 9
