"""The administrator's entries as they are written, and tables as they are shown."""

import asyncio
from ipaddress import IPv4Address, IPv6Address
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varpd.control.messages import ControlError, ErrorCode
from varpd.daemon import entries
from varpd.engine.engine import EntryView
from varpd.provider.answers import Target
from varpd.provider.kinds import DestinationKind

KINDS: Final = DestinationKind.IP | DestinationKind.PORT
V4: Final = Target(ip=IPv4Address("192.0.2.1"), port=4789)
V6: Final = Target(ip=IPv6Address("2001:db8::1"), port=4789)


def refused(text: str, kinds: DestinationKind = KINDS, family: int | None = None) -> ControlError:
    with pytest.raises(ControlError) as caught:
        entries.parse_target(text, kinds, family)
    assert caught.value.code is ErrorCode.INVALID
    assert caught.value.field == "target"
    return caught.value


@pytest.mark.parametrize(
    ("text", "target"), [("192.0.2.1:4789", V4), ("[2001:db8::1]:4789", V6), ("drop", None)]
)
def test_a_target_is_an_address_and_a_port_or_drop(text: str, target: Target | None) -> None:
    assert entries.parse_target(text, KINDS, None) == target


@pytest.mark.parametrize(
    ("text", "address"), [("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::1")]
)
def test_an_encapsulation_without_ports_takes_a_bare_address(text: str, address: str) -> None:
    target = entries.parse_target(text, DestinationKind.IP, None)
    assert target is not None
    assert str(target) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nowhere",
        "192.0.2.1",
        "192.0.2.1:",
        "192.0.2.1:0",
        "192.0.2.1:65536",
        "192.0.2.1:+5",
        "2001:db8::1:4789",
        "[2001:db8::1]",
        "[2001:db8::1]4789",
        "[192.0.2.1]:4789",
        "[2001:db8::1:4789",
        "127.0.0.1:4789",
        "224.0.0.1:4789",
        "DROP",
    ],
)
def test_what_is_no_target_is_refused(text: str) -> None:
    refused(text)


def test_a_refusal_shows_how_a_target_is_written() -> None:
    assert "IP:PORT or [IPV6]:PORT" in refused("nowhere").message
    assert "an IP address" in refused("nowhere", DestinationKind.IP).message


def test_a_target_of_the_other_family_is_refused() -> None:
    assert "IPv6" in refused("192.0.2.1:4789", family=6).message


@given(st.text(max_size=30))
def test_any_text_is_a_target_or_refused(text: str) -> None:
    try:
        target = entries.parse_target(text, KINDS, None)
    except ControlError:
        return
    assert target is None or target.port is not None


def test_a_mac_is_written_with_or_without_leading_zeros() -> None:
    assert entries.parse_mac("2:0:0:0:0:a") == bytes.fromhex("02000000000a")


@pytest.mark.parametrize(
    "text", ["", "02:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "0:0:0:0:0:0"]
)
def test_a_mac_that_is_not_one_guests_is_refused(text: str) -> None:
    with pytest.raises(ControlError) as caught:
        entries.parse_mac(text)
    assert caught.value.field == "mac"


def test_a_point_overlay_has_one_row_for_everything() -> None:
    (row,) = entries.point("blue", V4)
    assert (row.overlay, row.mac, row.ip, row.port) == ("blue", None, "192.0.2.1", 4789)
    assert (row.state, row.origin, row.age_s) == ("valid", "plugin", None)


async def test_a_table_has_a_row_for_each_target_in_the_order_of_the_macs() -> None:
    first, second, group = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2", b"\1\0\x5e\0\0\7"
    rows = await entries.table(
        "blue",
        [
            EntryView(second, (), "pending", "plugin", None),
            EntryView(first, (V6,), "valid", "administrator", 90.0),
            EntryView(group, (V4, V6), "valid", "plugin", 100.0),
        ],
        now=100.5,
    )
    assert [(row.mac, row.ip) for row in rows] == [
        ("01:00:5e:00:00:07", "192.0.2.1"),
        ("01:00:5e:00:00:07", "2001:db8::1"),
        ("02:00:00:00:00:01", "2001:db8::1"),
        ("02:00:00:00:00:02", None),
    ]
    assert [row.age_s for row in rows] == [0.5, 0.5, 10.5, None]
    assert rows[2].origin == "administrator"
    assert rows[3].state == "pending"


async def test_other_work_has_its_turn_while_a_long_table_is_made() -> None:
    macs = [bytes((2, 0, 0, *number.to_bytes(3, "big"))) for number in range(5 * entries.SLICE)]
    views = [EntryView(mac, (V4,), "valid", "plugin", 0.0) for mac in reversed(macs)]
    turns = 0

    async def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        other = group.create_task(work())
        rows = await entries.table("blue", iter(views), now=0.0)
        other.cancel()
    assert [row.mac for row in rows] == [mac.hex(":") for mac in macs]
    assert turns >= 10
