"""Telling the datapath which targets there are."""

from ipaddress import ip_address

import pytest

from support.waiting import until
from varpd.daemon import sources
from varpd.daemon.sources import Sources
from varpd.net.addresses import IpAddress
from varpd.provider.answers import Target


class Tables:
    def remotes(self, overlay: str) -> set[Target]:
        addresses = {"blue": ("192.0.2.2", "192.0.2.3"), "green": ()}[overlay]
        return {Target(ip=ip_address(each), port=4789) for each in addresses}


async def test_the_targets_of_overlays_are_told_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sources, "PERIOD", 0.001)
    told: list[tuple[str, frozenset[IpAddress]]] = []
    telling = Sources(
        lambda: ["blue", "green"], Tables(), lambda name, found: told.append((name, found))
    )
    telling.start()
    await until(lambda: len(told) >= 4)
    telling.stop()
    telling.stop()
    assert told[:2] == [
        ("blue", frozenset(map(ip_address, ("192.0.2.2", "192.0.2.3")))),
        ("green", frozenset()),
    ]
