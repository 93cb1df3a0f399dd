"""Files of captured packets, as scapy and tcpdump read them."""

import contextlib
import io
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varpd.net import pcapng
from varpd.net.decode import DecodeError
from varpd.net.pcapng import COMMENT_MAX, Packet, Splitter, Statistics

FRAME = bytes.fromhex("ffffffffffff0200000000010806") + bytes.fromhex(
    "0001080006040001020000000001c6336401000000000000c6336402"
)
PACKETS = [
    Packet(0, 1_700_000_000_123_456_789, FRAME, len(FRAME)),
    Packet(1, 1_700_000_001_000_000_001, FRAME[:30], len(FRAME), "to 192.0.2.1:4789"),
]
FILE = (
    pcapng.section("varpd")
    + pcapng.interface("blue:punted", "no row", 65535)
    + pcapng.interface("blue:resent", "sent on", 65535)
    + b"".join(packet.serialize() for packet in PACKETS)
    + pcapng.statistics(0, PACKETS[1].time, 5, 4)
)


def test_scapy_reads_it() -> None:
    from scapy.utils import PcapNgReader

    found: list[Any] = list(PcapNgReader(io.BytesIO(FILE)))  # type: ignore[arg-type]
    assert [bytes(packet) for packet in found] == [packet.data for packet in PACKETS]
    assert [int(packet.time * 10**9) for packet in found] == [packet.time for packet in PACKETS]
    assert [packet.wirelen for packet in found] == [len(FRAME), len(FRAME)]
    assert [packet.sniffed_on for packet in found] == ["blue:punted", "blue:resent"]
    assert found[1].comments == [b"to 192.0.2.1:4789"]


def test_tcpdump_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "capture"
    file.write_bytes(FILE)
    done = subprocess.run(
        ["tcpdump", "-n", "-tt", "-r", str(file)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    first, second = done.stdout.splitlines()
    assert first.startswith("1700000000.123456")
    assert "who-has 198.51.100.2 tell 198.51.100.1" in first
    assert second.startswith("1700000001.000000")


def test_every_block_is_whole_words_and_says_its_length_twice() -> None:
    blocks = Splitter().feed(FILE)
    assert b"".join(blocks) == FILE
    for block in blocks:
        assert len(block) % 4 == 0
        assert block[4:8] == block[-4:] == len(block).to_bytes(4, "big")


def test_what_was_written_is_read_again() -> None:
    found = [pcapng.parse(block) for block in Splitter().feed(FILE)]
    assert found == [None, None, None, *PACKETS, Statistics(0, 5, 4)]


@given(st.lists(st.integers(1, 40), max_size=40))
def test_blocks_are_found_whatever_the_pieces_are(sizes: list[int]) -> None:
    splitter, blocks, rest = Splitter(), [], FILE
    for size in [*sizes, len(FILE)]:
        blocks += splitter.feed(rest[:size])
        rest = rest[size:]
    assert b"".join(blocks) == FILE


@given(
    st.builds(
        Packet,
        interface=st.integers(0, 2**32 - 1),
        time=st.integers(0, 2**64 - 1),
        data=st.binary(max_size=100),
        length=st.integers(0, 2**32 - 1),
        comment=st.text(max_size=20),
    )
)
def test_any_packet_is_read_as_it_was_written(packet: Packet) -> None:
    assert pcapng.parse(packet.serialize()) in (packet, _with_replaced(packet))


def _with_replaced(packet: Packet) -> Packet:
    """Return the packet with what UTF-8 cannot hold replaced."""
    text = packet.comment.encode("utf-8", "replace").decode()
    return Packet(packet.interface, packet.time, packet.data, packet.length, text)


@given(cut=st.integers(0, len(FILE)), tail=st.binary(max_size=40))
def test_any_bytes_are_blocks_or_raise_decode_error(cut: int, tail: bytes) -> None:
    with contextlib.suppress(DecodeError):
        for block in Splitter().feed(FILE[:cut] + tail):
            pcapng.parse(block)


@given(st.binary(min_size=12, max_size=60))
def test_a_broken_block_raises_nothing_else(body: bytes) -> None:
    for kind in (5, 6):
        with contextlib.suppress(DecodeError):
            pcapng.parse(kind.to_bytes(4, "big") + (len(body) + 12).to_bytes(4, "big") + body)


@pytest.mark.parametrize("length", [0, 11, 13, 1 << 30])
def test_a_length_that_no_block_has_is_refused(length: int) -> None:
    with pytest.raises(DecodeError):
        Splitter().feed(b"\0\0\0\6" + length.to_bytes(4, "big") + bytes(8))


def test_a_long_comment_is_cut_between_characters() -> None:
    packet = Packet(0, 0, b"", 0, "\u00e4" * COMMENT_MAX)
    found = pcapng.parse(packet.serialize())
    assert isinstance(found, Packet)
    assert found.comment == "\u00e4" * (COMMENT_MAX // 2)
