"""The internet checksum (RFC 1071) and the pseudo-headers that transport protocols put under it.

IPv4 pseudo-header (RFC 768):

 0               1               2               3
+---------------------------------------------------------------+
|                        source address                         |
+---------------------------------------------------------------+
|                      destination address                      |
+---------------+---------------+-------------------------------+
|     zero      |   protocol    |            length             |
+---------------+---------------+-------------------------------+

IPv6 pseudo-header (RFC 8200, section 8.1):

 0               1               2               3
+---------------------------------------------------------------+
|                   source address (16 bytes)                   |
+---------------------------------------------------------------+
|                destination address (16 bytes)                 |
+---------------------------------------------------------------+
|                            length                             |
+-----------------------------------------------+---------------+
|                     zero                      |  next header  |
+-----------------------------------------------+---------------+
"""

import struct
from ipaddress import IPv4Address

from varpd.net.addresses import IpAddress
from varpd.net.fields import UINT16_MAX

_PSEUDO_IPV4 = struct.Struct("!4s4sxBH")
_PSEUDO_IPV6 = struct.Struct("!16s16sI3xB")


def internet_checksum(data: bytes | bytearray) -> int:
    """Return the 16-bit checksum of `data`, an odd last byte padded with a zero.

    Over data in which a right checksum is already in its place the result is 0.
    """
    # The ones' complement sum of 16-bit words is their value modulo 0xffff, where 0 is written
    # 0xffff unless every word is 0: so one division in C does the work of a loop.
    number = int.from_bytes(data, "big") << 8 * (len(data) & 1)
    total = number % UINT16_MAX
    if total == 0 and number != 0:
        total = UINT16_MAX
    return total ^ UINT16_MAX


def pseudo_header(src: IpAddress, dst: IpAddress, protocol: int, length: int) -> bytes:
    """Return what stands in front of a transport message of `length` bytes to be summed with it.

    Raises:
        ValueError: the addresses are of different families.
    """
    if src.version != dst.version:
        raise ValueError(f"addresses of different families: {src} and {dst}")
    if isinstance(src, IPv4Address):
        return _PSEUDO_IPV4.pack(src.packed, dst.packed, protocol, length)
    return _PSEUDO_IPV6.pack(src.packed, dst.packed, length, protocol)
