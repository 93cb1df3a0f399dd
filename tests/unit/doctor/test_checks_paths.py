"""Do packets fit, and what about peers?"""

from typing import Any

from msgspec import structs

from support import stories
from varpd.control.diagnosis import PathInfo
from varpd.doctor import checks_paths
from varpd.doctor.facts import Facts, PeerFact, ProbeFact
from varpd.doctor.findings import Finding, Severity

PEER = PeerFact(
    stories.FAR, stories.LISTEN, 4789, "blue", device="eth0", mtu=1500, probe=ProbeFact()
)


def of_peer(**changes: Any) -> list[Finding]:
    """Return what there is to say about a peer alone."""
    peer = structs.replace(PEER, **changes)
    return checks_paths.check(stories.facts(stories.overlay(paths=()), peers=(peer,)))


def with_port(mtu: int) -> Facts:
    links = (stories.BRIDGE, stories.DEVICE, structs.replace(stories.PORT, mtu=mtu))
    return stories.facts(links=links)


def test_guests_whose_packets_fit_are_well() -> None:
    (found,) = checks_paths.check(with_port(1450))
    assert (found.check, found.severity) == ("path-mtu", Severity.OK)
    assert "1450" in found.message


def test_a_port_that_allows_more_than_fits_is_a_warning_with_both_cures() -> None:
    (found,) = checks_paths.check(with_port(1500))
    assert found.severity is Severity.WARNING
    assert "port1" in found.message
    assert found.cure == "give the guests an MTU of 1450, or the underlay one of 1550"


def test_a_path_too_narrow_for_ipv6_is_a_problem() -> None:
    overlay = stories.overlay(paths=(PathInfo("192.0.2.3", 1300), PathInfo(stories.FAR, 1500)))
    (found,) = checks_paths.check(stories.facts(overlay))
    assert found.severity is Severity.PROBLEM
    assert "192.0.2.3 lets 1300" in found.message
    assert found.cure is not None
    assert "1330" in found.cure


def test_the_links_bound_what_fits_through_a_wide_path() -> None:
    overlay = stories.overlay(paths=(PathInfo(stories.FAR, 9000),))
    (found,) = checks_paths.check(stories.facts(overlay))
    assert "up to 1500 bytes" in found.message


def test_hosts_without_a_route_are_named() -> None:
    lost = tuple(PathInfo(f"198.51.100.{number}", None) for number in range(1, 8))
    overlay = stories.overlay(paths=(*lost, PathInfo(stories.FAR, 1500)), paths_total=8)
    found, _ = checks_paths.check(stories.facts(overlay))
    assert (found.check, found.severity) == ("route", Severity.PROBLEM)
    assert found.message.endswith("198.51.100.5, ...")


def test_an_overlay_that_knows_nobody_has_no_path() -> None:
    assert checks_paths.check(stories.facts(stories.overlay(paths=(), paths_total=0))) == []


def test_a_peer_from_which_nothing_comes_back_is_not_said_to_be_reached() -> None:
    route, reached, fits = of_peer()
    assert [item.severity for item in (route, reached, fits)] == [Severity.OK] * 3
    assert "only the peer can tell" in reached.message
    assert "1450" in fits.message


def test_a_peer_without_a_route_is_a_problem() -> None:
    (found,) = of_peer(device=None, mtu=None, error="Network is unreachable", probe=None)
    assert found.severity is Severity.PROBLEM
    assert "Network is unreachable" in found.message


def test_a_peer_that_is_this_host_is_a_problem() -> None:
    (found,) = of_peer(is_local=True, probe=None)
    assert "this host itself" in found.message


def test_a_route_through_an_overlay_is_a_problem() -> None:
    found, *_ = of_peer(device="blue")
    assert found.severity is Severity.PROBLEM
    assert "wrapped again" in found.message


def test_a_peer_on_which_nobody_listens_is_a_problem() -> None:
    _, found, _ = of_peer(probe=ProbeFact(refused=True))
    assert found.severity is Severity.PROBLEM
    assert "UDP port 4789" in found.message


def test_a_peer_whose_datagrams_come_back_is_a_problem() -> None:
    _, found, _ = of_peer(probe=ProbeFact(unreachable="No route to host"))
    assert found.severity is Severity.PROBLEM
    assert "No route to host" in found.message


def test_a_neighbour_that_does_not_answer_is_a_problem_be_it_the_peer_or_a_router() -> None:
    _, found, _ = of_peer(probe=ProbeFact(silent=stories.FAR))
    assert found.message.startswith(f"{stories.FAR} does not answer on eth0")
    _, found, _ = of_peer(gateway="192.0.2.254", probe=ProbeFact(silent="192.0.2.254"))
    assert f"192.0.2.254, the next on the way to {stories.FAR}," in found.message


def test_what_a_router_said_of_the_size_counts_more_than_the_route() -> None:
    *_, found = of_peer(probe=ProbeFact(mtu=1300))
    assert found.severity is Severity.PROBLEM
    assert "lets 1300 bytes through" in found.message
