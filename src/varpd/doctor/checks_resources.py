"""Is there room: socket buffers, UDP's memory, the table of tracked connections?"""

from typing import Final

from varpd.control.diagnosis import OverlayDiagnosis
from varpd.doctor.facts import Facts
from varpd.doctor.findings import Finding, ok, problem, warning

NEARLY: Final = 0.9
"""The part of a bound from which on it is nearly reached."""

_KIB: Final = 1024


def check(facts: Facts) -> list[Finding]:
    """Return what there is to say about room."""
    found: list[Finding] = []
    for item in facts.overlays:
        found += buffer(facts, item)
    return [*found, *udp_memory(facts), *conntrack(facts)]


def buffer(facts: Facts, item: OverlayDiagnosis) -> list[Finding]:
    """May as many frames wait for varpd as should?"""
    punt = item.punt
    if punt is None or punt.missing == 0:
        return []
    rmem = facts.system.rmem_max
    now = "" if rmem is None else f" (it is {rmem})"
    return [
        warning(
            "buffers",
            f"the kernel grants {punt.buffer // _KIB} KiB for frames that wait for varpd, "
            f"{punt.missing // _KIB} KiB less than wanted: bursts of new destinations may be lost",
            f"sysctl -w net.core.rmem_max={punt.buffer + punt.missing}{now}, or run varpd with "
            "CAP_NET_ADMIN on the host; then restart it",
            item.overlay.name,
        )
    ]


def udp_memory(facts: Facts) -> list[Finding]:
    """Does UDP have memory left on this host?"""
    pages = facts.system.udp_pages
    if pages is None:
        return []
    used, most = pages
    if used < NEARLY * most:
        return [ok("memory", f"UDP takes {used} of {most} pages of memory")]
    return [
        warning(
            "memory",
            f"UDP takes {used} of the {most} pages of memory that it may have; beyond, datagrams "
            "are dropped, those to varpd too",
            "see who lets datagrams wait: ss -uamp; or raise the third number of net.ipv4.udp_mem",
        )
    ]


def conntrack(facts: Facts) -> list[Finding]:
    """Is there room for connections to track?"""
    table = facts.system.conntrack
    if table is None or not facts.same_namespace:
        return []
    count, most = table
    if most == 0 or count < NEARLY * most:
        return [ok("conntrack", f"{count} of {most} connections are tracked")]
    if count < most:
        return [
            warning(
                "conntrack",
                f"{count} of {most} connections are tracked: soon new ones are dropped",
                _conntrack_cure(facts, most),
            )
        ]
    return [
        problem(
            "conntrack",
            f"the table of tracked connections is full ({most}): new ones are dropped, wrapped "
            "frames too",
            _conntrack_cure(facts, most),
        )
    ]


def _conntrack_cure(facts: Facts, most: int) -> str:
    ports = sorted({str(item.listen_port) for item in facts.overlays if item.listen_port})
    return (
        f"do not track wrapped frames (nft: udp dport {{ {', '.join(ports) or '4789'}, 789 }} "
        "notrack, in prerouting and output), or: sysctl -w "
        f"net.netfilter.nf_conntrack_max={2 * most}"
    )
