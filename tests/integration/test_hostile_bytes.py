"""Malformed frames and requests, and other people's changes of the kernel: varpd goes on."""

import contextlib
import itertools
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from support import mutations, raw_http
from support.guests import Guest
from support.lab import Host, Lab
from support.shared_lab import overlays_of_a_test
from support.waiting import wait_for
from varpd.control.client import Client
from varpd.datapath.linux import netlink
from varpd.datapath.linux.nft.wire import NETLINK_NETFILTER
from varpd.net import vxlan

pytestmark = pytest.mark.integration

MIB: Final = 1 << 20
GROWTH: Final = 16 * MIB
"""Bytes that a daemon may grow by when what has happened before happens again."""

CHUNK: Final = 200
"""Frames sent before the daemon is seen to have kept up."""

NOBODY: Final = "02:00:5e:10:77:77"
PUNT_PORT: Final = 789
NETLINK_ROUTE: Final = 0
ROUNDS: Final = 60


ANSWER: Final = re.compile(rb"HTTP/\d\.\d [24]\d\d ")
"""How an answer begins; that to an older version of HTTP has that version."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(show_logs=False) as made:
        yield made


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> list[Host]:
    return lab.hosts("a", "b")


@pytest.fixture(autouse=True)
def clean(hosts: list[Host]) -> Iterator[None]:
    with overlays_of_a_test(hosts):
        yield


@pytest.fixture
def guests(lab: Lab, hosts: list[Host]) -> list[Guest]:
    """Two guests of the overlay under attack, and two of another."""
    a, b = hosts
    return [
        *lab.files_overlay("blue", 7, {"web": a, "db": b}),
        *lab.files_overlay("calm", 8, {"here": a, "there": b}),
    ]


def memory(host: Host) -> int:
    """Return the bytes of memory that a host's daemon has in use."""
    status = Path(f"/proc/{host.varpd.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def descriptors(host: Host) -> int:
    """Return how many files a host's daemon has open."""
    return len(list(Path(f"/proc/{host.varpd.pid}/fd").iterdir()))


def threads(host: Host) -> int:
    """Return how many threads a host's daemon has."""
    return len(list(Path(f"/proc/{host.varpd.pid}/task").iterdir()))


def rows(host: Host, device: str) -> list[str]:
    """Return the rows of a tunnel device, in an order of their own."""
    return sorted(host.run("bridge", "fdb", "show", "dev", device).stdout.splitlines())


def destinations(host: Host, device: str) -> set[tuple[str, str]]:
    """Return where rows of a tunnel device lead, by MAC; with the port, if it is not the usual."""
    found = set()
    for line in rows(host, device):
        if " dst " not in line:
            continue
        told = dict(itertools.pairwise(line.split()))
        port = told.get("port", str(PUNT_PORT))
        where = told["dst"] if port == str(PUNT_PORT) else f"{told['dst']} port {port}"
        found.add((line.split()[0], where))
    return found


def tasks(host: Host) -> list[str]:
    """Return the functions that tasks of a host's daemon are in, in an order of their own."""
    with Client(str(host.varpd.socket)) as client:
        return sorted(task.stack[0] for task in client.report().tasks if task.stack)


def unharmed(host: Host, guests: list[Guest], attack: Callable[[], None]) -> None:
    """Attack twice, and look what is otherwise than before; the first time may fill tables."""
    web, db, here, there = guests
    for pair in ((web, db), (here, there)):
        assert pair[0].ping(pair[1]).lost == 0
        assert pair[0].ping(pair[1].ipv6).lost == 0
    before, process = rows(host, "vx-calm"), host.varpd.pid
    log = len(host.varpd.log())
    attack()
    grown, opened, running = memory(host), descriptors(host), threads(host)
    at_work = len(tasks(host))
    attack()
    assert memory(host) - grown < GROWTH
    wait_for("files to be closed", lambda: descriptors(host) <= opened)
    wait_for("threads to end", lambda: threads(host) <= running)
    wait_for("tasks to end", lambda: len(tasks(host)) <= at_work)
    assert host.varpd.pid == process
    assert rows(host, "vx-calm") == before
    for pair in ((web, db), (here, there)):
        assert pair[0].ping(pair[1], 3).lost == 0
        assert pair[0].ping(pair[1].ipv6, 3).lost == 0
    wrong = [
        line
        for line in host.varpd.log()[log:].splitlines()
        if "Traceback" in line or "internal error" in line
    ]
    assert wrong == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [10_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_malformed_frames_end_nothing_and_write_no_row(
    hosts: list[Host], guests: list[Guest], count: int
) -> None:
    """They come to the real punt socket, from the address and port that the kernel sends from."""
    a, b = hosts
    good = mutations.frames("02:00:5e:10:00:63", NOBODY)
    header = vxlan.pack_header(7)
    wrapped = [header + frame for frame in good]
    led = {(str(guests[1].mac), b.ipv4), ("00:00:00:00:00:00", "127.86.0.1")}
    seeds = iter(range(2))

    def attack() -> None:
        seed = next(seeds)
        # Most have the header that the socket's filter lets through, some have any.
        inside = mutations.mutated(wrapped, count // 2 - count // 20, seed, keep=len(header))
        any_at_all = mutations.mutated(wrapped, count // 20, seed)
        with a.namespace.entered():
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sender, Client(str(a.varpd.socket)) as client:
            sender.bind((a.ipv4, 0))
            sender.connect(("127.86.0.1", PUNT_PORT))
            begun, sent = taken(client), 0
            for number, datagram in enumerate(itertools.chain(inside, any_at_all)):
                with contextlib.suppress(OSError):
                    sender.send(datagram)
                    sent += 1
                if number % CHUNK == CHUNK - 1:
                    client.health()
            assert sent > count // 2 - count // 10
            wait_for("frames to be read", lambda: taken(client) > begun + count // 4)

    unharmed(a, guests, attack)
    wait_for("nothing but what the plugin said", lambda: destinations(a, "vx-blue") == led)


def taken(client: Client) -> int:
    """Return how many frames of the overlay under attack varpd has read."""
    return sum(client.overlay_stats("blue").punted.values())


REQUESTS: Final = [
    raw_http.request("POST", "/v1/overlays", b'{"name":"x","vnetid":9,"search":"nothing"}'),
    raw_http.request("PATCH", "/v1/overlays/blue/properties", b'{"properties":{"mtuu":"14"}}'),
    raw_http.request("PUT", "/v1/overlays/none/entries/02:00:00:00:00:01", b'{"target":"drop"}'),
    raw_http.request("GET", "/v1/overlays/blue/targets?limit=3"),
    raw_http.request("GET", "/v1/stats"),
    raw_http.request("GET", "/metrics"),
    b"GET /healthz HTTP/1.1\r\nHost: varpd\r\n\r\n" * 3 + raw_http.request("GET", "/readyz"),
    b"POST /v1/overlays HTTP/1.1\r\nHost: varpd\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n',
]
"""What is mutated; none of them changes an overlay."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_malformed_requests_end_nothing_and_change_no_overlay(
    hosts: list[Host], guests: list[Guest], count: int
) -> None:
    a, _ = hosts
    before = shown(a)
    seeds = iter(range(2))

    def attack() -> None:
        for number, raw in enumerate(mutations.mutated(REQUESTS, count // 2, next(seeds))):
            said = said_to(a.varpd.socket, raw, wait=number % 3 > 0)
            assert said == b"" or ANSWER.match(said), (raw, said)
            assert b" 500 Internal" not in said, (raw, said)
        with Client(str(a.varpd.socket)) as client:
            assert client.health().ok

    unharmed(a, guests, attack)
    assert shown(a) == before


def said_to(path: Path, raw: bytes, *, wait: bool) -> bytes:
    """Send bytes and close that half; return the answer, unless whoever sent does not wait."""
    with (
        raw_http.connected(path) as caller,
        contextlib.suppress(BrokenPipeError, ConnectionResetError),
    ):
        caller.sendall(raw)
        if wait:
            caller.shutdown(socket.SHUT_WR)
            return raw_http.read_to_end(caller)
    return b""


def shown(host: Host) -> list[dict[str, Any]]:
    """Return what overlays there are, with what they are made of."""
    return [
        {key: item[key] for key in ("name", "vnetid", "search", "state")}
        for item in host.varpd.show()
    ]


def test_other_peoples_links_rows_and_rules_change_nothing(
    lab: Lab, hosts: list[Host], guests: list[Guest]
) -> None:
    a, _ = hosts
    links = lab.directory / "links"
    links.write_text(
        "".join(
            f"link add foreign{n} type bridge\nlink set foreign{n} up\n"
            f"address add 203.0.113.{n}/32 dev foreign{n}\nlink delete foreign{n}\n"
            for n in range(ROUNDS)
        ),
        encoding="ascii",
    )
    rules = lab.directory / "rules"
    rules.write_text(
        "add table inet foreign\ndelete table inet foreign\n" * ROUNDS, encoding="ascii"
    )
    fdb = lab.directory / "fdb"
    fdb.write_text(
        "".join(
            f"fdb add 02:00:5e:66:00:{n:02x} dev vx-other dst 203.0.113.9\n" for n in range(ROUNDS)
        ),
        encoding="ascii",
    )

    def attack() -> None:
        a.run("ip", "link", "add", "vx-other", "type", "vxlan", "id", "99", "dstport", "4790")
        a.run("ip", "-batch", str(links))
        a.run("bridge", "-batch", str(fdb))
        a.run("ip", "link", "delete", "vx-other")
        a.run("nft", "-f", str(rules))

    before = shown(a)
    unharmed(a, guests, attack)
    assert shown(a) == before


def ports_of(host: Host) -> list[tuple[int, int]]:
    """Return the netlink sockets of a host's daemon: protocol and port."""
    held = set()
    for entry in Path(f"/proc/{host.varpd.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            held.add(str(entry.readlink()))
    table = host.run("cat", "/proc/net/netlink").stdout.splitlines()[1:]
    fields = [line.split() for line in table]
    return [(int(each[1]), int(each[2])) for each in fields if f"socket:[{each[-1]}]" in held]


def test_no_program_can_speak_to_varpd_in_the_kernels_name(
    hosts: list[Host], guests: list[Guest]
) -> None:
    """Not even one with all rights: what it sends to the daemon's netlink sockets is refused."""
    a, _ = hosts
    ports = ports_of(a)
    assert {protocol for protocol, _ in ports} == {NETLINK_ROUTE, NETLINK_NETFILTER}
    noise = [
        netlink.HEADER.pack(16, kind, 0, 0, 0) + bytes(range(size))
        for kind in (netlink.NLMSG_ERROR, netlink.RTM_NEWLINK, netlink.RTM_NEWNEIGH)
        for size in (0, 1, 20, 200)
    ]

    def attack() -> None:
        for protocol, port in ports:
            with a.namespace.entered():
                sender = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
            with sender:
                for data in noise:
                    with pytest.raises(ConnectionRefusedError):
                        sender.sendto(data, (port, 0))

    unharmed(a, guests, attack)
