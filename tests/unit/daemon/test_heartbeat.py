"""Signs of life for the service manager."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from support.waiting import until
from varpd.daemon.heartbeat import (
    INTERVAL_VARIABLE,
    PROCESS_VARIABLE,
    Heartbeat,
    interval_from_environment,
)
from varpd.daemon.notify import Notifier


class Manager(Notifier):
    """Counts the signs of life, and when they came."""

    def __init__(self) -> None:
        super().__init__(None)
        self.at: list[float] = []

    def alive(self) -> None:
        self.at.append(asyncio.get_running_loop().time())


async def test_a_turning_loop_gives_a_sign_twice_in_each_interval() -> None:
    manager = Manager()
    heartbeat = Heartbeat(manager, 0.2)
    heartbeat.start()
    assert len(manager.at) == 1
    await until(lambda: len(manager.at) >= 3)
    heartbeat.stop()
    gaps = [later - earlier for earlier, later in zip(manager.at, manager.at[1:], strict=False)]
    assert min(gaps) >= 0.09


async def test_nothing_is_said_after_the_end() -> None:
    manager = Manager()
    heartbeat = Heartbeat(manager, 0.01)
    heartbeat.start()
    heartbeat.stop()
    said = len(manager.at)
    await asyncio.sleep(0.05)
    assert len(manager.at) == said
    heartbeat.stop()


async def test_where_nobody_listens_nothing_is_said() -> None:
    manager = Manager()
    Heartbeat(manager, None).start()
    assert manager.at == []


def test_a_sign_of_life_is_sent_to_the_manager(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        Notifier(str(tmp_path / "notify")).alive()
        assert server.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    ("interval", "process", "seconds"),
    [
        ("30000000", None, 30.0),
        pytest.param("30000000", str(os.getpid()), 30.0, id="this-process"),
        ("30000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
        ("-1", None, None),
        (None, None, None),
    ],
)
def test_the_environment_says_how_long_silence_may_last(
    monkeypatch: pytest.MonkeyPatch,
    interval: str | None,
    process: str | None,
    seconds: float | None,
) -> None:
    for name, value in ((INTERVAL_VARIABLE, interval), (PROCESS_VARIABLE, process)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert interval_from_environment() == seconds
