"""The ``direct`` plugin: a tunnel to one other host, which gets everything, broadcast included."""

from collections.abc import Awaitable
from ipaddress import IPv4Address, IPv6Address
from typing import ClassVar, Final

from varpd.provider import (
    DROP,
    DestinationKind,
    Drop,
    PointPlugin,
    Property,
    PropertyInvalid,
    PropertyType,
    Range,
    Target,
    TargetInvalid,
    Value,
    check_address,
)

DEST_IP: Final = "direct/dest_ip"
DEST_PORT: Final = "direct/dest_port"
PORT_MAX: Final = 65535


class DirectPlugin(PointPlugin):
    """One destination, set by the operator."""

    api_version = 1
    name: ClassVar[str] = "direct"
    supplies = (DestinationKind.IP | DestinationKind.PORT, DestinationKind.IP)

    @classmethod
    def properties(cls, destination: DestinationKind) -> tuple[Property, ...]:
        """Return the destination's address, and its port where the encapsulation needs one."""
        dest_ip = Property(
            DEST_IP,
            PropertyType.IP,
            required=True,
            doc="Underlay address of the other host.",
        )
        dest_port = Property(
            DEST_PORT,
            PropertyType.UINT,
            required=True,
            possible=(Range(1, PORT_MAX),),
            doc="Port that the other host receives wrapped frames on.",
        )
        return (dest_ip, dest_port) if DestinationKind.PORT in destination else (dest_ip,)

    def set_property(self, name: str, value: Value | None) -> Awaitable[None] | None:
        """Set a property; the destination must be another host's one address.

        Raises:
            PropertyUnknown: there is no property `name`.
            PropertyInvalid: it cannot have that value.
        """
        if name == DEST_IP and isinstance(value, IPv4Address | IPv6Address):
            value = self._checked(value)
        return super().set_property(name, value)

    async def start(self) -> None:
        """Verify that the destination is set and another host's.

        Raises:
            PropertyMissing: a required property has no value.
            PropertyInvalid: the destination is this host.
        """
        await super().start()
        address = self.get_property(DEST_IP)
        if isinstance(address, IPv4Address | IPv6Address):
            self._checked(address)

    def default(self) -> Target | Drop:
        """Return the one destination, or DROP while it is not set."""
        address = self.get_property(DEST_IP)
        if not isinstance(address, IPv4Address | IPv6Address):
            return DROP
        if DestinationKind.PORT not in self.destination:
            return Target(ip=address)
        port = self.get_property(DEST_PORT)
        return Target(ip=address, port=port) if isinstance(port, int) else DROP

    def _checked(self, address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
        """Return the address as IPv4 if it is an IPv4-mapped one, if it is another host's."""
        try:
            checked = check_address(address)
        except TargetInvalid as exc:
            raise PropertyInvalid(DEST_IP, address, str(exc)) from exc
        local = None if self.host.local is None else self.host.local.ip
        if local is not None and checked == local:
            raise PropertyInvalid(DEST_IP, address, "it is the address of this host itself")
        if local is not None and checked.version != local.version:
            why = f"this host receives wrapped frames on {local}, an address of the other family"
            raise PropertyInvalid(DEST_IP, address, why)
        return checked
