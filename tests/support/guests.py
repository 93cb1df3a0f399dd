"""Guests of an overlay: network namespaces with one interface on an overlay's bridge."""

import contextlib
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface, ip_interface
from pathlib import Path
from typing import Any, Final

from support.namespaces import Namespace, connect
from varpd.net.addresses import MacAddress

INTERFACE: Final = "eth0"
"""The name of a guest's interface, inside."""

_SWITCHES: Final = {"accept_dad": "0", "router_solicitations": "0"}
"""What a guest does not do by itself, so that addresses work at once and nothing but what the
test sends makes noise."""

_REPLY: Final = re.compile(r"icmp_seq=\d+ .*time=([0-9.]+) ms(.*DUP)?")
_SENT: Final = re.compile(r"(\d+) packets transmitted")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a guest is, wherever it runs."""

    name: str
    mac: MacAddress
    ips: tuple[IPv4Interface | IPv6Interface, ...]

    @classmethod
    def usual(cls, name: str, number: int) -> "Identity":
        """Return guest `number`, 1 to 254: 02:00:5e:10:00:NN, 10.77.0.N/24, fd00:77::N/64."""
        mac = MacAddress(b"\x02\x00\x5e\x10\x00" + bytes([number]))
        return cls(
            name,
            mac,
            (ip_interface(f"10.77.0.{number}/24"), ip_interface(f"fd00:77::{number:x}/64")),
        )

    @property
    def ipv4(self) -> str:
        """Its first IPv4 address."""
        return next(str(item.ip) for item in self.ips if item.version == 4)

    @property
    def ipv6(self) -> str:
        """Its first IPv6 address."""
        return next(str(item.ip) for item in self.ips if item.version == 6)

    @property
    def link_local(self) -> str:
        """The address that the kernel makes of the MAC (RFC 4291, appendix A)."""
        mac = bytes(self.mac)
        tail = bytes([mac[0] ^ 2, mac[1], mac[2], 0xFF, 0xFE, mac[3], mac[4], mac[5]])
        return str(IPv6Address(b"\xfe\x80" + bytes(6) + tail))

    def mapping(self, underlay: str, port: int = 4789, **more: Any) -> dict[str, Any]:
        """Return what a mapping file of plugin `files` says of it, at a host's underlay address."""
        return {
            "ip": underlay,
            "port": port,
            "arp": [str(item.ip) for item in self.ips if item.version == 4],
            "ndp": [*(str(item.ip) for item in self.ips if item.version == 6), self.link_local],
            **more,
        }


@dataclass(frozen=True, slots=True)
class Pings:
    """How a run of `ping` went."""

    sent: int
    times: tuple[float, ...]
    """Milliseconds, of each answer in the order of their coming."""
    duplicates: int

    @property
    def lost(self) -> int:
        """How many had no answer."""
        return self.sent - len(self.times)

    @classmethod
    def parse(cls, output: str) -> "Pings":
        """Read what `ping` printed."""
        found = [match for line in output.splitlines() if (match := _REPLY.search(line))]
        sent = _SENT.search(output)
        if sent is None:
            raise AssertionError(f"ping did not run: {output}")
        return cls(
            sent=int(sent[1]),
            times=tuple(float(match[1]) for match in found if match[2] is None),
            duplicates=sum(match[2] is not None for match in found),
        )


class Guest:
    """A namespace with `eth0`, which may be plugged into any host's overlay and moved."""

    def __init__(self, identity: Identity, mtu: int = 1500, *, dad: bool = False) -> None:
        """Take who it is; with `dad` it looks for duplicate addresses as Linux usually does."""
        self.identity = identity
        self.mtu = mtu
        self.dad = dad
        self.namespace = Namespace(identity.name)
        self._port: tuple[Namespace, str] | None = None

    def __enter__(self) -> "Guest":
        self.namespace.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.namespace.__exit__(*error)

    @property
    def name(self) -> str:
        """What it is called."""
        return self.identity.name

    @property
    def mac(self) -> MacAddress:
        """Its MAC."""
        return self.identity.mac

    @property
    def ipv4(self) -> str:
        """Its first IPv4 address."""
        return self.identity.ipv4

    @property
    def ipv6(self) -> str:
        """Its first IPv6 address."""
        return self.identity.ipv6

    @property
    def port(self) -> str:
        """The name of the host's end of its cable, while it is plugged in."""
        assert self._port is not None
        return self._port[1]

    def plug(self, host: Namespace, bridge: str) -> None:
        """Connect it to a bridge of a host."""
        port = f"port-{int.from_bytes(bytes(self.mac)[3:], 'big'):x}"
        if not self.dad:
            with self.namespace.entered():
                for name, value in _SWITCHES.items():
                    Path(f"/proc/sys/net/ipv6/conf/default/{name}").write_text(value)
        with host.entered():
            # The port is the bridge's: the host itself has no address on it.
            Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
        try:
            connect(host, port, self.namespace, INTERFACE)
        finally:
            with host.entered():
                Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("0")
        self._port = (host, port)
        link = ("ip", "link", "set", "dev")
        # Down first: the kernel makes the link-local address of the MAC when the link comes up.
        self.run(*link, INTERFACE, "down")
        host.run(*link, port, "mtu", str(self.mtu), "master", bridge)
        self.run(*link, INTERFACE, "mtu", str(self.mtu), "address", str(self.mac), "up")
        for item in self.identity.ips:
            self.run("ip", "address", "add", str(item), "dev", INTERFACE)

    def unplug(self) -> None:
        """Take it off its host; its interface goes, too."""
        assert self._port is not None
        host, port = self._port
        self._port = None
        host.run("ip", "link", "delete", port)

    def move(self, host: Namespace, bridge: str) -> None:
        """Take it off its host and plug it into another, with the same addresses."""
        self.unplug()
        self.plug(host, bridge)

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command inside and return what it said."""
        return self.namespace.run(*command, check=check)

    @contextlib.contextmanager
    def popen(self, *command: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
        """Run a command inside meanwhile; it is killed at the end."""
        with self.namespace.popen(*command, **options) as process:
            yield process

    def ping(
        self,
        address: "str | Guest",
        count: int = 1,
        *,
        interval: float = 0.01,
        wait: float = 5.0,
        options: Sequence[str] = (),
    ) -> Pings:
        """Ping an address, or another guest's IPv4 address; a lost answer is no error.

        Args:
            address: whom.
            count: how often.
            interval: seconds between two of them.
            wait: seconds for the last answer.
            options: more of `ping`.
        """
        whom = address.ipv4 if isinstance(address, Guest) else address
        return Pings.parse(
            self.run(
                *("ping", "-n", "-c", str(count), "-i", str(interval), "-W", str(wait)),
                *(*options, whom),
                check=False,
            ).stdout
        )

    def counter(self, name: str) -> int:
        """Return a counter of the guest's kernel as `nstat` calls it, such as TcpRetransSegs."""
        with self.namespace.entered():
            return counters()[name]


def counters() -> dict[str, int]:
    """Return the counters of this thread's network namespace."""
    found: dict[str, int] = {}
    for file in ("snmp", "netstat"):
        lines = Path(f"/proc/thread-self/net/{file}").read_text(encoding="ascii").splitlines()
        for names, values in zip(lines[::2], lines[1::2], strict=True):
            prefix, _, rest = names.partition(": ")
            numbers = values.partition(": ")[2].split()
            found |= {
                f"{prefix}{name}": int(number)
                for name, number in zip(rest.split(), numbers, strict=True)
            }
    for line in Path("/proc/thread-self/net/snmp6").read_text(encoding="ascii").splitlines():
        name, number = line.split()
        found[name] = int(number)
    return found
