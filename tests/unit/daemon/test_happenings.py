"""Records in words."""

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any

import pytest

from varpd.control.messages import EventInfo
from varpd.daemon.happenings import SHOWN, answer_text, infos, lost_info, of_mac
from varpd.daemon.records import Kind, Record
from varpd.engine.events import DEFERRED, Failed
from varpd.net.addresses import MacAddress
from varpd.provider.answers import DROP, PROXY_ARP, Drop, Neighbour, Replicate, Target

A = MacAddress(bytes.fromhex("020000000001"))
B = MacAddress(bytes.fromhex("020000000002"))
IP = IPv4Address("10.0.0.1")
HERE = Target(IPv4Address("192.0.2.1"), 4789)
THERE = Target(IPv4Address("192.0.2.2"), 4789)
EPOCH = 1_700_000_000.0


def record(kind: Kind, macs: Sequence[bytes] = (), detail: Any = None) -> Record:
    return Record(1, 0.5, kind, macs, len(macs), detail)


def told(kind: Kind, macs: Sequence[bytes] = (), detail: Any = None) -> list[EventInfo]:
    return list(infos("blue", record(kind, macs, detail), EPOCH))


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (THERE, "192.0.2.2:4789"),
        (DROP, "drop"),
        (Drop(2.5), "drop, for 2.5 s"),
        (PROXY_ARP, "the ARP proxy is to answer"),
        (Replicate.to(HERE, THERE), "copies to 192.0.2.1:4789, 192.0.2.2:4789"),
        (Replicate.to(), "copies to nobody"),
        (A, "02:00:00:00:00:01"),
        (Neighbour(A), "02:00:00:00:00:01"),
        (Neighbour(A, router=True), "02:00:00:00:00:01, a router"),
        (DEFERRED, "thinks about it"),
        (Failed("no file"), "failed: no file"),
    ],
)
def test_answers_in_words(answer: object, text: str) -> None:
    assert answer_text(answer) == text


def test_a_batch_of_answers_is_one_event_for_each_different_one() -> None:
    third = MacAddress(bytes.fromhex("020000000003"))
    found = told(Kind.ANSWERED, [A, B, third], [THERE, DROP, THERE])
    assert [(info.macs, info.target, info.text) for info in found] == [
        ((str(A), str(third)), str(THERE), "the plugin answered: 192.0.2.2:4789"),
        ((str(B),), None, "the plugin answered: drop"),
    ]
    assert {(info.overlay, info.time) for info in found} == {("blue", "2023-11-14T22:13:20.500Z")}


def test_who_has_an_address_is_an_event_for_each_address() -> None:
    found = told(Kind.NEIGHBOUR, (), [(IP, A), (IP + 1, DROP)])
    assert [(info.address, info.text) for info in found] == [
        ("10.0.0.1", "the plugin answered who has 10.0.0.1: 02:00:00:00:00:01"),
        ("10.0.0.2", "the plugin answered who has 10.0.0.2: drop"),
    ]


@pytest.mark.parametrize(
    ("kind", "detail", "text"),
    [
        (Kind.TARGET_SET, THERE, "the plugin says: 192.0.2.2:4789"),
        (Kind.ENTRY_SET, THERE, "the administrator says: 192.0.2.2:4789"),
        (Kind.ENTRY_SET, None, "the administrator says: drop"),
        (Kind.ROWS_WRITTEN, THERE, "rows to 192.0.2.2:4789 handed to the kernel"),
        (
            Kind.ROWS_WRITTEN,
            (HERE, THERE),
            "rows to 192.0.2.1:4789, 192.0.2.2:4789 handed to the kernel",
        ),
        (Kind.ROWS_REMOVED, "", "rows removed from the kernel"),
        (Kind.ROWS_REMOVED, (), "rows removed from the kernel"),
        (Kind.ROWS_REMOVED, "expired", "expired unused; rows removed from the kernel"),
        (Kind.ROWS_REFUSED, "Invalid argument", "the kernel refused rows: Invalid argument"),
        (Kind.DHCP, [A], "the plugin answered which is the DHCP server: 02:00:00:00:00:01"),
        (Kind.ENUMERATED, [THERE], "the plugin told beforehand: 192.0.2.2:4789"),
        (Kind.ANNOUNCED, IP, "the plugin has 10.0.0.1 announced"),
        (Kind.ADOPTED, [(THERE,)], "rows found in the kernel and kept: to 192.0.2.2:4789"),
        (
            Kind.TORN,
            [()],
            "rows found in the kernel that are not whole: to nowhere that can be told",
        ),
        (Kind.NOTE, "a thing", "a thing"),
    ],
)
def test_each_kind_in_words(kind: Kind, detail: Any, text: str) -> None:
    (info,) = told(kind, [A], detail)
    assert (info.text, info.macs, info.kind) == (text, (str(A),), kind.value)


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_words(kind: Kind) -> None:
    details = {Kind.ANSWERED: [DROP], Kind.DHCP: [DROP], Kind.ENUMERATED: [THERE]}
    details |= {Kind.ADOPTED: [(THERE,)], Kind.TORN: [()]}
    details |= {Kind.NEIGHBOUR: [(IP, A)], Kind.ROWS_WRITTEN: THERE}
    assert all(info.text for info in told(kind, [A], details.get(kind)))


def test_of_many_macs_the_first_are_named_and_the_others_counted() -> None:
    macs = [number.to_bytes(6, "big") for number in range(SHOWN + 4)]
    (info,) = infos("blue", Record(1, 0.0, Kind.LEARNED, macs, 1000, None), EPOCH)
    assert (len(info.macs), info.more) == (SHOWN, 1000 - SHOWN)


def test_what_was_lost_is_an_event_about_the_stream() -> None:
    info = lost_info(12, EPOCH)
    assert (info.overlay, info.kind, info.more) == (None, "lost", 12)
    assert info.text.startswith("12 events were lost")


def test_of_a_batch_only_what_concerns_a_mac_is_left() -> None:
    batch = record(Kind.ANSWERED, [A, B], [THERE, DROP])
    (left,) = of_mac([batch], B, [])
    assert (left.macs, left.detail) == ((B,), [DROP])


def test_what_concerns_the_whole_table_concerns_each_mac_and_other_macs_do_not() -> None:
    flush, other = record(Kind.FLUSHED), record(Kind.LEARNED, [B])
    mine = record(Kind.LEARNED, [A, B])
    found = of_mac([flush, other, mine], A, [])
    assert [(item.kind, item.macs) for item in found] == [(Kind.FLUSHED, ()), (Kind.LEARNED, (A,))]


def test_answers_about_addresses_concern_their_holder_and_who_asks_for_them() -> None:
    batch = record(Kind.NEIGHBOUR, (), [(IP, Neighbour(A)), (IP + 1, B), (IP + 2, DROP)])
    assert [item.detail for item in of_mac([batch], A, [IP + 2])] == [
        [(IP, Neighbour(A)), (IP + 2, DROP)]
    ]
    assert of_mac([batch], bytes(6), []) == []
