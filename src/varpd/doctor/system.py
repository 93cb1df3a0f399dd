"""What /proc and /sys tell of this host; no privileges are needed."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from varpd.doctor.facts import SystemFact

Found = TypeVar("Found")

MODULES: Final = ("vxlan", "bridge")
"""Parts of the kernel that overlays are made of."""

_UDP_SEGMENT: Final = 103
"""Of linux/udp.h; Python's socket module does not have it."""


def look(root: Path = Path("/")) -> SystemFact:
    """Return what this host tells; `root` is where ``proc``, ``sys`` and ``lib`` lie."""
    proc = root / "proc"
    net = proc / "sys" / "net"
    release = os.uname().release
    return SystemFact(
        release=release,
        namespace=_or_none(lambda: str((proc / "self" / "ns" / "net").readlink())),
        modules={name: has_module(root, release, name) for name in MODULES},
        udp_segment=can_segment(),
        rmem_max=_number(net / "core" / "rmem_max"),
        udp_pages=_udp_pages(proc),
        conntrack=_pair(
            net / "netfilter" / "nf_conntrack_count", net / "netfilter" / "nf_conntrack_max"
        ),
        bridge_filters=tuple(
            name
            for name in ("iptables", "ip6tables")
            if _number(net / "bridge" / f"bridge-nf-call-{name}")
        ),
        legacy_tables=(
            *_legacy_tables(proc / "net" / "ip_tables_names"),
            *_legacy_tables(proc / "net" / "ip6_tables_names"),
        ),
    )


def has_module(root: Path, release: str, name: str) -> bool | None:
    """Return whether the kernel has a module; None: it cannot be told."""
    if (root / "sys" / "module" / name).exists():
        return True
    directory = root / "lib" / "modules" / release
    lists = [directory / "modules.builtin", directory / "modules.dep"]
    if not any(path.exists() for path in lists):
        return None
    return any(f"/{name}.ko" in (_or_none(path.read_text) or "") for path in lists)


def can_segment() -> bool:
    """Return whether a socket takes several datagrams at once."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as tried:
        try:
            tried.setsockopt(socket.IPPROTO_UDP, _UDP_SEGMENT, 1200)
        except OSError:
            return False
    return True


def _legacy_tables(path: Path) -> list[str]:
    return _or_none(lambda: _words(path)) or []


def _udp_pages(proc: Path) -> tuple[int, int] | None:
    """Return what UDP takes and may take; the second is shown in the first namespace only."""

    def read() -> tuple[int, int]:
        for line in (proc / "net" / "sockstat").read_text().splitlines():
            words = line.split()
            if words[:1] == ["UDP:"]:
                used = int(words[words.index("mem") + 1])
                return used, int(_words(proc / "sys" / "net" / "ipv4" / "udp_mem")[2])
        raise ValueError("no line about UDP")

    return _or_none(read)


def _pair(first: Path, second: Path) -> tuple[int, int] | None:
    one, two = _number(first), _number(second)
    return None if one is None or two is None else (one, two)


def _number(path: Path) -> int | None:
    return _or_none(lambda: int(path.read_text()))


def _words(path: Path) -> list[str]:
    return path.read_text().split()


def _or_none(read: Callable[[], Found]) -> Found | None:
    """Return what is read, or None where the host has no such thing or does not show it."""
    try:
        return read()
    except (OSError, ValueError, IndexError):
        return None
