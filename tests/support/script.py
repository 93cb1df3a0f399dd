"""Stories for the engine: this happens, then that is asked for."""

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any, Self

from varpd.engine.commands import Command
from varpd.engine.engine import Engine
from varpd.engine.events import Event, InstanceStarted, OverlayAdded
from varpd.engine.settings import Limits, Mode, Rate, Settings
from varpd.net import vxlan
from varpd.net.addresses import MacAddress
from varpd.provider.answers import Target
from varpd.provider.kinds import DestinationKind

OVERLAY = "blue"
VNETID = 42
HEADER = vxlan.pack_header(VNETID)
HERE = IPv4Address("192.0.2.1")
EXPERIMENTAL = 0x88B5
"""Ethertype for local experiments (IEEE 802, 9.2.3)."""

NO_LIMIT = Rate(0, 0)
UNLIMITED = Limits(
    unicast=NO_LIMIT,
    arp=NO_LIMIT,
    nd=NO_LIMIT,
    dhcp=NO_LIMIT,
    multicast=NO_LIMIT,
    source_arp=NO_LIMIT,
    source_nd=NO_LIMIT,
    source_dhcp=NO_LIMIT,
    source_multicast=NO_LIMIT,
)


def mac(number: int) -> MacAddress:
    """Return the MAC of guest `number`, 0 to 65535."""
    return MacAddress(b"\x02\x00\x00\x00" + number.to_bytes(2, "big"))


def target(number: int) -> Target:
    """Return the target that is host `number`; 1 is this host."""
    return Target(ip=IPv4Address(f"192.0.2.{number}"), port=vxlan.PORT)


def packet(dst: bytes, src: bytes, payload: bytes = b"", ethertype: int = EXPERIMENTAL) -> bytes:
    """Return a frame as it is punted: with the VXLAN header in front."""
    return HEADER + dst + src + ethertype.to_bytes(2, "big") + payload.ljust(46, b"\0")


def settings(**changes: Any) -> Settings:
    """Return the settings of a DYNAMIC overlay without rate limits, with `changes`."""
    given: dict[str, Any] = {
        "vnetid": VNETID,
        "mode": Mode.DYNAMIC,
        "kinds": DestinationKind.IP | DestinationKind.PORT,
        "headroom": len(HEADER),
        "listen_ip": HERE,
        "listen_port": vxlan.PORT,
        "limits": UNLIMITED,
    }
    return Settings(**{**given, **changes})


class Script:
    """Tells an engine what happened and checks what it asks for."""

    def __init__(self, engine: Engine | None = None, **changes: Any) -> None:
        """Begin with an overlay whose instance has started."""
        self.engine = engine or Engine()
        self.now = 1000.0
        self.said: list[Command] = []
        self.when(OverlayAdded(OVERLAY, settings(**changes)), then=[])
        self.when(InstanceStarted(OVERLAY), then=[])

    def when(
        self, event: Event, then: Sequence[Command] | None = None, *, after: float = 0.0
    ) -> Self:
        """Let `event` happen `after` seconds; the engine must ask for `then`, if it is given."""
        self.now += after
        self.said = self.engine.handle(event, self.now)
        if then is not None:
            assert self.said == list(then)
        return self

    def asked(self, kind: type[Any]) -> Any:
        """Return the one command of a kind that the engine asked for last."""
        found = [command for command in self.said if isinstance(command, kind)]
        assert len(found) == 1, f"expected one {kind.__name__} in {self.said}"
        return found[0]

    def count(self, name: str) -> int:
        """Return a counter of the overlay."""
        return self.engine.counters(OVERLAY).get(name, 0)
