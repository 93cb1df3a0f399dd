"""All checks, in the order in which their findings are shown."""

from collections.abc import Callable
from typing import Final

from varpd.doctor import (
    checks_daemon,
    checks_firewall,
    checks_kernel,
    checks_overlays,
    checks_paths,
    checks_resources,
)
from varpd.doctor.facts import Facts
from varpd.doctor.findings import Finding

NAMES: Final = (
    "daemon",
    "version",
    "namespace",
    "capabilities",
    "plugins",
    "kernel",
    "overlay",
    "listen-address",
    "links",
    "foreign",
    "antispoof",
    "route",
    "path-mtu",
    "peer",
    "punt-path",
    "firewall",
    "br-netfilter",
    "buffers",
    "memory",
    "conntrack",
)
"""The names that findings have; docs/troubleshooting.md explains each."""

_GROUPS: Final[tuple[Callable[[Facts], list[Finding]], ...]] = (
    checks_daemon.check,
    checks_kernel.check,
    checks_overlays.check,
    checks_paths.check,
    checks_firewall.check,
    checks_resources.check,
)


def run(facts: Facts) -> list[Finding]:
    """Return everything that there is to say."""
    return [finding for check in _GROUPS for finding in check(facts)]
