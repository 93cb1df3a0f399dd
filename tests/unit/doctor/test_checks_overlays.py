"""Are the overlays and their links well?"""

from typing import Any

import pytest
from msgspec import structs

from support import stories
from varpd.control.messages import CauseInfo
from varpd.doctor import checks_overlays
from varpd.doctor.facts import Facts, LinkFact
from varpd.doctor.findings import Severity

SINCE = "2026-01-02T03:04:05Z"


def with_links(*links: LinkFact) -> Facts:
    return stories.facts(links=links)


def changed(link: LinkFact, **changes: Any) -> Facts:
    """Return a host one of whose links is not as it should be."""
    links = (stories.UNDERLAY, stories.BRIDGE, stories.DEVICE, stories.PORT)
    new = structs.replace(link, **changes)
    return with_links(*(new if item is link else item for item in links))


def test_an_overlay_that_is_well_has_one_good_finding() -> None:
    (found,) = checks_overlays.check(stories.facts())
    assert (found.severity, found.overlay) == (Severity.OK, "blue")


@pytest.mark.parametrize("cause", checks_overlays.CURES)
def test_each_cause_of_a_degradation_is_a_problem_with_a_cure(cause: str) -> None:
    shown = stories.info(state="degraded", causes=(CauseInfo(cause, "it says so", SINCE),))
    (found,) = checks_overlays.check(stories.facts(stories.overlay(shown)))
    assert found.severity is Severity.PROBLEM
    assert found.message == f"is degraded ({cause}): it says so"
    assert found.cure
    assert "{" not in found.cure


def test_a_stopped_overlay_is_to_be_deleted() -> None:
    shown = stories.info(state="stopped", detail="its links could not be removed")
    (found,) = checks_overlays.check(stories.facts(stories.overlay(shown)))
    assert found.severity is Severity.PROBLEM
    assert found.cure == "delete it again: overlayadm delete blue"


def test_a_listen_address_that_is_gone_is_a_problem() -> None:
    (found,) = checks_overlays.check(changed(stories.UNDERLAY, addresses=()))
    assert (found.check, found.severity) == ("listen-address", Severity.PROBLEM)
    assert stories.LISTEN in found.message
    assert found.cure is not None
    assert "ip address add" in found.cure


def test_a_listen_address_on_an_interface_that_is_down_is_a_problem() -> None:
    (found,) = checks_overlays.check(changed(stories.UNDERLAY, up=False))
    assert (found.check, found.severity) == ("listen-address", Severity.PROBLEM)
    assert found.cure == "bring it up: ip link set eth0 up"


@pytest.mark.parametrize("name", ["blue", "vx-blue"])
def test_a_link_that_is_gone_is_a_problem(name: str) -> None:
    links = (stories.UNDERLAY, stories.BRIDGE, stories.DEVICE)
    (found,) = checks_overlays.check(with_links(*(item for item in links if item.name != name)))
    assert (found.check, found.severity) == ("links", Severity.PROBLEM)
    assert found.message == f"the link {name} is gone"


@pytest.mark.parametrize("link", [stories.BRIDGE, stories.DEVICE])
def test_a_link_that_is_down_or_of_another_owner_is_a_problem(link: LinkFact) -> None:
    (found,) = checks_overlays.check(changed(link, up=False))
    assert found.cure == f"bring it up: ip link set {link.name} up"
    foreign = checks_overlays.check(changed(link, alias="mine"))
    assert foreign[0].severity is Severity.PROBLEM
    assert "'mine'" in foreign[0].message


def test_a_tunnel_device_of_another_mtu_is_a_problem_a_bridge_is_none() -> None:
    (found,) = checks_overlays.check(changed(stories.DEVICE, mtu=1400))
    assert found.severity is Severity.PROBLEM
    assert "1400 instead of 1500" in found.message
    (found,) = checks_overlays.check(changed(stories.BRIDGE, mtu=1400))
    assert found.severity is Severity.OK


@pytest.mark.parametrize("link", [stories.BRIDGE, stories.DEVICE])
def test_a_program_that_manages_our_link_is_named(link: LinkFact) -> None:
    (found,) = checks_overlays.check(changed(link, manager="NetworkManager"))
    assert (found.check, found.severity) == ("foreign", Severity.WARNING)
    assert "NetworkManager manages" in found.message


def test_an_address_on_our_bridge_is_a_warning() -> None:
    (found,) = checks_overlays.check(changed(stories.BRIDGE, addresses=("10.0.0.1",)))
    assert (found.check, found.severity) == ("foreign", Severity.WARNING)
    assert "10.0.0.1" in found.message


def test_a_link_of_no_overlay_is_told_as_one() -> None:
    stray = LinkFact(9, "red", "bridge", "varpd:red")
    facts = with_links(stories.UNDERLAY, stories.BRIDGE, stories.DEVICE, stray)
    _, found = checks_overlays.check(facts)
    assert (found.check, found.severity) == ("links", Severity.WARNING)
    assert "'red'" in found.message


def test_ports_that_may_send_nothing_are_a_problem_with_the_cure() -> None:
    (found,) = checks_overlays.check(stories.facts(stories.overlay(blocked=("tap0", "tap1"))))
    assert (found.check, found.severity) == ("antispoof", Severity.PROBLEM)
    assert found.message.endswith(": tap0, tap1")
    assert found.cure is not None
    assert "overlayadm port blue tap0 --mac MAC" in found.cure
    assert "overlayadm port blue tap0 --antispoof off" in found.cure
    many = tuple(f"tap{n}" for n in range(10))
    (found,) = checks_overlays.check(stories.facts(stories.overlay(blocked=many)))
    assert found.message.endswith("tap7, and 2 others")


def test_without_a_daemon_links_are_left_in_peace() -> None:
    assert checks_overlays.check(stories.facts(diagnosis=None)) == []


def test_links_of_another_namespace_or_of_no_kernel_are_not_looked_for() -> None:
    for more in ({"namespace": "net:[1]"}, {"datapath": "memory"}):
        told = stories.diagnosis(stories.overlay(), **more)
        (found,) = checks_overlays.check(stories.facts(diagnosis=told, links=()))
        assert found.severity is Severity.OK
