"""Gathering facts."""

import shutil
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from support import stories
from support.control_daemon import FakeDaemon, running
from varpd.control.client import Client
from varpd.control.messages import ErrorCode
from varpd.doctor import host, peers
from varpd.doctor.facts import PeerFact, ProbeFact
from varpd.net.addresses import IpAddress


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    with running(tmp_path) as daemon:
        yield daemon


def test_what_the_daemon_says_is_among_the_facts(daemon: FakeDaemon) -> None:
    daemon.service.add("web0")
    with Client(str(daemon.socket)) as client:
        found = host.gather(client, (), "1.2.3")
    assert [item.overlay.name for item in found.overlays] == ["web0"]
    assert (found.version, found.daemon_error) == ("1.2.3", None)


def test_without_a_daemon_the_host_is_looked_at(tmp_path: Path) -> None:
    with Client(str(tmp_path / "none.sock")) as client:
        found = host.gather(client, (), "1.2.3")
    assert found.diagnosis is None
    assert found.daemon_error_code is ErrorCode.UNREACHABLE
    loopback = found.link("lo")
    assert loopback is not None
    assert loopback.index == 1


def test_a_peer_is_reached_from_the_listen_address_of_its_family(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, str, int, int]] = []

    def probe(source: IpAddress, target: IpAddress, port: int, mtu: int) -> ProbeFact:
        asked.append((str(source), str(target), port, mtu))
        return ProbeFact()

    def route_of(
        fact: PeerFact, source: IpAddress, target: IpAddress, names: dict[int, str]
    ) -> PeerFact:
        return PeerFact(fact.address, fact.source, fact.port, fact.overlay, device="eth0", mtu=1500)

    monkeypatch.setattr(peers, "probe", probe)
    monkeypatch.setattr(peers, "route_of", route_of)
    six = stories.overlay(stories.info("six"), listen_ip="2001:db8::1", listen_port=8472)
    told = stories.diagnosis(six, stories.overlay())
    fact = host.peer(ip_address(stories.FAR), told, {})
    assert (fact.source, fact.overlay) == (stories.LISTEN, "blue")
    host.peer(ip_address("2001:db8::2"), told, {})
    assert asked == [
        (stories.LISTEN, stories.FAR, 4789, 1500),
        ("2001:db8::1", "2001:db8::2", 8472, 1500),
    ]


def test_without_an_overlay_the_kernel_chooses_the_source() -> None:
    fact = host.peer(ip_address("127.0.0.2"), None, {1: "lo"})
    assert (fact.source, fact.overlay, fact.is_local) == ("127.0.0.1", None, True)
    assert fact.probe is None


@pytest.mark.parametrize(
    ("status", "out", "err", "why"),
    [
        (1, "", "Operation not permitted\n(you must be root)", "Operation not permitted (you"),
        (0, "nonsense", "", "nft cannot be asked"),
        (3, "", "", "nft ends with 3"),
    ],
)
def test_why_the_rules_are_not_known_is_told(
    monkeypatch: pytest.MonkeyPatch, status: int, out: str, err: str, why: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/usr/sbin/nft")
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda *_, **__: subprocess.CompletedProcess([], status, out, err),
    )
    rules, said = host.firewall()
    assert rules is None
    assert said is not None
    assert said.startswith(why)


def test_without_nft_there_are_no_rules_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert host.firewall() == (None, "nft is not installed")
