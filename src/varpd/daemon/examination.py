"""Looking at everything that can be wrong and that only the daemon knows."""

import asyncio
import os
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Protocol

from msgspec import Struct

from varpd.control.diagnosis import (
    PATHS_MAX,
    Diagnosis,
    OverlayDiagnosis,
    PathInfo,
    PuntInfo,
)
from varpd.control.messages import HealthInfo, OverlayInfo, PluginsInfo
from varpd.daemon import catalogue, guest_ports
from varpd.daemon.guest_mtu import SLICE
from varpd.daemon.overlay import Overlay, Plan
from varpd.datapath.base import Datapath, DatapathError, Link
from varpd.datapath.encapsulation import ENCAPSULATIONS
from varpd.provider.answers import Target

AT_ONCE: Final = 64
"""Ways of punted frames that are tried at once; each takes up to a second."""

_STATUS: Final = Path("/proc/self/status")
_NAMESPACE: Final = "/proc/self/ns/net"


class Remotes(Protocol):
    """What is known of destinations."""

    def remotes(self, overlay: str) -> Iterable[Target]:
        """Return the targets of an overlay but for this host."""


class Process(Struct, frozen=True):
    """What the kernel says of this process."""

    namespace: str | None
    capabilities: int | None


async def examine(
    health: HealthInfo,
    overlays: Iterable[tuple[Overlay | None, OverlayInfo]],
    plugins: PluginsInfo,
    datapath: Datapath,
    remotes: Remotes,
) -> Diagnosis:
    """Return what the daemon knows; frames are sent the way of punted frames of each overlay.

    Args:
        health: whether the daemon is ready.
        overlays: each with what is shown of it; None: it is defined, but not at work.
        plugins: what was loaded and refused.
        datapath: what carries frames.
        remotes: what is known of destinations.
    """
    process = await asyncio.to_thread(look_at_process)
    few = asyncio.Semaphore(AT_ONCE)

    async def one(overlay: Overlay | None, info: OverlayInfo) -> OverlayDiagnosis:
        if overlay is None:
            return not_at_work(info)
        async with few:
            return await _overlay(overlay, info, datapath, remotes)

    found = await asyncio.gather(*(one(overlay, info) for overlay, info in overlays))
    return Diagnosis(
        version=health.version,
        ready=health.ok,
        detail=health.detail,
        datapath=datapath.name,
        namespace=process.namespace,
        pid=os.getpid(),
        uid=os.geteuid(),
        capabilities=process.capabilities,
        overlays=tuple(found),
        refused=plugins.refused,
    )


def look_at_process() -> Process:
    """Return in which network namespace this process is, and what it may do."""
    try:
        lines = _STATUS.read_text().splitlines()
        (bits,) = [line.split()[1] for line in lines if line.startswith("CapEff:")]
        capabilities: int | None = int(bits, 16)
    except (OSError, ValueError, IndexError):
        capabilities = None
    try:
        namespace: str | None = os.readlink(_NAMESPACE)  # noqa: PTH115 - there is no such file
    except OSError:
        namespace = None
    return Process(namespace, capabilities)


def not_at_work(info: OverlayInfo) -> OverlayDiagnosis:
    """Return what there is to say of an overlay that is defined, but not at work.

    It may have links of an earlier life, which nobody looks at.
    """
    address = info.properties.get(f"{info.encap}/listen_ip")
    port = info.properties.get(f"{info.encap}/listen_port")
    family = 4 if address is None else ip_address(str(address)).version
    encapsulation = ENCAPSULATIONS.get(info.encap)
    return OverlayDiagnosis(
        overlay=info,
        listen_ip=None if address is None else str(address),
        listen_port=port if isinstance(port, int) else None,
        overhead=0 if encapsulation is None else encapsulation.overhead(family),
        bridge=None,
        device=None,
        mtu=None,
        paths=(),
        paths_total=0,
        punt=None,
    )


async def _overlay(
    overlay: Overlay, info: OverlayInfo, datapath: Datapath, remotes: Remotes
) -> OverlayDiagnosis:
    plan = overlay.plan
    settings = plan.settings()
    family = 4 if settings.listen_ip is None else settings.listen_ip.version
    paths: list[PathInfo] = []
    if overlay.links is not None and settings.listen_ip is not None:
        paths = await _paths(datapath, overlay.link(), remotes.remotes(plan.name))
    links = overlay.links
    return OverlayDiagnosis(
        overlay=info,
        listen_ip=None if settings.listen_ip is None else str(settings.listen_ip),
        listen_port=settings.listen_port,
        overhead=plan.encapsulation.overhead(family),
        bridge=None if links is None else links.bridge,
        device=None if links is None else links.device,
        mtu=None if links is None else links.mtu,
        paths=tuple(paths[:PATHS_MAX]),
        paths_total=len(paths),
        punt=None if links is None else await _punt(datapath, plan.name),
        blocked=() if links is None else await _blocked(datapath, plan),
    )


async def _paths(datapath: Datapath, link: Link, remotes: Iterable[Target]) -> list[PathInfo]:
    """Return the ways to all known hosts, those without a route first, then by their MTU."""
    found: list[PathInfo] = []
    addresses = {target.ip for target in remotes if target.ip is not None}
    for number, address in enumerate(addresses, 1):
        try:
            mtu: int | None = await datapath.path_mtu(link.listen_ip, address)
        except DatapathError:
            mtu = None
        found.append(PathInfo(str(address), mtu))
        if number % SLICE == 0:
            await asyncio.sleep(0)
    found.sort(key=lambda path: (path.mtu or 0, int(ip_address(path.address))))
    return found


async def _blocked(datapath: Datapath, plan: Plan) -> tuple[str, ...]:
    try:
        present = (await datapath.state(plan.name)).ports
    except DatapathError:
        return ()  # it is being deleted, or rebuilt
    usual = str(plan.effective()[catalogue.ANTISPOOF])
    ports = guest_ports.infos(plan.name, plan.ports, usual, present, {}, {})
    return tuple(port.port for port in ports if port.state == "blocked")


async def _punt(datapath: Datapath, overlay: str) -> PuntInfo | None:
    try:
        state = await datapath.try_punt(overlay)
    except DatapathError:
        return None  # it is being deleted, or rebuilt
    if state is None:
        return None
    return PuntInfo(state.closed, state.buffer, state.missing, state.lost)
