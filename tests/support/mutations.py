"""Bytes that somebody sends who means no good: frames and requests with something wrong in them.

The same seed always makes the same bytes.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Final

from support.scapy_oracle import (
    ARP,
    BOOTP,
    DHCP,
    IP,
    UDP,
    Dot1Q,
    Ether,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6NDOptUnknown,
    IPv6,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    Raw,
)

BROADCAST: Final = "ff:ff:ff:ff:ff:ff"
_ALL_NODES: Final = "33:33:00:00:00:01"
_LIMITS: Final = (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF)
_TAIL: Final = 64
_MOST: Final = 9000
"""Bytes of the largest frame: a jumbo frame."""


def frames(source: str, target: str) -> list[bytes]:
    """Return a good frame of each kind that varpd looks into, and of some that it does not.

    Args:
        source: the MAC that sends them.
        target: a MAC that frames to one may have.
    """
    client = bytes.fromhex(source.replace(":", ""))
    layers = [
        (BROADCAST, ARP(op=1, hwsrc=source, psrc="10.77.0.99", pdst="10.77.0.98")),
        (BROADCAST, ARP(op=2, hwsrc=source, psrc="10.77.0.99", pdst="10.77.0.99")),
        (
            _ALL_NODES,
            IPv6(src="fd00:77::99", dst="ff02::1", hlim=255)
            / ICMPv6ND_NS(tgt="fd00:77::98")
            / ICMPv6NDOptSrcLLAddr(lladdr=source)
            / ICMPv6NDOptUnknown(type=14, data=b"nonce!"),
        ),
        (
            _ALL_NODES,
            IPv6(src="fd00:77::99", dst="ff02::1", hlim=255)
            / ICMPv6ND_NA(tgt="fd00:77::99", O=1)
            / ICMPv6NDOptDstLLAddr(lladdr=source),
        ),
        (_ALL_NODES, IPv6(src="fe80::99", dst="ff02::1", hlim=255) / ICMPv6ND_RA()),
        (
            BROADCAST,
            IP(src="0.0.0.0", dst="255.255.255.255")
            / UDP(sport=68, dport=67)
            / BOOTP(chaddr=client, flags=0x8000)
            / DHCP(options=[("message-type", "discover"), "end"]),
        ),
        (target, IP(src="10.77.0.99", dst="10.77.0.98") / UDP(sport=7, dport=7) / Raw(b"x" * 64)),
        (
            target,
            IPv6(src="fd00:77::99", dst="fd00:77::98")
            / IPv6ExtHdrHopByHop()
            / IPv6ExtHdrFragment(m=1)
            / UDP(sport=7, dport=7)
            / Raw(b"x" * 64),
        ),
        (target, Dot1Q(vlan=5) / IP(src="10.77.0.99", dst="10.77.0.98") / UDP()),
        (BROADCAST, Dot1Q(vlan=5) / ARP(op=1, hwsrc=source, psrc="10.77.0.99")),
    ]
    return [bytes(Ether(src=source, dst=to) / layer) for to, layer in layers]


def mutated(originals: Sequence[bytes], count: int, seed: int, keep: int = 0) -> Iterator[bytes]:
    """Yield `count` variants of `originals`.

    Args:
        originals: what they are made of.
        count: how many.
        seed: of the random numbers.
        keep: how many bytes in front stay as they are.
    """
    numbers = random.Random(seed)
    for _ in range(count):
        whole = numbers.choice(originals)
        data = bytearray(whole[keep:])
        for _ in range(numbers.randint(1, 3)):
            _mutate(data, numbers, originals)
        yield (whole[:keep] + bytes(data))[:_MOST]


def _mutate(data: bytearray, numbers: random.Random, originals: Sequence[bytes]) -> None:
    at = numbers.randrange(len(data) + 1)
    match numbers.randrange(7):
        case 0 if at < len(data):
            data[at] ^= 1 << numbers.randrange(8)
        case 1 if at < len(data):
            data[at] = numbers.choice(_LIMITS)
        case 2:
            del data[at:]
        case 3:
            del data[at : at + numbers.randint(1, 8)]
        case 4:
            data[at:at] = numbers.randbytes(numbers.randint(1, 16))
        case 5:
            data += numbers.randbytes(numbers.choice((1, _TAIL, _MOST)))
        case _:
            data[at:] = numbers.choice(originals)[at:]
