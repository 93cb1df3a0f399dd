"""Gathering all facts: what the daemon tells, what the host shows, what peers do."""

import shutil
import subprocess
from collections.abc import Sequence
from contextlib import closing
from ipaddress import ip_address
from typing import Final

from msgspec import structs

from varpd.control.client import Client
from varpd.control.diagnosis import Diagnosis, OverlayDiagnosis
from varpd.control.messages import ControlError
from varpd.datapath.encapsulation import VXLAN
from varpd.datapath.linux import netlink, tables
from varpd.datapath.linux.kernel import Kernel
from varpd.doctor import managers, peers, ruleset, system
from varpd.doctor.facts import Facts, LinkFact, PeerFact
from varpd.doctor.ruleset import Ruleset
from varpd.net.addresses import IpAddress

NFT_TIMEOUT: Final = 20.0
"""Seconds that nft has to list the rules; a host with Kubernetes may have 100,000."""

NO_ROUTE: Final = "Network is unreachable"

OVERHEAD: Final = {version: VXLAN.overhead(version) for version in (4, 6)}
"""Bytes that wrapping takes, where no overlay says it."""

_NFT_PLACES: Final = "/usr/sbin:/sbin:/usr/bin:/bin"


def gather(client: Client, addresses: Sequence[IpAddress], version: str) -> Facts:
    """Return everything that can be found out.

    Args:
        client: the way to the daemon, which may not be there.
        addresses: peers that the operator asks about.
        version: of this command.
    """
    diagnosis, error = None, None
    try:
        diagnosis = client.diagnosis()
    except ControlError as exc:
        error = exc
    rules, rules_error = firewall()
    found = links()
    names = {} if found is None else {item.index: item.name for item in found}
    return Facts(
        version=version,
        system=system.look(),
        links=found,
        ruleset=rules,
        ruleset_error=rules_error,
        diagnosis=diagnosis,
        daemon_error=None if error is None else error.message,
        daemon_error_code=None if error is None else error.code,
        peers=tuple(peer(address, diagnosis, names) for address in addresses),
    )


def links() -> tuple[LinkFact, ...] | None:
    """Return the interfaces of this network namespace; None: the kernel does not tell."""
    try:
        with closing(Kernel()) as kernel:
            infos = kernel.links()
        held: dict[int, list[str]] = {}
        for address in tables.local_addresses():
            held.setdefault(address.ifindex, []).append(str(netlink.ip_of(address.address)))
    except OSError:
        return None
    return tuple(
        LinkFact(
            index=info.index,
            name=info.name,
            kind=info.kind,
            alias=info.alias,
            mtu=info.mtu,
            master=info.master,
            up=info.up,
            localbypass=None if info.tunnel is None else info.tunnel.localbypass,
            addresses=tuple(sorted(held.get(info.index, ()))),
            manager=managers.manager_of(info.index),
        )
        for info in infos
    )


def firewall() -> tuple[Ruleset | None, str | None]:
    """Return the rules of nftables, or why they are not known."""
    command = shutil.which("nft", path=_NFT_PLACES)
    if command is None:
        return None, "nft is not installed"
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command from the system's own directories
            [command, "--json", "list", "ruleset"],
            capture_output=True,
            text=True,
            timeout=NFT_TIMEOUT,
            check=False,
        )
        if done.returncode != 0:
            return None, " ".join(done.stderr.split()) or f"nft ends with {done.returncode}"
        return ruleset.parse(done.stdout), None
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return None, f"nft cannot be asked: {error}"


def peer(address: IpAddress, diagnosis: Diagnosis | None, names: dict[int, str]) -> PeerFact:
    """Return what can be known of a peer; a few datagrams are sent to it."""
    overlay = _overlay_for(address, diagnosis)
    if overlay is None or overlay.listen_ip is None or overlay.listen_port is None:
        source = peers.source_for(address)
        if source is None:
            return PeerFact(str(address), None, error=NO_ROUTE)
        fact = PeerFact(str(address), str(source), overhead=OVERHEAD[address.version])
    else:
        source = ip_address(overlay.listen_ip)
        fact = PeerFact(
            str(address),
            overlay.listen_ip,
            overlay.listen_port,
            overlay.overlay.name,
            overlay.overhead,
        )
    fact = peers.route_of(fact, source, address, names)
    if fact.mtu is None or fact.is_local:
        return fact
    probe = peers.probe(source, address, fact.port, fact.mtu)
    return structs.replace(fact, probe=structs.replace(probe, silent=peers.next_hop(fact)))


def _overlay_for(address: IpAddress, diagnosis: Diagnosis | None) -> OverlayDiagnosis | None:
    """Return an overlay whose listen address is of the peer's family."""
    for overlay in () if diagnosis is None else diagnosis.overlays:
        listen = overlay.listen_ip
        if listen is not None and ip_address(listen).version == address.version:
            return overlay
    return None
