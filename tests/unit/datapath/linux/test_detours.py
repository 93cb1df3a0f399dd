"""The detour to the listen address."""

import socket
from contextlib import closing

import pytest

from support.linux_host import make_link
from varpd.datapath.base import Link
from varpd.datapath.linux import detours, names, proofs
from varpd.provider.answers import Target

FIRST = 40000
LAST = 40003


@pytest.fixture(autouse=True)
def _ports_for_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detours, "FIRST_PORT", FIRST)
    monkeypatch.setattr(detours, "LAST_PORT", LAST)
    monkeypatch.setattr(names, "PUNT_PORT", FIRST)


def deliver(packets: list[bytes], arrived: float) -> None:
    """Take nothing."""


def link(number: int = 1) -> Link:
    return make_link(listen_ip="127.0.0.1", number=number)


def test_each_overlay_begins_at_a_port_of_its_own_and_tries_all() -> None:
    assert list(detours.ports(1)) == [40001, 40002, 40003, 40000]
    assert list(detours.ports(6)) == [40002, 40003, 40000, 40001]


def test_a_detour_is_proved_and_goes_to_the_listen_address() -> None:
    detour = detours.make(link(), deliver)
    assert detour is not None
    with closing(detour.punt):
        assert detour.target == Target(ip=link().listen_ip, port=40001)


def test_ports_in_use_are_passed_over() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 40001))
        detour = detours.make(link(), deliver)
        assert detour is not None
        with closing(detour.punt):
            assert detour.target.port == 40002


def test_where_all_ports_are_taken_there_is_no_detour() -> None:
    made = [detours.make(link(number), deliver) for number in range(4)]
    assert detours.make(link(), deliver) is None
    for detour in made:
        assert detour is not None
        detour.punt.close()


def test_a_detour_that_cannot_be_proved_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object) -> list[bytes]:
        raise OSError

    monkeypatch.setattr(proofs, "prove_punt_path", closed)
    assert detours.make(link(), deliver) is None
    # The port is free again.
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 40001))
