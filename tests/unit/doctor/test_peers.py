"""What can be known of a peer, over the loopback interface."""

import socket
from ipaddress import ip_address

import pytest

from support import stories
from varpd.datapath.linux import routes
from varpd.doctor import peers
from varpd.doctor.facts import PeerFact, ProbeFact
from varpd.net.addresses import IpAddress

HERE = ip_address("127.0.0.1")
THERE = ip_address("127.0.0.2")


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((str(THERE), 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_peer_on_which_nobody_listens_says_so_at_once() -> None:
    assert peers.probe(HERE, THERE, free_port(), 1500) == ProbeFact(refused=True)


def test_a_peer_that_listens_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "PATIENCE", 0.2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind((str(THERE), 0))
        port = listening.getsockname()[1]
        assert peers.probe(HERE, THERE, port, 1500) == ProbeFact()
        sizes = {len(listening.recv(9000)) for _ in range(2)}
        assert sizes == {peers.SMALL, 1500 - 28}


def test_an_address_that_is_not_here_cannot_be_sent_from() -> None:
    found = peers.probe(ip_address("203.0.113.9"), THERE, 4789, 1500)
    assert found.unreachable is not None


def test_the_route_to_a_peer_names_its_interface() -> None:
    fact = peers.route_of(PeerFact(str(THERE), str(HERE)), HERE, THERE, {1: "lo"})
    assert (fact.device, fact.is_local, fact.error) == ("lo", True, None)
    assert fact.mtu is not None


def test_a_peer_without_a_route_keeps_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(source: IpAddress, target: IpAddress) -> routes.Route:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(routes, "find", find)
    fact = peers.route_of(PeerFact(stories.FAR, str(HERE)), HERE, ip_address(stories.FAR), {})
    assert (fact.device, fact.error) == (None, "Network is unreachable")


def test_the_kernel_says_what_it_would_send_from() -> None:
    assert peers.source_for(THERE) == HERE


def test_a_neighbour_that_nobody_asked_for_is_not_silent() -> None:
    assert peers.next_hop(PeerFact(str(THERE), str(HERE), ifindex=1)) is None
