"""What a stranger may send to a unix socket: bytes, one connection at a time."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 20.0
"""Seconds after which a silent server fails the test."""


@dataclass(frozen=True)
class Answer:
    """The first answer on a connection, and whether the server closed it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@contextmanager
def connected(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
        yield connection


def read_to_end(connection: socket.socket) -> bytes:
    """Return all until the server closes; a reset is an end, too."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def parse(raw: bytes) -> Answer:
    head, _, body = raw.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("ascii").split("\r\n")
    fields = (line.split(": ", 1) for line in lines)
    headers = {name.lower(): value for name, value in fields}
    return Answer(int(status_line.split()[1]), headers, body)


def exchange(path: Path, raw: bytes) -> Answer:
    """Send bytes after which the server closes, and return the answer."""
    with connected(path) as connection:
        connection.sendall(raw)
        return parse(read_to_end(connection))


def request(method: str, target: str, body: bytes = b"", headers: str = "") -> bytes:
    """Return a request after which the server closes."""
    return (
        f"{method} {target} HTTP/1.1\r\nHost: varpd\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n{headers}\r\n"
    ).encode() + body
