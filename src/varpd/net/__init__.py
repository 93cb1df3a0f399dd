"""Packet codecs: bytes to messages and back, and nothing else.

One module a protocol, used by its name: `arp.Packet`, `ipv6.Packet`, `udp.Datagram`.

- A message is a frozen dataclass. One that exists is valid: its constructor raises `ValueError`
  for what the wire could not carry.
- `parse(bytes)` gives a message or raises `DecodeError`, whatever the bytes are: the one error,
  and no other. Its `reason` is a fixed word to count dropped packets by. `serialize()` gives the
  bytes, and parsing those gives an equal message.
- Every length field is held against the data that is there. Data behind the message is passed
  over, since a short Ethernet frame is padded; so the layers are read from the outside in, each
  from the payload of the one before, which ends where its header says.
- Where a checksum covers a pseudo-header, both directions are told the IP addresses.
- What the hot path needs of a packet has a plain function beside the message (`ethernet.vlan_of`,
  `vxlan.vni_of`), which reads those bytes alone. There a MAC address is six plain bytes; a
  `MacAddress` equals them.

Import order inside: decode, fields, addresses, checksum; then the protocols, upon each other as
on the wire.
"""

from varpd.net.addresses import IpAddress, Mac, MacAddress, parse_ip
from varpd.net.decode import DecodeError, Reason

__all__ = ["DecodeError", "IpAddress", "Mac", "MacAddress", "Reason", "parse_ip"]
