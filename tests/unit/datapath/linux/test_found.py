"""Rows of an earlier daemon, told apart."""

from support.linux_host import target
from varpd.datapath.linux import found, netlink
from varpd.datapath.linux.found import Found
from varpd.datapath.linux.netlink import FdbRow
from varpd.engine.settings import Mode
from varpd.net.addresses import ZERO, parse_ip

DEVICE, BRIDGE, LISTEN_PORT = 7, 3, 4789
ONE, TWO = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"
GROUP = b"\1\0\x5e\0\0\5"
A, B = "198.51.100.1", "198.51.100.2"


def own(mac: bytes, ip: str, port: int | None = None) -> FdbRow:
    return FdbRow(DEVICE, 0x42, netlink.NTF_SELF, mac, parse_ip(ip).packed, port, 0, 0)


def of_bridge(
    mac: bytes, state: int = netlink.NUD_NOARP, flags: int = netlink.NTF_STICKY, vlan: int = 0
) -> FdbRow:
    return FdbRow(DEVICE, state, flags, mac, b"", None, BRIDGE, vlan)


def sort(*rows: FdbRow, mode: Mode = Mode.DYNAMIC) -> Found:
    return found.sort(rows, LISTEN_PORT, mode)


def test_both_rows_make_one_that_is_whole() -> None:
    told = sort(of_bridge(ONE), own(ONE, A), own(TWO, B, 99), of_bridge(TWO))
    assert told.rows == [(ONE, (target(A),)), (TWO, (target(B, 99),))]
    assert told.torn == []


def test_the_default_row_and_the_port_itself_are_told_apart() -> None:
    told = sort(
        own(ZERO, "127.86.0.1", 789),
        own(ZERO, "127.86.0.2", 789),
        of_bridge(ONE, netlink.NUD_PERMANENT, 0),
    )
    assert told == Found([], [], [target("127.86.0.1", 789), target("127.86.0.2", 789)])


def test_a_row_of_the_device_alone_is_torn_but_says_where_it_leads() -> None:
    assert sort(own(ONE, A)).torn == [(ONE, (target(A),))]


def test_a_row_of_the_bridge_alone_says_nothing() -> None:
    assert sort(of_bridge(ONE)).torn == [(ONE, ())]


def test_a_row_that_guests_can_draw_away_is_torn() -> None:
    for loose in (of_bridge(ONE, flags=0), of_bridge(ONE, 0x02), of_bridge(ONE, vlan=5)):
        assert sort(loose, own(ONE, A)).torn == [(ONE, (target(A),))]


def test_of_several_targets_of_one_mac_none_is_meant() -> None:
    assert sort(of_bridge(ONE), own(ONE, A), own(ONE, B)).torn == [(ONE, ())]


def test_a_group_has_rows_in_the_device_alone() -> None:
    assert sort(own(GROUP, A), own(GROUP, B)).rows == [(GROUP, (target(A), target(B)))]


def test_what_the_bridge_of_a_point_overlay_has_learned_is_left_alone() -> None:
    told = sort(of_bridge(ONE, 0x02, 0), own(ZERO, A), own(TWO, A), mode=Mode.POINT)
    assert told == Found([], [(TWO, (target(A),))], [target(A)])


def test_rows_are_told_in_slices() -> None:
    rows: list[found.Meant] = [
        (number.to_bytes(6, "big"), (target(A),)) for number in range(found.SLICE + 1)
    ]
    events = list(Found(rows, [(ONE, ())], []).events("blue"))
    assert [len(event.rows) for event in events] == [found.SLICE, 1, 0]
    assert [event.torn for event in events] == [[], [], [(ONE, ())]]
    assert {event.overlay for event in events} == {"blue"}
