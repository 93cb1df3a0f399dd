"""The kernel's answers about one row."""

import errno
import struct
from ipaddress import IPv4Address

import pytest

from varpd.datapath.linux import netlink
from varpd.datapath.linux.lookups import flag_words, parse_answer
from varpd.datapath.linux.netlink import FdbRow

MAC = bytes.fromhex("020000000001")


def message(kind: int, body: bytes) -> bytes:
    return netlink.HEADER.pack(netlink.HEADER.size + len(body), kind, 0, 1, 0) + body


def error(number: int) -> bytes:
    return message(netlink.NLMSG_ERROR, netlink.ERROR.pack(-number) + bytes(16))


def row(state: int = 0, flags: int = 0) -> FdbRow:
    return FdbRow(5, state, flags, MAC, b"", None, 0, 0)


def test_a_row_is_read_with_its_ages() -> None:
    body = struct.pack("=BxxxiHBB", 7, 5, 0x42, netlink.NTF_SELF | netlink.NTF_STICKY, 0)
    body += netlink.attribute(netlink.NDA_LLADDR, MAC)
    body += netlink.attribute(netlink.NDA_DST, IPv4Address("192.0.2.2").packed)
    times = struct.pack("=IIII", 9, 3 * netlink.TICKS, 40 * netlink.TICKS, 0)
    body += netlink.attribute(netlink.NDA_CACHEINFO, times)
    found = parse_answer(message(netlink.RTM_NEWNEIGH, body))
    assert found is not None
    assert (found.row.mac, found.row.ifindex) == (MAC, 5)
    assert netlink.ip_of(found.row.destination) == IPv4Address("192.0.2.2")
    assert (found.used, found.updated) == (3.0, 40.0)


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENODEV, errno.EINVAL])
def test_what_is_not_there_is_nothing(number: int) -> None:
    assert parse_answer(error(number)) is None


def test_a_refusal_is_an_error() -> None:
    with pytest.raises(PermissionError):
        parse_answer(error(errno.EPERM))


@pytest.mark.parametrize(
    ("state", "flags", "words"),
    [
        (0x42, netlink.NTF_SELF | netlink.NTF_STICKY, ("static", "sticky")),
        (netlink.NUD_PERMANENT, netlink.NTF_MASTER, ("permanent",)),
        (0x02, 0x10, ("extern_learn",)),
        (0x02, 0, ()),
    ],
)
def test_flags_are_told_in_the_words_of_the_kernels_tools(
    state: int, flags: int, words: tuple[str, ...]
) -> None:
    assert flag_words(row(state, flags)) == words
