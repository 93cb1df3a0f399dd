"""Do packets of guests fit through the underlay, and what about the peers that were named?"""

from typing import Final

from varpd.control.diagnosis import OverlayDiagnosis
from varpd.doctor.facts import Facts, PeerFact
from varpd.doctor.findings import Finding, ok, problem, warning

IPV6_MIN: Final = 1280
"""The least MTU of IPv6 (RFC 8200, section 5)."""

GUEST_USUAL: Final = 1500
"""MTU of guests that nobody has told anything."""


def check(facts: Facts) -> list[Finding]:
    """Return what there is to say about ways to other hosts."""
    found: list[Finding] = []
    for item in facts.overlays:
        found += [*routes(item), *guests(facts, item)]
    # From another namespace than the daemon's, the ways to peers are other ways.
    for peer in facts.peers if facts.same_namespace else ():
        found += [*route(facts, peer), *reachable(peer), *fits(peer)]
    return found


def routes(item: OverlayDiagnosis) -> list[Finding]:
    """Is there a route to each host that the overlay sends to?"""
    lost = [path.address for path in item.paths if path.mtu is None]
    if not lost:
        return []
    more = ", and others" if len(lost) == len(item.paths) < item.paths_total else ""
    return [
        problem(
            "route",
            f"there is no route from {item.listen_ip} to {', '.join(lost[:5])}"
            f"{', ...' if len(lost) > 5 else ''}{more}",
            f"see the way that the kernel takes: ip route get {lost[0]} from {item.listen_ip}",
            item.overlay.name,
        )
    ]


def guests(facts: Facts, item: OverlayDiagnosis) -> list[Finding]:
    """Do packets of guests fit through the paths that are known?"""
    known = [path for path in item.paths if path.mtu is not None]
    if not known or item.mtu is None:
        return []
    narrow = known[0]
    room = min((narrow.mtu or 0) - item.overhead, item.mtu)
    name = item.overlay.name
    if room < IPV6_MIN:
        return [
            problem(
                "path-mtu",
                f"the path to {narrow.address} lets {narrow.mtu} bytes through, so guests have "
                f"{room}, and IPv6 needs {IPV6_MIN}",
                f"give the underlay an MTU of {IPV6_MIN + item.overhead} at least, better "
                f"{GUEST_USUAL + item.overhead}",
                name,
            )
        ]
    ports = guest_ports(facts, item)
    large = sorted(port for port, mtu in ports.items() if mtu > room)
    if not large:
        return [ok("path-mtu", f"packets of guests up to {room} bytes fit everywhere", name)]
    shown = ", ".join(large[:5]) + (", ..." if len(large) > 5 else "")
    return [
        warning(
            "path-mtu",
            f"packets of up to {room} bytes fit through the path to {narrow.address}, but the "
            f"ports {shown} allow more; guests are told of each packet that is too big",
            f"give the guests an MTU of {room}, or the underlay one of "
            f"{max(ports.values()) + item.overhead}",
            name,
        )
    ]


def guest_ports(facts: Facts, item: OverlayDiagnosis) -> dict[str, int]:
    """Return the MTUs of the ports of an overlay's bridge, but for the tunnel device."""
    bridge = facts.link(item.bridge) if facts.same_namespace else None
    if bridge is None:
        return {}
    return {
        link.name: link.mtu
        for link in facts.links or ()
        if link.master == bridge.index and link.name != item.device
    }


def route(facts: Facts, peer: PeerFact) -> list[Finding]:
    """Is there a route to the peer, and not one through an overlay?"""
    if peer.device is None:
        source = f" from {peer.source}" if peer.source else ""
        why = f" ({peer.error})" if peer.error else ""
        return [
            problem(
                "peer",
                f"there is no route{source} to {peer.address}{why}",
                f"see the way that the kernel takes: ip route get {peer.address}{source}",
                peer.overlay,
            )
        ]
    if peer.is_local:
        return [
            problem(
                "peer",
                f"{peer.address} is an address of this host itself",
                "name the address of another host",
                peer.overlay,
            )
        ]
    link = facts.link(peer.device)
    if link is not None and link.alias.startswith("varpd:"):
        return [
            problem(
                "peer",
                f"the route to {peer.address} leads through {peer.device}, which belongs to an "
                "overlay: wrapped frames would be wrapped again",
                f"take that route away: ip route get {peer.address}; and find out who made it",
                peer.overlay,
            )
        ]
    via = f" by {peer.gateway}" if peer.gateway else ""
    return [
        ok("peer", f"{peer.address} is reached through {peer.device}{via}", peer.overlay),
    ]


def reachable(peer: PeerFact) -> list[Finding]:
    """What became of the datagrams that were sent to the peer?"""
    probe = peer.probe
    if probe is None:
        return []
    if probe.refused:
        return [
            problem(
                "peer",
                f"{peer.address} answers that nobody receives on UDP port {peer.port}",
                "create the overlay there, with the same vxlan/listen_port; a firewall may answer "
                "so too",
                peer.overlay,
            )
        ]
    if probe.silent is not None:
        whom = "" if probe.silent == peer.address else f", the next on the way to {peer.address},"
        return [
            problem(
                "peer",
                f"{probe.silent}{whom} does not answer on {peer.device} (ARP or neighbour "
                "discovery)",
                f"see whether it is up and on the same network: ip neighbour show {probe.silent}",
                peer.overlay,
            )
        ]
    if probe.unreachable is not None:
        return [
            problem(
                "peer",
                f"datagrams to {peer.address} come back: {probe.unreachable}",
                "see whether it is up and the routers on the way know it: ip neighbour; ping "
                f"{peer.address}",
                peer.overlay,
            )
        ]
    return [
        ok(
            "peer",
            f"nothing came back from {peer.address}, port {peer.port}: nobody on the way said no; "
            "whether datagrams arrive, only the peer can tell",
            peer.overlay,
        )
    ]


def fits(peer: PeerFact) -> list[Finding]:
    """How large may packets of guests be on the way to the peer?"""
    if peer.mtu is None or peer.is_local:
        return []
    mtu = peer.mtu if peer.probe is None or peer.probe.mtu is None else peer.probe.mtu
    room = mtu - peer.overhead
    if room < IPV6_MIN:
        return [
            problem(
                "path-mtu",
                f"the path to {peer.address} lets {mtu} bytes through, so guests have {room}, and "
                f"IPv6 needs {IPV6_MIN}",
                f"give the underlay an MTU of {IPV6_MIN + peer.overhead} at least",
                peer.overlay,
            )
        ]
    return [
        ok(
            "path-mtu",
            f"packets of guests up to {room} bytes fit through the path to {peer.address}, as far "
            "as is known",
            peer.overlay,
        )
    ]
