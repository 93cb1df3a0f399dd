"""Whatever bytes come in the place of the kernel's messages, each decoder passes them over.

The kernel sends none like these; a newer one, or a module of somebody else's, might.
"""

import errno
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from varpd.datapath.linux import lookups, netlink, rows, verdicts
from varpd.datapath.linux.drift_monitor import DriftMonitor
from varpd.datapath.linux.guard import watch
from varpd.datapath.linux.netlink import FdbRow
from varpd.datapath.linux.nft import reading, wire

ROUTE_KINDS: Final = (
    *(netlink.NLMSG_ERROR, netlink.NLMSG_DONE, netlink.RTM_NEWLINK, netlink.RTM_DELLINK),
    *(netlink.RTM_NEWADDR, netlink.RTM_DELADDR, netlink.RTM_NEWNEIGH, netlink.RTM_DELNEIGH),
)
KINDS: Final = (*ROUTE_KINDS, *(wire.SUBSYSTEM << 8 | kind for kind in wire.Kind))

LOOPBACK, BRIDGE, DEVICE = 1, 2, 3
"""Indices of links; they come often, so that the decoders get on to what follows."""


def tree(depth: int) -> st.SearchStrategy[bytes]:
    """Return attributes as they should be, though none need have the size that belongs to it."""
    values: st.SearchStrategy[bytes] = st.sampled_from((0, 1, 2, 4, 6, 8, 16)).flatmap(
        lambda size: st.binary(min_size=size, max_size=size)
    ) | st.sampled_from((b"varpd\0", b"counter\0", b"lookup\0", b"immediate\0"))
    if depth:
        values = values | tree(depth - 1)
    return st.lists(st.builds(netlink.attribute, st.integers(0, 13), values), max_size=4).map(
        b"".join
    )


bodies = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda family, index, rest: bytes((family, 0, 0, 0, index, 0, 0, 0)) + rest,
        st.sampled_from((0, 1, 2, 5, 7, 10)),
        st.sampled_from((0, LOOPBACK, BRIDGE, DEVICE)),
        st.builds(bytes.__add__, st.sampled_from((b"", bytes(4), bytes(8))), tree(3)),
    ),
    st.builds(lambda version, rest: b"\1\0\0\0" + rest, st.just(0), tree(3)),
)
messages = st.builds(
    lambda kind, flags, lie, body: (
        netlink.HEADER.pack(max(0, netlink.HEADER.size + len(body) + lie), kind, flags, 1, 0) + body
    ),
    st.sampled_from(KINDS),
    st.sampled_from((0, netlink.NLM_F_DUMP_INTR, 0x300)),
    st.sampled_from((0, 0, 0, -20, -3, 1, 500)),
    bodies,
)
datagrams = st.one_of(
    st.binary(max_size=200),
    st.lists(messages, max_size=3).map(b"".join),
    st.builds(lambda data, end: data[:end], messages, st.integers(0, 60)),
)


def each(decode: Callable[[bytes, netlink.Message], Any]) -> Callable[[bytes], list[Any]]:
    """Return what decodes all messages of a datagram."""
    return lambda data: [decode(data, message) for message in netlink.messages(data)]


def row(data: bytes, message: netlink.Message) -> FdbRow | None:
    """Read a row, and use it as those do who asked for it."""
    found = netlink.parse_fdb_row(data, message)
    if found is not None:
        assert len(found.mac) == 6
        table = rows.Table(DEVICE)
        verdicts.found(table, found, found)
    return found


def answer(data: bytes) -> object:
    """Read an answer; a refusal is one."""
    try:
        return lookups.parse_answer(data)
    except OSError as error:
        return error


def rule_set(data: bytes, message: netlink.Message) -> list[object]:
    """Read a message of nftables as each kind of object."""
    found = wire.attributes_of(data, message)
    family = wire.family_of(data, message)
    return [
        reading.table(family, found),
        reading.chain(family, found),
        reading.counted(reading.rule(found)),
        reading.named_set(found),
        list(reading.elements(found)),
    ]


class Ear:
    """Hears what a drift monitor tells."""

    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *_: None


def told(data: bytes) -> None:
    """Have a drift monitor take in a datagram."""
    monitor = DriftMonitor(Ear())
    monitor.watch("blue", BRIDGE, DEVICE, [])
    for message in netlink.messages(data):
        monitor.take(data, message)
    monitor.tell()


DECODERS: Final[dict[str, Callable[[bytes], object]]] = {
    "rows": each(row),
    "ages": each(netlink.row_ages),
    "addresses": each(netlink.parse_address),
    "ports": each(netlink.parse_port),
    "forwards": each(netlink.port_forwards),
    "errors": each(netlink.error_of),
    "replies": lambda data: list(rows.parse_replies(data)),
    "answers": answer,
    "rule sets": each(rule_set),
    "changes of rule sets": lambda data: watch.parse(data, 77),
    "drift": told,
}


@pytest.mark.parametrize("name", DECODERS)
@given(data=datagrams)
@example(data=netlink.HEADER.pack(16, netlink.RTM_NEWNEIGH, 0, 0, 0))
@example(data=netlink.HEADER.pack(16, netlink.RTM_NEWLINK, 0, 0, 0))
@example(data=netlink.HEADER.pack(20, netlink.NLMSG_ERROR, 0, 0, 0) + bytes(2))
def test_noise_is_passed_over(name: str, data: bytes) -> None:
    DECODERS[name](data)


def test_an_attribute_that_says_it_is_longer_than_the_message_ends_the_reading() -> None:
    good = netlink.attribute(netlink.NDA_LLADDR, bytes(6))
    lying = netlink.ATTRIBUTE.pack(90, netlink.NDA_DST) + bytes(4)
    assert netlink.attributes(good + lying + bytes(90), 0, len(good + lying)) == {
        netlink.NDA_LLADDR: bytes(6)
    }


def test_a_refusal_among_noise_is_still_one() -> None:
    refusal = netlink.HEADER.pack(20, netlink.NLMSG_ERROR, 0, 1, 0) + netlink.ERROR.pack(
        -errno.EPERM
    )
    assert isinstance(answer(refusal + bytes(7)), PermissionError)
