"""The least that Python can do for a miss: receive, look up, write both rows, send on.

    python -m benchmarks.peers.bare DEVICE PUNT_ADDRESS LISTEN_IP MAPPINGS TARGET

No limits, no table, no plugin, nothing that waits; a batch of 64 is read and its rows are written
with one send. It runs until it is killed.
"""

import socket
import struct
import sys
from typing import Final

BATCH: Final = 64
PORT: Final = 4789
_HEAD: Final = struct.Struct("=IHHIIBBHiHBBHH")
_TAIL: Final = struct.Struct("=HHH4sHHHH")
_SIZE: Final = _HEAD.size + 6 + _TAIL.size


def row_parts(device: int, target: str) -> tuple[bytes, bytes]:
    """Return what stands before and behind the MAC in the message that writes both rows."""
    # nlmsghdr: RTM_NEWNEIGH, REQUEST | CREATE | REPLACE; ndmsg: AF_BRIDGE, NOARP | REACHABLE,
    # SELF | MASTER | STICKY; then NDA_LLADDR.
    flags = 0x1 | 0x400 | 0x100
    head = _HEAD.pack(_SIZE, 28, flags, 0, 0, 7, 0, 0, device, 0x42, 0x26, 0, 10, 2)
    port = struct.unpack("=H", struct.pack("!H", PORT))[0]
    return head, _TAIL.pack(0, 8, 1, socket.inet_aton(target), 6, 6, port, 0)


def main(device: str, punt_address: str, listen_ip: str, mappings: str, target: str) -> None:
    """Work until killed."""
    known = {b"\x02\x62" + number.to_bytes(4, "big"): target for number in range(int(mappings))}
    punts = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    punts.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)  # SO_RCVBUFFORCE, as much as varpd has
    punts.bind((punt_address, 789))
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.bind((listen_ip, 0))
    kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    kernel.bind((0, 0))
    head, tail = row_parts(int(device), target)
    print("ready", flush=True)
    while True:
        punts.setblocking(True)
        packets = [punts.recv(9216)]
        punts.setblocking(False)
        try:
            while len(packets) < BATCH:
                packets.append(punts.recv(9216))
        except BlockingIOError:
            pass
        found = [(packet, known[packet[8:14]]) for packet in packets if packet[8:14] in known]
        if found:
            kernel.send(b"".join(head + packet[8:14] + tail for packet, _ in found))
            for packet, where in found:
                out.sendto(packet, (where, PORT))


if __name__ == "__main__":
    main(*sys.argv[1:])
