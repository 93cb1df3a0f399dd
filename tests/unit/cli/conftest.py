"""The real commands against a real server with a fake service behind it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from support.control_daemon import FakeDaemon, running
from support.fake_service import FakeService
from varpd.cli.main import overlayadm

Run = Callable[..., Result]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    with running(tmp_path) as daemon:
        yield daemon


@pytest.fixture
def service(daemon: FakeDaemon) -> FakeService:
    return daemon.service


@pytest.fixture
def run(daemon: FakeDaemon) -> Run:
    """Run ``overlayadm`` with some arguments."""

    def run_it(*arguments: str) -> Result:
        return CliRunner().invoke(overlayadm, ["--socket", str(daemon.socket), *arguments])

    return run_it
