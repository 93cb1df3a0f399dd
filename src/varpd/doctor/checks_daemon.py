"""Is the daemon there, may it do what it must, and did it take all plugins?"""

from typing import Final

from varpd.control.messages import ErrorCode
from varpd.doctor.facts import Facts
from varpd.doctor.findings import Finding, ok, problem, warning

NEEDED: Final = {"CAP_NET_ADMIN": 12, "CAP_NET_BIND_SERVICE": 10}
"""Capabilities without which there are no overlays, and their bits (linux/capability.h)."""


def check(facts: Facts) -> list[Finding]:
    """Return what there is to say about the daemon."""
    return [
        *answers(facts),
        *version(facts),
        *namespace(facts),
        *capabilities(facts),
        *plugins(facts),
    ]


def answers(facts: Facts) -> list[Finding]:
    """Does it answer, and is it ready?"""
    found = facts.diagnosis
    if found is None:
        message = facts.daemon_error or "the daemon does not answer"
        if facts.daemon_error_code is ErrorCode.FORBIDDEN:
            cure = "run this command as root, or as one who may read (docs/service.md, Rights)"
        elif facts.daemon_error_code is ErrorCode.NOT_FOUND:
            cure = "the daemon is older than this command: restart it (systemctl restart varpd)"
        else:
            cure = (
                "start it (systemctl start varpd), or see why it ended: journalctl -u varpd; "
                "meanwhile known destinations are carried on, new ones are not found"
            )
        return [problem("daemon", message, cure)]
    if not found.ready:
        return [
            warning(
                "daemon",
                f"the daemon is not ready: {found.detail or 'it is starting'}",
                "wait a moment and ask again; see what it waits for: journalctl -u varpd",
            )
        ]
    count = len(found.overlays)
    return [ok("daemon", f"varpd {found.version} answers; overlays: {count}")]


def version(facts: Facts) -> list[Finding]:
    """Is it of the same version as the command?"""
    found = facts.diagnosis
    if found is None or found.version == facts.version:
        return []
    return [
        warning(
            "version",
            f"the daemon is varpd {found.version}, this command is {facts.version}",
            "restart the daemon (systemctl restart varpd), or use the command that came with it",
        )
    ]


def namespace(facts: Facts) -> list[Finding]:
    """Does the command see the network that the daemon works in?"""
    if facts.same_namespace or facts.diagnosis is None:
        return []
    pid = facts.diagnosis.pid
    return [
        warning(
            "namespace",
            "the daemon works in another network namespace than this command, so links, routes "
            "and the firewall could not be looked at",
            f"run it there: nsenter --target {pid} --net overlayadm doctor",
        )
    ]


def capabilities(facts: Facts) -> list[Finding]:
    """May it make links and bind the punt port?"""
    found = facts.diagnosis
    if found is None or found.capabilities is None or found.datapath != "linux":
        return []
    missing = [name for name, bit in NEEDED.items() if not found.capabilities >> bit & 1]
    if not missing:
        return [ok("capabilities", "the daemon has the capabilities that it needs")]
    return [
        problem(
            "capabilities",
            f"the daemon (process {found.pid}, user {found.uid}) lacks {' and '.join(missing)}",
            "start it by packaging/systemd/varpd.service, which gives it both, or as root",
        )
    ]


def plugins(facts: Facts) -> list[Finding]:
    """Were all plugins taken?"""
    if facts.diagnosis is None:
        return []
    refused = facts.diagnosis.refused
    if not refused:
        return [ok("plugins", "no plugin was refused")]
    return [
        warning(
            "plugins",
            f"the plugin at {item.origin} was refused ({item.reason}): {item.message}",
            "correct or remove it, then restart the daemon",
        )
        for item in refused
    ]
