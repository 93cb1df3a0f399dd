"""A fake of Triton's Portolan, with its faults, that shares no code with varpd.

It packs and unpacks by itself, so that an error in `varpd.plugins.svp.wire` is seen. Like the real
one it ends (`died`, all connections closed) on a wrong checksum, an unknown operation, a body that
is too short and a reset; it answers one request of a connection after another; it sends nothing on
a connection whose other half is closed; its second answer in a burst comes late, as Nagle's
algorithm has it; it says FATAL to hosts that it does not know; and what it answered it repeats for
a while, whatever has changed.
"""

import asyncio
import contextlib
import json
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

OK, FATAL, NOT_FOUND = 0, 1, 2
PING, PONG, VL2_REQ, VL2_ACK, VL3_REQ, VL3_ACK = 1, 2, 3, 4, 5, 6
LOG_REQ, LOG_ACK, LOG_RM, LOG_RM_ACK = 9, 10, 11, 12
NAGLE: Final = 0.04
NOTHING: Final = bytes(16)

Address = IPv4Address | IPv6Address


def packed(address: Address) -> bytes:
    """Return the 16 bytes of an address, those of IPv4 mapped."""
    return bytes(10) + b"\xff\xff" + address.packed if address.version == 4 else address.packed


def unpacked(data: bytes) -> Address:
    """Read 16 bytes."""
    return IPv4Address(data[12:]) if data[:12] == bytes(10) + b"\xff\xff" else IPv6Address(data)


@dataclass
class Portolan:
    """The server's data and faults."""

    macs: dict[tuple[int, bytes], tuple[Address, int]] = field(default_factory=dict)
    """By vnetid and MAC: the host's address and port."""
    addresses: dict[tuple[int, Address], bytes] = field(default_factory=dict)
    """By vnetid and overlay address: the MAC."""
    logs: dict[Address, list[tuple[UUID, bytes]]] = field(default_factory=dict)
    """The log of each host that is known."""
    backend: float = 0.0
    """Seconds that each request takes."""
    stale: float = 0.0
    """Seconds for which an answer is repeated; the real one has 10."""
    spoil: Callable[[bytes], bytes] = bytes
    """What becomes of each reply: for hostile servers."""
    hangs: bool = False
    """Whether it takes connections and says nothing."""
    resets: bool = False
    """Whether it resets each connection at the first word."""
    fatal: bool = False
    """Whether its backend is away: mappings are answered with FATAL."""
    died: str = ""
    """What ended it."""
    asked: list[tuple[int, bytes]] = field(default_factory=list)
    """What came: operation and body."""
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _made: list[asyncio.StreamWriter] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _said: dict[bytes, tuple[float, bytes]] = field(default_factory=dict)

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._writers)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; return the port."""
        self._server = await asyncio.start_server(self._serve, host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """End, with all connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._made:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        self._made.clear()

    def move(self, vnetid: int, mac: bytes, ip: Address, port: int = 4789) -> None:
        """Bring a MAC to a host, and tell all hosts by their logs."""
        self.macs[vnetid, mac] = (ip, port)
        self.log(struct.pack("!6s2xI", mac, vnetid), 1)

    def give(self, vnetid: int, address: Address, mac: bytes, vlan: int = 0) -> None:
        """Give an overlay address to a MAC, and tell all hosts."""
        self.addresses[vnetid, address] = mac
        self.log(packed(address) + struct.pack("!2xHI", vlan, vnetid), 2)

    def log(self, body: bytes, kind: int) -> None:
        """Add a record to the log of each host."""
        for log in self.logs.values():
            number = uuid4()
            log.append((number, struct.pack("!I", kind) + number.bytes + body))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self._made.append(writer)
        try:
            await self._answer_all(reader, writer)
        except ConnectionResetError:
            self._die("ECONNRESET")
        except (asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.close()

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        last = 0.0
        while True:
            head = await reader.readexactly(16)
            if self.resets:
                writer.transport.abort()
                return None
            _, operation, size, number, checksum = struct.unpack("!HHIII", head)
            body = await reader.readexactly(size)
            if zlib.crc32(body, zlib.crc32(head[:12] + bytes(4))) != checksum:
                return self._die("checksum")
            self.asked.append((operation, body))
            if self.hangs:
                continue
            await asyncio.sleep(self.backend)
            reply = self._answer(operation, body)
            if reply is None:
                return self._die(f"operation {operation} of {size} bytes")
            if reader.at_eof():
                return None
            kind, answer = reply
            head = struct.pack("!HHII", 1, kind, len(answer), number)
            crc = zlib.crc32(answer, zlib.crc32(head + bytes(4)))
            now = asyncio.get_running_loop().time()
            if self.backend and now - last < NAGLE:
                await asyncio.sleep(NAGLE)
            last = now
            writer.write(self.spoil(head + struct.pack("!I", crc) + answer))

    def _answer(self, operation: int, body: bytes) -> tuple[int, bytes] | None:
        key = bytes((operation,)) + body
        now = asyncio.get_running_loop().time()
        try:
            match operation:
                case 1:
                    return PONG, b""
                case 3 | 5:
                    before = self._said.get(key)
                    if before is not None and now < before[0] + self.stale:
                        return operation + 1, before[1]
                    answer = self._vl2(body) if operation == VL2_REQ else self._vl3(body)
                    if self.fatal:
                        status = struct.pack("!H" if operation == VL2_REQ else "!I", FATAL)
                        answer = status + bytes(len(answer) - len(status))
                    # Only what was found is kept; the status comes first.
                    if not any(answer[: 2 if operation == VL2_REQ else 4]):
                        self._said[key] = (now, answer)
                    return operation + 1, answer
                case 9:
                    return LOG_ACK, self._log(body)
                case 11:
                    return LOG_RM_ACK, self._remove(body)
                case _:
                    return None
        except struct.error:
            return None
        return None

    def _vl2(self, body: bytes) -> bytes:
        mac, vnetid = struct.unpack_from("!6s2xI", body)
        found = self.macs.get((vnetid, mac))
        if found is None:
            return struct.pack("!HH16s", NOT_FOUND, 0, NOTHING)
        return struct.pack("!HH16s", OK, found[1], packed(found[0]))

    def _vl3(self, body: bytes) -> bytes:
        ip, _, vnetid = struct.unpack_from("!16sII", body)
        mac = self.addresses.get((vnetid, unpacked(ip)))
        found = None if mac is None else self.macs.get((vnetid, mac))
        if found is None:
            return struct.pack("!I6sH16s", NOT_FOUND, bytes(6), 0, NOTHING)
        return struct.pack("!I6sH16s", OK, mac, found[1], packed(found[0]))

    def _log(self, body: bytes) -> bytes:
        count, ip = struct.unpack_from("!I16s", body)
        log = self.logs.get(unpacked(ip))
        if log is None:
            return struct.pack("!I", FATAL)
        out = b""
        for _, record in log:
            if len(out) + len(record) > count:
                break
            out += record
        return struct.pack("!I", OK) + out

    def _remove(self, body: bytes) -> bytes:
        (count,) = struct.unpack_from("!I", body)
        gone = {body[4 + 16 * at : 20 + 16 * at] for at in range(count)}
        for log in self.logs.values():
            log[:] = [each for each in log if each[0].bytes not in gone]
        return struct.pack("!I", OK)

    def _die(self, why: str) -> None:
        """End as the real one does: with all connections."""
        self.died = why
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.close()


def load(fake: Portolan, file: Path) -> None:
    """Take over what a file says, in the format of `varpd-svp-server`; changes go to the logs."""
    said: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    for host in said["hosts"].values():
        fake.logs.setdefault(ip_address(host), [])
    for number, mappings in said["overlays"].items():
        for text, place in mappings.items():
            mac = bytes.fromhex(text.replace(":", ""))
            where = (ip_address(place["ip"]), int(place["port"]))
            if fake.macs.get((int(number), mac)) != where:
                fake.move(int(number), mac, *where)
            for name in (*place.get("arp", ()), *place.get("ndp", ())):
                if fake.addresses.get((int(number), ip_address(name))) != mac:
                    fake.give(int(number), ip_address(name), mac)


async def main(file: Path, address: str, port: int) -> None:
    """Serve a file until the server dies or is killed."""
    fake = Portolan(stale=float(sys.argv[4]) if len(sys.argv) > 4 else 0.0, backend=0.002)
    await fake.start(address, port)
    seen = 0
    while not fake.died:
        stamp = file.stat().st_mtime_ns  # noqa: ASYNC240 - a test's server
        if stamp != seen:
            seen = stamp
            load(fake, file)
        await asyncio.sleep(0.05)
    sys.exit(f"died: {fake.died}")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
