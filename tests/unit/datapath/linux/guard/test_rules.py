"""The rules as data; what they do to packets is tried for real."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from varpd.datapath.linux.guard import layout, rules, shared
from varpd.datapath.linux.guard.rules import Guarded
from varpd.datapath.linux.nft.content import Content
from varpd.datapath.linux.nft.expressions import Verdict
from varpd.datapath.linux.nft.objects import COMMENT_MAX, Element, Type

ROOT = 0


def guarded(**other: Any) -> Guarded:
    values: dict[str, Any] = {
        "overlay": "blue",
        "vnetid": 7,
        "listen_ip": ip_address("192.0.2.1"),
        "listen_port": 4789,
        "bridge": 3,
        "device": 4,
    }
    return Guarded(**(values | other))


def elements(content: Content, name: str) -> list[Element]:
    return sorted((e for e in content.elements if e.set == name), key=lambda e: (e.key, not e.ends))


def comments(content: Content) -> list[str]:
    return [rule.comment for rule in content.rules]


def test_every_name_and_comment_says_whose_it_is_and_has_room() -> None:
    item = guarded(
        overlay="twelve-chars",
        vnetid=2**24 - 1,
        punt_ports=(789, 790),
        underlay=("eth0",),
        sources=(),
    )
    for content in (rules.inet(item), rules.netdev(item)):
        for name in (*(c.name for c in content.chains), *(s.name for s in content.sets)):
            assert layout.owner_of(name) == "twelve-chars"
        for element in content.elements:
            owner = layout.owner_of(element.set) or element.comment.partition(":")[0]
            assert owner == "twelve-chars"
    common = shared.inet(ROOT, [])
    for name in (*(c.name for c in common.chains), *(s.name for s in common.sets)):
        assert layout.owner_of(name) == ""
    longest = max(
        comments(common) + comments(rules.inet(item)) + comments(rules.netdev(item)), key=len
    )
    assert len(longest) <= COMMENT_MAX


@pytest.mark.parametrize("name", ["a", "a-b", "from-x", "wrapped", "host", "in", "1.2"])
def test_an_overlay_may_have_any_name(name: str) -> None:
    item = guarded(overlay=name, sources=(), underlay=("eth0",))
    for content in (rules.inet(item), rules.netdev(item)):
        for owned in (*(c.name for c in content.chains), *(s.name for s in content.sets)):
            assert layout.owner_of(owned) == name


def test_a_wrapped_frame_is_looked_up_by_port_and_vnetid_together() -> None:
    punt, wrapped = elements(rules.inet(guarded(punt_ports=(789,))), layout.WRAPPED)
    assert (wrapped.key, wrapped.goto) == (bytes.fromhex("12b50000 00000700"), "wrapped-blue")
    assert (punt.key, punt.goto) == (bytes.fromhex("03150000 00000700"), layout.PUNTED)


def test_punts_are_known_by_their_ports() -> None:
    found = elements(rules.inet(guarded(punt_ports=(789, 790))), layout.TUNNELS)
    assert [element.key[:2] for element in found] == [b"\x03\x15", b"\x03\x16", b"\x12\xb5"]


def test_nothing_but_the_listen_address_is_judged_where_all_may_send() -> None:
    content = rules.inet(guarded())
    assert content.sets == ()
    assert "not to the listen address" in comments(content)
    assert "from an address outside of allow_from" not in comments(content)


@pytest.mark.parametrize(
    ("networks", "ends"),
    [
        (["192.0.2.0/24"], ["192.0.2.0", "192.0.3.0"]),
        (["192.0.2.0/25", "192.0.2.128/25"], ["192.0.2.0", "192.0.3.0"]),
        (["192.0.2.0/24", "192.0.2.7"], ["192.0.2.0", "192.0.3.0"]),
        (["255.255.255.0/24"], ["255.255.255.0"]),
        (["0.0.0.0/0"], ["0.0.0.0"]),
        (["2001:db8::/32"], []),
    ],
)
def test_networks_are_ranges_that_do_not_overlap(networks: list[str], ends: list[str]) -> None:
    content = rules.inet(guarded(sources=tuple(ip_network(n) for n in networks)))
    (made,) = content.sets
    assert (made.fields, made.is_interval) == ((Type.IPV4,), True)
    assert [str(ip_address(e.key)) for e in elements(content, "from-blue")] == ends


def test_single_addresses_are_a_set_without_ranges() -> None:
    listen, other = ip_address("2001:db8::1"), ip_address("2001:db8::2")
    content = rules.inet(guarded(listen_ip=listen, sources=frozenset([other])))
    (made,) = content.sets
    assert (made.fields, made.is_interval) == ((Type.IPV6,), False)
    assert [e.key for e in elements(content, "from-blue")] == [other.packed]


def test_interfaces_of_the_underlay_are_known_by_name() -> None:
    content = rules.inet(guarded(underlay=("eth0", "bond1.100")))
    assert {e.key.rstrip(b"\0") for e in elements(content, "underlay-blue")} == {
        b"eth0",
        b"bond1.100",
    }
    assert comments(content)[-1] == "not by an interface of vxlan/underlay"


def test_a_bridge_drops_what_is_for_the_host_unless_guests_may_speak_with_it() -> None:
    (closed,) = rules.netdev(guarded()).chains
    (opened,) = rules.netdev(guarded(host_access=True)).chains
    assert (closed.device, closed.policy) == ("blue", Verdict.DROP)
    assert (opened.device, opened.policy) == ("blue", Verdict.ACCEPT)
    assert set(comments(rules.netdev(guarded(host_access=True)))) == {
        "guests may not change the routes of this host"
    }
