"""What the daemon's coming and going does to overlays."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from support.lab import CONFIG, Host, Lab
from support.varpd_process import VarpdProcess

pytestmark = pytest.mark.integration

CAPABILITIES: Final = ("+net_admin", "+net_bind_service")
"""Bits 12 and 10 of capabilities(7)."""


def links(host: Host) -> dict[str, Any]:
    """Return the links of a host by name."""
    shown = json.loads(host.run("ip", "-json", "-details", "link", "show").stdout)
    return {link["ifname"]: link for link in shown}


def indices(host: Host) -> dict[str, int]:
    """Return the index of each link: one that was made anew has another."""
    return {name: link["ifindex"] for name, link in links(host).items()}


def test_a_clean_stop_leaves_the_links_and_the_next_start_takes_them_over() -> None:
    with Lab() as lab:
        a, b = lab.hosts("a", "b")
        web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
        assert web.ping(db.ipv4).lost == 0
        before, (shown,) = indices(a), a.varpd.show()

        assert a.varpd.stop() == 0

        assert not a.varpd.socket.exists()
        assert indices(a) == before
        # What is in the kernel goes on working.
        assert web.ping(db.ipv4, 5).lost == 0
        a.varpd.start()
        assert indices(a) == before
        (again,) = a.varpd.show()
        for overlay in (shown, again):
            del overlay["properties"]["guest_mtu"]  # which follows from what is known of targets
        assert again == shown
        assert web.ping(db.ipv4, 5).lost == 0
        assert db.ping(web.ipv6, 5).lost == 0


def test_deleting_an_overlay_leaves_nothing_behind() -> None:
    with Lab(6) as lab:
        (a,) = lab.hosts("a")
        before = (set(links(a)), a.run("ip", "address", "show", "dev", "lo").stdout)
        lab.files_overlay("blue", 7, {})

        a.overlayadm("delete", "blue")

        assert (set(links(a)), a.run("ip", "address", "show", "dev", "lo").stdout) == before
        assert a.varpd.show() == []


def test_after_a_kill_the_next_start_takes_over_the_links() -> None:
    with Lab() as lab:
        a, b = lab.hosts("a", "b")
        web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
        assert web.ping(db.ipv4).lost == 0
        before = links(a)

        a.varpd.kill()
        # What is in the kernel goes on working.
        assert web.ping(db.ipv4, 5).lost == 0
        a.varpd.start()

        after = links(a)
        assert {name: link["ifindex"] for name, link in after.items()} == {
            name: link["ifindex"] for name, link in before.items()
        }
        assert after[web.port]["master"] == "blue"
        assert web.ping(db.ipv4, 5).lost == 0
        assert db.ping(web.ipv6, 5).lost == 0


def test_a_link_of_somebody_else_is_refused_and_left_as_it_is() -> None:
    with Lab() as lab:
        (a,) = lab.hosts("a")
        a.run("ip", "link", "add", "blue", "type", "bridge")
        before = links(a)

        refused = a.create(
            *("blue", 7, "direct", "direct/dest_ip=192.0.2.99", "direct/dest_port=4789"),
            check=False,
        )

        assert refused.returncode == 1
        assert "blue" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
        assert links(a) == before


def test_a_second_daemon_in_the_same_network_namespace_is_refused() -> None:
    with Lab() as lab:
        (a,) = lab.hosts("a")
        second = VarpdProcess(a.namespace, lab.directory / "second", CONFIG)
        second.start(wait=False)
        assert second.process is not None

        assert second.process.wait(30) == 1

        (line,) = second.log().splitlines()
        assert "another varpd runs in this network namespace" in line
        assert str(a.varpd.pid) in line
        assert a.varpd.show() == []  # the first one does not mind


def test_two_capabilities_are_all_that_the_daemon_needs() -> None:
    with Lab(6) as lab:
        hosts = [lab.host(name, start=False) for name in ("a", "b")]
        for host in hosts:
            host.varpd.wrapper = ["setpriv", f"--bounding-set=-all,{','.join(CAPABILITIES)}"]
            host.varpd.start()
            status = Path(f"/proc/{host.varpd.pid}/status").read_text(encoding="ascii")
            assert re.search(r"^CapEff:\t0*1400$", status, re.MULTILINE)

        web, db = lab.files_overlay("blue", 7, dict(zip(("web", "db"), hosts, strict=True)))

        assert web.ping(db.ipv4, 3).lost == 0
        assert db.ping(web.ipv6, 3).lost == 0
