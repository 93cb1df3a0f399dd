"""Facts about hosts that never were: all well unless a test says otherwise."""

from typing import Any, Final

from msgspec import structs

from varpd.control.diagnosis import (
    Diagnosis,
    OverlayDiagnosis,
    PathInfo,
    PuntInfo,
    Report,
)
from varpd.control.messages import OverlayInfo, PluginsInfo
from varpd.doctor.facts import Facts, LinkFact, SystemFact
from varpd.doctor.ruleset import Ruleset

VERSION: Final = "1.2.3"
NAMESPACE: Final = "net:[4026531840]"
LISTEN: Final = "192.0.2.1"
FAR: Final = "192.0.2.2"

UNDERLAY: Final = LinkFact(2, "eth0", addresses=(LISTEN,))
BRIDGE: Final = LinkFact(3, "blue", "bridge", "varpd:blue")
DEVICE: Final = LinkFact(4, "vx-blue", "vxlan", "varpd:blue", master=3, localbypass=False)
PORT: Final = LinkFact(5, "port1", "veth", mtu=1450, master=3)

PUNT: Final = PuntInfo(closed=None, buffer=4 << 20, missing=0, lost=0)


def info(name: str = "blue", **changes: Any) -> OverlayInfo:
    """Return what is shown of an overlay."""
    shown = OverlayInfo(name, 7, "vxlan", "files", "dynamic", "online", None, (), {})
    return structs.replace(shown, **changes)


def overlay(shown: OverlayInfo | None = None, **changes: Any) -> OverlayDiagnosis:
    """Return an overlay that is well."""
    shown = shown or info()
    found = OverlayDiagnosis(
        overlay=shown,
        listen_ip=LISTEN,
        listen_port=4789,
        overhead=50,
        bridge=shown.name,
        device=f"vx-{shown.name}",
        mtu=1500,
        paths=(PathInfo(FAR, 1500),),
        paths_total=1,
        punt=PUNT,
    )
    return structs.replace(found, **changes)


def diagnosis(*overlays: OverlayDiagnosis, **changes: Any) -> Diagnosis:
    """Return what a daemon that is well says."""
    found = Diagnosis(
        version=VERSION,
        ready=True,
        detail=None,
        datapath="linux",
        namespace=NAMESPACE,
        pid=99,
        uid=995,
        capabilities=1 << 12 | 1 << 10,
        overlays=overlays,
        refused=(),
    )
    return structs.replace(found, **changes)


def system(**changes: Any) -> SystemFact:
    """Return a host that is well."""
    found = SystemFact(
        release="6.12.0-generic",
        namespace=NAMESPACE,
        modules={"vxlan": True, "bridge": True},
        udp_segment=True,
        rmem_max=212_992,
        udp_pages=(10, 100_000),
        conntrack=(10, 100_000),
    )
    return structs.replace(found, **changes)


def facts(*overlays: OverlayDiagnosis, **changes: Any) -> Facts:
    """Return all facts of a host with these overlays, or with one that is well."""
    found = Facts(
        version=VERSION,
        system=system(),
        links=(UNDERLAY, BRIDGE, DEVICE, PORT),
        ruleset=Ruleset(),
        diagnosis=diagnosis(*(overlays or (overlay(),))),
    )
    return structs.replace(found, **changes)


def report(told: Diagnosis) -> Report:
    """Return the report of a daemon about which there is little to say."""
    moment = "2026-01-02T03:04:05Z"
    return Report(
        made=moment,
        started=moment,
        python="3.13.0",
        libraries={},
        kernel="6.12.0-generic",
        config={},
        diagnosis=told,
        plugins=PluginsInfo((), (), ()),
        overlays=(),
        internal_errors={},
        panics=(),
        log=(),
        threads=(),
        tasks=(),
    )
