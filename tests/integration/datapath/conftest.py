"""A network namespace to be in, with underlay addresses of both families, and datapaths in it."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Final

import pytest

from support.namespaces import Namespace

UNDERLAY_V4: Final = IPv4Address("192.0.2.1")
UNDERLAY_V6: Final = IPv6Address("2001:db8::1")


@pytest.fixture
def host() -> Iterator[Namespace]:
    """A namespace that the test itself is in, with an address of each family on `lo`."""
    with Namespace("host") as namespace:
        namespace.run("ip", "address", "add", f"{UNDERLAY_V4}/32", "dev", "lo")
        namespace.run("ip", "address", "add", f"{UNDERLAY_V6}/128", "dev", "lo")
        with namespace.entered():
            yield namespace
