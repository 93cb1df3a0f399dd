"""Are the overlays well, and their links as varpd made them?"""

from typing import Final

from varpd.control.diagnosis import OverlayDiagnosis
from varpd.doctor.facts import Facts, LinkFact
from varpd.doctor.findings import Finding, ok, problem, warning

ALIAS: Final = "varpd:"
"""What the alias of a link of ours begins with; the overlay's name follows."""

SHOWN: Final = 8
"""Names in one finding."""

CURES: Final = {
    "plugin": "see to what the plugin complains of; it takes that back by itself",
    "fault": "see the log for the plugin's fault: journalctl -u varpd; it is forgotten 10 s after"
    " the last one",
    "start": "correct what it names, by `overlayadm modify` or in the plugin's data; it is tried"
    " again by itself",
    "restore": "correct what it names; it is tried again by itself, or start it from its"
    " properties alone: overlayadm modify {name} --forget-state",
    "save": "see the log for what the plugin's state lacks, and whether the disk is full",
    "datapath": "correct what it names; it is tried again by itself",
    "guard": "do what it says; it is looked at again by itself within seconds",
    "panic": "the plugin gave up and is being restored; send `overlayadm report` to its author",
}
"""What to do about each cause of an overlay's degradation."""


def check(facts: Facts) -> list[Finding]:
    """Return what there is to say about overlays and links."""
    found: list[Finding] = []
    for item in facts.overlays:
        own = [*causes(item), *_links(facts, item), *blocked(item)]
        found += own or [ok("overlay", "is online, its links are as they should be", _name(item))]
    return [*found, *strays(facts)]


def causes(item: OverlayDiagnosis) -> list[Finding]:
    """Is the overlay degraded, and why?"""
    name = _name(item)
    if item.overlay.state == "stopped":
        return [
            problem(
                "overlay",
                f"is stopped: {item.overlay.detail}",
                f"delete it again: overlayadm delete {name}",
                name,
            )
        ]
    return [
        problem(
            "overlay",
            f"is degraded ({cause.cause}): {cause.message}",
            CURES.get(cause.cause, "see the log: journalctl -u varpd").format(name=name),
            name,
        )
        for cause in item.overlay.causes
    ]


def _links(facts: Facts, item: OverlayDiagnosis) -> list[Finding]:
    if facts.links is None or not facts.same_namespace or not _in_kernel(facts):
        return []
    found = [*listen_address(facts, item)]
    for name in (item.bridge, item.device):
        link = facts.link(name)
        if name is None:
            continue
        if link is None:
            found.append(_missing(item, name))
        else:
            found += [*is_well(item, link), *foreign(item, link)]
    return found


def listen_address(facts: Facts, item: OverlayDiagnosis) -> list[Finding]:
    """Is the listen address on this host, on an interface that is up?"""
    address, name = item.listen_ip, _name(item)
    if address is None:
        return []
    holders = [link for link in facts.links or () if address in link.addresses]
    if not holders:
        return [
            problem(
                "listen-address",
                f"{address}, where wrapped frames come from and go to, is not an address of this "
                "host",
                f"give it back: ip address add {address}/PREFIX dev INTERFACE; or create the "
                "overlay anew with another vxlan/listen_ip",
                name,
            )
        ]
    if not any(link.up for link in holders):
        down = holders[0].name
        return [
            problem(
                "listen-address",
                f"{down}, which has the listen address {address}, is down",
                f"bring it up: ip link set {down} up",
                name,
            )
        ]
    return []


def blocked(item: OverlayDiagnosis) -> list[Finding]:
    """May guests send nothing, because nobody said who they are?"""
    if not item.blocked:
        return []
    name, first = _name(item), item.blocked[0]
    shown = ", ".join(item.blocked[:SHOWN])
    more = f", and {len(item.blocked) - SHOWN} others" if len(item.blocked) > SHOWN else ""
    return [
        problem(
            "antispoof",
            f"guests at these ports may send nothing, as antispoof is on and their MAC was not "
            f"said: {shown}{more}",
            f"say who each is: overlayadm port {name} {first} --mac MAC --ip ADDRESS; or let it be "
            f"anybody: overlayadm port {name} {first} --antispoof off",
            name,
        )
    ]


def _missing(item: OverlayDiagnosis, link: str) -> Finding:
    return problem(
        "links",
        f"the link {link} is gone",
        "varpd makes it again by itself within seconds, unless the property drift says report; if "
        "not, delete the overlay and create it anew",
        _name(item),
    )


def is_well(item: OverlayDiagnosis, link: LinkFact) -> list[Finding]:
    """Is the link up, ours, and of the right MTU?"""
    name = _name(item)
    found: list[Finding] = []
    if not link.up:
        found.append(
            problem(
                "links", f"{link.name} is down", f"bring it up: ip link set {link.name} up", name
            )
        )
    if link.alias != f"{ALIAS}{name}":
        whose = repr(link.alias) if link.alias else "none"
        found.append(
            problem(
                "links",
                f"{link.name} has the alias {whose} instead of {ALIAS}{name}, so varpd would not "
                "take it over after a restart",
                f"ip link set {link.name} alias {ALIAS}{name}; and find out who changed it",
                name,
            )
        )
    if link.name == item.device and item.mtu is not None and link.mtu != item.mtu:
        found.append(
            problem(
                "links",
                f"{link.name} has MTU {link.mtu} instead of {item.mtu}: larger packets vanish "
                "without an answer",
                f"ip link set {link.name} mtu {item.mtu}; and find out who changed it",
                name,
            )
        )
    return found


def foreign(item: OverlayDiagnosis, link: LinkFact) -> list[Finding]:
    """Does another program take the link for its own?"""
    name = _name(item)
    found: list[Finding] = []
    if link.manager is not None:
        found.append(
            warning(
                "foreign",
                f"{link.manager} manages {link.name}, and may change or remove it",
                "install the files of packaging/udev, packaging/networkd and "
                "packaging/networkmanager (make install), reload udev, and restart it",
                name,
            )
        )
    if link.addresses:
        found.append(
            warning(
                "foreign",
                f"{link.name} has addresses ({', '.join(link.addresses)}), so guests reach this "
                "host itself by them",
                f"unless that is wanted: ip address flush dev {link.name}; and find out who gave "
                "it addresses",
                name,
            )
        )
    return found


def strays(facts: Facts) -> list[Finding]:
    """Are there links of ours that no overlay has? Without a daemon nobody can tell."""
    if facts.diagnosis is None or not facts.same_namespace or not _in_kernel(facts):
        return []
    names = {_name(item) for item in facts.overlays}
    return [
        warning(
            "links",
            f"{link.name} is a link of overlay {overlay!r}, which this daemon does not have",
            f"create the overlay again, which takes the link over, or: ip link delete {link.name}",
        )
        for link in facts.links or ()
        if link.alias.startswith(ALIAS) and (overlay := link.alias.removeprefix(ALIAS)) not in names
    ]


def _in_kernel(facts: Facts) -> bool:
    return facts.diagnosis is not None and facts.diagnosis.datapath == "linux"


def _name(item: OverlayDiagnosis) -> str:
    return item.overlay.name
