"""What a daemon says of itself, over its socket."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from support import stories
from support.control_daemon import FakeDaemon, running
from varpd.control.client import Client
from varpd.control.diagnosis import Diagnosis, Report


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    with running(tmp_path) as daemon:
        yield daemon


def test_diagnosis_and_report_are_told(daemon: FakeDaemon) -> None:
    daemon.service.add("web0")
    with Client(str(daemon.socket)) as client:
        told = client.diagnosis()
        report = client.report()
    assert [item.overlay.name for item in told.overlays] == ["web0"]
    assert report.diagnosis == told


def test_they_come_back_from_json() -> None:
    told = stories.diagnosis(stories.overlay(), stories.overlay(punt=None, listen_ip=None))
    assert msgspec.json.decode(msgspec.json.encode(told), type=Diagnosis) == told
    report = stories.report(told)
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report
