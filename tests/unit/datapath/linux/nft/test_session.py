"""What the kernel says to batches and dumps, told by a socket that is none."""

import errno
import socket
import struct
from collections.abc import Callable

import pytest

from varpd.datapath.linux import netlink
from varpd.datapath.linux.nft import objects, wire
from varpd.datapath.linux.nft.objects import Table
from varpd.datapath.linux.nft.session import Session
from varpd.datapath.linux.nft.wire import Family, Kind

TABLE = Table(Family.INET, "varpd")
PORT = 4711


def message(kind: int, sequence: int, body: bytes, flags: int = 0) -> bytes:
    return netlink.HEADER.pack(netlink.HEADER.size + len(body), kind, flags, sequence, PORT) + body


def answer(sequence: int, number: int = 0) -> bytes:
    return message(netlink.NLMSG_ERROR, sequence, struct.pack("=i", -number) + bytes(16))


class FakeSocket:
    """Answers each datagram as a test says."""

    answers: Callable[[list[netlink.Message]], list[bytes]]

    def __init__(self, *_: object) -> None:
        self.waiting: list[bytes] = []
        self.closed = False

    def setsockopt(self, *_: object) -> None:
        """Take any option."""

    def settimeout(self, _: float) -> None:
        """Never wait."""

    def setblocking(self, _: bool) -> None:
        """Never wait."""

    def bind(self, _: object) -> None:
        """Have a port."""

    def connect(self, peer: tuple[int, int]) -> None:
        """Hear nobody but the kernel."""
        assert peer == (0, 0)

    def getsockname(self) -> tuple[int, int]:
        return (PORT, 0)

    def sendall(self, data: bytes) -> None:
        self.waiting += FakeSocket.answers(list(netlink.messages(data)))

    def recv(self, _: int) -> bytes:
        if not self.waiting:
            raise BlockingIOError
        return self.waiting.pop(0)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def speaking(monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr(socket, "socket", FakeSocket)
    return Session()


def last_acknowledged(found: list[netlink.Message]) -> list[bytes]:
    return [answer(found[-2].sequence)]


def test_a_change_is_done_when_the_last_message_is_acknowledged(speaking: Session) -> None:
    FakeSocket.answers = staticmethod(last_acknowledged)
    speaking.change([objects.new_table(TABLE), objects.delete_table(TABLE)])
    speaking.change([objects.new_table(TABLE)])
    assert speaking.port == PORT


def test_nothing_to_change_is_not_sent(speaking: Session) -> None:
    FakeSocket.answers = staticmethod(lambda found: pytest.fail("sent"))
    speaking.change([])


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOENT])
def test_a_refusal_says_which_message(speaking: Session, number: int) -> None:
    FakeSocket.answers = staticmethod(
        lambda found: [answer(found[2].sequence, number), answer(found[3].sequence, number)]
    )
    changes = [
        objects.new_table(TABLE),
        objects.flush_chain(TABLE, "c"),
        objects.delete_table(TABLE),
    ]
    with pytest.raises(OSError, match="DELRULE") as caught:
        speaking.change(changes)
    assert caught.value.errno == number
    # What was left to be read of it is no answer to the next.
    FakeSocket.answers = staticmethod(last_acknowledged)
    speaking.change(changes)


def test_a_batch_may_be_refused_as_a_whole(speaking: Session) -> None:
    FakeSocket.answers = staticmethod(lambda found: [answer(0, errno.EPERM)])
    with pytest.raises(PermissionError, match="batch"):
        speaking.change([objects.new_table(TABLE)])


def table(sequence: int, name: str, flags: int = 0) -> bytes:
    body = bytes([Family.INET, 0, 0, 0]) + netlink.attribute(1, wire.text(name))
    return message(0x0A00, sequence, body, flags)


def test_a_dump_is_read_to_its_end(speaking: Session) -> None:
    def dumped(found: list[netlink.Message]) -> list[bytes]:
        sequence = found[0].sequence
        done = message(netlink.NLMSG_DONE, sequence, bytes(4))
        return [table(sequence, "one") + table(999, "of others"), table(sequence, "two") + done]

    FakeSocket.answers = staticmethod(dumped)
    names = [wire.parse_text(item[1]) for _, item in speaking.dump(Kind.GETTABLE, Family.INET)]
    assert names == ["one", "two"]


def test_a_dump_that_was_disturbed_is_none(speaking: Session) -> None:
    def dumped(found: list[netlink.Message]) -> list[bytes]:
        sequence = found[0].sequence
        done = message(netlink.NLMSG_DONE, sequence, bytes(4))
        return [table(sequence, "one", netlink.NLM_F_DUMP_INTR) + done]

    FakeSocket.answers = staticmethod(dumped)
    with pytest.raises(InterruptedError):
        speaking.dump(Kind.GETTABLE, Family.INET)


def test_a_chain_is_there_or_not(speaking: Session) -> None:
    for number, there in ((0, True), (errno.ENOENT, False)):
        FakeSocket.answers = staticmethod(lambda found, n=number: [answer(found[0].sequence, n)])
        assert speaking.has_chain(TABLE, "input") is there
    FakeSocket.answers = staticmethod(lambda found: [answer(found[0].sequence, errno.EPERM)])
    with pytest.raises(PermissionError):
        speaking.has_chain(TABLE, "input")


def test_a_dump_may_be_refused(speaking: Session) -> None:
    FakeSocket.answers = staticmethod(lambda found: [answer(found[0].sequence, errno.EPERM)])
    with pytest.raises(PermissionError):
        speaking.dump(Kind.GETTABLE, Family.INET)


def test_no_socket_is_left_when_it_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[FakeSocket] = []

    class Unusable(FakeSocket):
        def __init__(self, *rest: object) -> None:
            super().__init__(*rest)
            made.append(self)

        def bind(self, _: object) -> None:
            raise OSError(errno.EPROTONOSUPPORT, "no nftables")

    monkeypatch.setattr(socket, "socket", Unusable)
    with pytest.raises(OSError, match="no nftables"):
        Session()
    assert made[0].closed
