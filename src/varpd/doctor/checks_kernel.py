"""Can this kernel do what overlays need?"""

import re
from typing import Final

from varpd.doctor.facts import Facts
from varpd.doctor.findings import Finding, ok, problem, warning

PUNT_SINCE: Final = (6, 5)
"""Since then a vxlan device can be kept from handling frames to its own host (nolocalbypass)."""

LEARN_LIMIT_SINCE: Final = (6, 7)
"""Since then a bridge bounds the MACs that it learns (fdb_max_learned)."""

_RELEASE: Final = re.compile(r"(\d+)\.(\d+)")


def check(facts: Facts) -> list[Finding]:
    """Return what there is to say about the kernel."""
    found = [*release(facts), *modules(facts), *segmentation(facts), *bypass(facts)]
    return found or [ok("kernel", f"Linux {facts.system.release} has what overlays need")]


def release(facts: Facts) -> list[Finding]:
    """Is it new enough? What a device of ours shows stands above the number."""
    match = _RELEASE.match(facts.system.release)
    if match is None:
        return []
    number = int(match[1]), int(match[2])
    shown = any(item.localbypass is not None for item in facts.links or ())
    if number < PUNT_SINCE and not shown:
        return [
            problem(
                "kernel",
                f"Linux {facts.system.release} cannot hand frames without a row over to varpd",
                "use Linux 6.5 or newer",
            )
        ]
    if number < LEARN_LIMIT_SINCE:
        return [
            warning(
                "kernel",
                f"on Linux {facts.system.release} a guest that sends from many made-up MACs can "
                "fill its bridge's table without a bound",
                "use Linux 6.7 or newer where guests are not trusted",
            )
        ]
    return []


def modules(facts: Facts) -> list[Finding]:
    """Are its parts there?"""
    missing = sorted(name for name, there in facts.system.modules.items() if there is False)
    return [
        problem(
            "kernel",
            f"the kernel has no {name}, neither built in nor as a module",
            f"install the package with the kernel's further modules, then: modprobe {name}",
        )
        for name in missing
    ]


def segmentation(facts: Facts) -> list[Finding]:
    """Can several frames be sent on at once?"""
    if facts.system.udp_segment is not False:
        return []
    return [
        warning(
            "kernel",
            "the kernel does not cut up datagrams itself (UDP_SEGMENT), so frames without a row "
            "are sent on one by one, at half the rate",
            "use a kernel with UDP_SEGMENT (Linux 4.18 or newer, not gVisor)",
        )
    ]


def bypass(facts: Facts) -> list[Finding]:
    """Do our devices hand over what they have no row for?"""
    if not facts.same_namespace:
        return []
    ours = {item.device for item in facts.overlays if item.overlay.mode == "dynamic"}
    return [
        problem(
            "kernel",
            f"{item.name} is not kept from handling frames to this host itself (localbypass), so "
            "frames without a row do not reach varpd",
            "delete the overlay and create it anew; use Linux 6.5 or newer",
        )
        for item in facts.links or ()
        if item.name in ours and item.kind == "vxlan" and item.localbypass is not False
    ]
