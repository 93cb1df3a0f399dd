"""The server's file: what it says, and what is wrong with it."""

import contextlib
import json
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varpd.net.addresses import MacAddress
from varpd.plugins.svp.log_messages import Vl2Record, Vl3Record
from varpd.plugins.svp.server.content import (
    Content,
    ContentError,
    Owner,
    Place,
    differences,
    parse,
)

WEB, DB = "02:00:5e:00:00:01", "02:00:5e:00:00:02"
WEB_MAC, DB_MAC = MacAddress.parse(WEB), MacAddress.parse(DB)
ONE, TWO = ip_address("192.0.2.1"), ip_address("2001:db8::2")
FOUR, SIX = ip_address("10.0.0.1"), ip_address("fd00::1")


def file(mappings: dict[str, Any], **hosts: str) -> bytes:
    return json.dumps({"hosts": hosts, "overlays": {"7": mappings}}).encode()


def test_a_file_says_who_is_where() -> None:
    found = parse(
        file(
            {
                WEB: {"ip": "192.0.2.1", "port": 4790, "arp": "10.0.0.1", "ndp": ["fd00::1"]},
                DB: {"ip": "2001:db8::2", "router": True, "vlan": 5, "arp": ["10.0.0.2"]},
            },
            one="192.0.2.1",
            two="2001:db8::2",
        )
    )
    assert found == Content(
        frozenset({ONE, TWO}),
        {(7, WEB_MAC): Place(ONE, 4790), (7, DB_MAC): Place(TWO, 4789)},
        {
            (7, FOUR): Owner(WEB_MAC),
            (7, SIX): Owner(WEB_MAC),
            (7, ip_address("10.0.0.2")): Owner(DB_MAC, 5),
        },
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "truncated"),
        (b"[]", "array"),
        (b'{"overlays": {}, "servers": {}}', "servers"),
        (file({WEB: {"ip": "192.0.2.1", "prot": 1}}), "prot"),
        (file({WEB: {"port": 4789}}), "ip"),
        (b'{"overlays": {"-1": {}}}', "overlays, -1: no virtual network identifier"),
        (b'{"overlays": {"4294967296": {}}}', "4294967296"),
        (file({"01:00:5e:00:00:01": {"ip": "192.0.2.1"}}), "overlay 7, 01:00:5e:00:00:01: no MAC"),
        (file({"web": {"ip": "192.0.2.1"}}), "overlay 7, web"),
        (file({WEB: {"ip": "192.0.2"}}), f"overlay 7, {WEB}, ip"),
        (file({WEB: {"ip": "224.0.0.1"}}), "224.0.0.1 is no address of a host"),
        (file({WEB: {"ip": "fe80::1%eth0"}}), "not a plain"),
        (file({WEB: {"ip": "192.0.2.1", "port": 0}}), "port: 0 is not from 1"),
        (file({WEB: {"ip": "192.0.2.1", "vlan": 4095}}), "vlan: 4095"),
        (file({WEB: {"ip": "192.0.2.1", "arp": "fd00::1"}}), "arp: fd00::1 is not IPv4"),
        (
            file(
                {
                    WEB: {"ip": "192.0.2.1", "arp": "10.0.0.1"},
                    DB: {"ip": "192.0.2.1", "arp": "10.0.0.1"},
                }
            ),
            f"overlay 7, {DB}: {WEB} has 10.0.0.1, too",
        ),
        (
            file({WEB: {"ip": "192.0.2.1"}, "2:0:5e:0:0:1": {"ip": "192.0.2.1"}}),
            "it is there twice",
        ),
        (file({}, one="nowhere"), "hosts, one"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(data: bytes, words: str) -> None:
    with pytest.raises(ContentError) as caught:
        parse(data)
    assert words in str(caught.value)


@given(st.binary(max_size=100))
def test_any_bytes_are_content_or_refused(data: bytes) -> None:
    with contextlib.suppress(ContentError):
        parse(data)


def records(old: bytes, new: bytes) -> set[tuple[str, object]]:
    """Return what hosts hear of, without the ids."""
    found: set[tuple[str, object]] = set()
    for each in differences(parse(old), parse(new)):
        match each:
            case Vl2Record(mac=mac, vnetid=7):
                found.add(("mac", mac))
            case Vl3Record(ip=ip, vlan=vlan, vnetid=7):
                found.add(("address", (ip, vlan)))
            case _:
                raise AssertionError(each)
    return found


def test_hosts_hear_of_what_moved_and_of_nothing_else() -> None:
    before = {WEB: {"ip": "192.0.2.1", "arp": "10.0.0.1"}, DB: {"ip": "192.0.2.1"}}
    moved = {WEB: {"ip": "192.0.2.2", "arp": "10.0.0.1"}, DB: {"ip": "192.0.2.1"}}
    assert records(file(before), file(moved)) == {("mac", WEB_MAC)}
    assert records(file(before), file(before)) == set()


def test_hosts_hear_of_addresses_that_others_have_now_or_nobody() -> None:
    before = {WEB: {"ip": "192.0.2.1", "arp": "10.0.0.1"}, DB: {"ip": "192.0.2.1"}}
    given_away = {
        WEB: {"ip": "192.0.2.1"},
        DB: {"ip": "192.0.2.1", "arp": "10.0.0.1", "vlan": 5},
    }
    assert records(file(before), file(given_away)) == {("address", (FOUR, 5))}
    gone = {DB: {"ip": "192.0.2.1"}}
    assert records(file(before), file(gone)) == {("mac", WEB_MAC), ("address", (FOUR, 0))}
    # Nobody can know what was not there.
    assert records(file(gone), file(before)) == {("address", (FOUR, 0))}
