"""What other hosts say of MACs that are not there."""

import socket
from collections.abc import AsyncIterator
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.waiting import until
from varpd.net.addresses import IpAddress, MacAddress
from varpd.plugins.svp import shootdown
from varpd.plugins.svp.messages import Ping, Shootdown
from varpd.plugins.svp.shootdown import Listener, parse
from varpd.plugins.svp.wire import serialize

MAC = MacAddress.parse("02:00:5e:00:00:01")
GOOD = serialize(1, Shootdown(MAC, 7))


class Instance:
    """Remembers what it heard."""

    def __init__(self, vnetid: int) -> None:
        self.vnetid = vnetid
        self.heard: list[tuple[MacAddress, IpAddress]] = []

    def shot_down(self, mac: MacAddress, sender: IpAddress) -> None:
        self.heard.append((mac, sender))


@pytest.fixture(params=["127.0.0.1", "::1"])
async def listener(request: pytest.FixtureRequest) -> AsyncIterator[Listener]:
    made = Listener(ip_address(request.param), 0)
    yield made
    made.close()


def send(listener: Listener, *datagrams: bytes) -> None:
    with socket.socket(listener._socket.family, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        for datagram in datagrams:
            sender.sendto(datagram, listener._socket.getsockname())


async def test_the_instances_of_that_network_hear_who_said_it(listener: Listener) -> None:
    here, there = Instance(7), Instance(8)
    listener.targets += [here, there]
    send(listener, GOOD)
    await until(lambda: here.heard)
    sender = ip_address(listener._socket.getsockname()[0])
    assert (here.heard, there.heard) == ([(MAC, sender)], [])


async def test_what_is_no_shootdown_is_ignored_and_counted(listener: Listener) -> None:
    here = Instance(7)
    listener.targets.append(here)
    send(listener, b"", GOOD[:-1], serialize(1, Ping()), GOOD[:-1] + b"\xff", GOOD)
    await until(lambda: here.heard)
    assert (len(here.heard), listener.ignored) == (1, 4)


async def test_of_too_many_the_rest_is_ignored(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shootdown, "RATE", 3)
    here = Instance(7)
    listener.targets.append(here)
    send(listener, *[GOOD] * 20)
    await until(lambda: len(here.heard) + listener.ignored == 20)
    assert listener.ignored >= 14  # a second may begin in between


async def test_an_address_that_is_taken_is_named() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1 port {port}"):
            Listener(ip_address("127.0.0.1"), port)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_shootdown_or_none(data: bytes) -> None:
    assert parse(data) is None
    assert parse(GOOD + data) == Shootdown(MAC, 7)
