"""Which targets are this host."""

from varpd.engine.settings import Settings
from varpd.net.addresses import IpAddress
from varpd.provider.answers import Target


class Locality:
    """Which addresses lead to this host; one object serves all overlays."""

    def __init__(self) -> None:
        """Begin without any address."""
        self.addresses: frozenset[IpAddress] = frozenset()


class Here:
    """This host, as one overlay's frames find it."""

    def __init__(self, locality: Locality, settings: Settings) -> None:
        """Take the host's addresses, and the overlay's settings, which may be replaced."""
        self.settings = settings
        self._locality = locality

    @property
    def addresses(self) -> frozenset[IpAddress]:
        """The addresses that lead to this host, those of the settings included."""
        return self._locality.addresses | self.settings.local_ips

    def has(self, target: Target) -> bool:
        """Return whether a target is this host."""
        settings = self.settings
        if target.ip is None or target.port != settings.listen_port:
            return False
        return target.ip in self._locality.addresses or target.ip in settings.local_ips

    def has_all(self, targets: tuple[Target, ...]) -> bool:
        """Return whether all targets are this host."""
        return all(map(self.has, targets))

    def others(self, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        """Return the targets that are not this host, each once."""
        return tuple(target for target in dict.fromkeys(targets) if not self.has(target))
