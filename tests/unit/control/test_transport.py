"""Answers that come by and by, at the client's end."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.control_daemon import running
from support.fake_service import FakeService
from varpd.control.messages import ControlError, ErrorCode
from varpd.control.streams import JSON_LINES, Stream
from varpd.control.transport import Transport


@contextmanager
def transport(path: Path) -> Iterator[Transport]:
    to = Transport(str(path), 60.0)
    try:
        yield to
    finally:
        to.close()


class Telling(FakeService):
    """Answers one of its routes by and by."""

    refuses = False

    async def plugins(self) -> Any:
        if self.refuses:
            raise ControlError(ErrorCode.UNSUPPORTED, "not here")
        return Stream(JSON_LINES, self._chunks())

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        yield b"a" * 100_000
        yield b"\nb\n"


def test_a_stream_comes_in_pieces(tmp_path: Path) -> None:
    with running(tmp_path, Telling()) as daemon, transport(daemon.socket) as to:
        pieces = list(to.stream("GET", "/v1/plugins"))
    assert b"".join(pieces) == b"a" * 100_000 + b"\nb\n"
    assert len(pieces) > 1


def test_or_in_lines(tmp_path: Path) -> None:
    with running(tmp_path, Telling()) as daemon, transport(daemon.socket) as to:
        assert list(to.lines("GET", "/v1/plugins")) == [b"a" * 100_000, b"b"]


def test_a_stream_that_is_refused_is_an_error(tmp_path: Path) -> None:
    service = Telling()
    service.refuses = True
    with (
        running(tmp_path, service) as daemon,
        transport(daemon.socket) as to,
        pytest.raises(ControlError, match="not here"),
    ):
        to.stream("GET", "/v1/plugins")


def test_a_stream_of_no_daemon_is_an_error(tmp_path: Path) -> None:
    with (
        transport(tmp_path / "none") as to,
        pytest.raises(ControlError, match="no daemon"),
    ):
        to.stream("GET", "/v1/plugins")
