"""What the client reads; `test_client.py` tries it together with what it changes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.control_daemon import FakeDaemon, running
from support.fake_stats import fake_stats
from varpd.control.messages import ControlError
from varpd.control.reader import Reader, decode, overlay_path, quoted


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    with running(tmp_path) as daemon:
        daemon.service.add("web0")
        yield daemon


@pytest.fixture
def reader(daemon: FakeDaemon) -> Iterator[Reader]:
    with Reader(str(daemon.socket)) as reader:
        yield reader


def test_what_was_counted_is_told_of_one_or_all(reader: Reader) -> None:
    assert reader.overlay_stats("web0") == fake_stats("web0")
    assert reader.stats() == [fake_stats("web0")]
    with pytest.raises(ControlError, match="db0"):
        reader.overlay_stats("db0")


def test_metrics_are_text(reader: Reader) -> None:
    assert reader.metrics().startswith(b"# HELP varpd_")


def test_names_are_one_step_of_a_path() -> None:
    assert overlay_path("a/b") == "/v1/overlays/a%2Fb"
    for name in ("", ".", ".."):
        with pytest.raises(ControlError):
            quoted(name)


def test_an_answer_of_another_kind_is_not_understood() -> None:
    with pytest.raises(ControlError, match="not understood"):
        decode(b"[]", int)
