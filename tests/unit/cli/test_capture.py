"""``overlayadm capture``."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from support.fake_service import FakeService
from varpd.cli import capture
from varpd.control.captures import KINDS, SNAPLEN, Capture
from varpd.net import pcapng

Run = Callable[..., Result]

FRAME = b"\2\0\0\0\0\2\2\0\0\0\0\1\x88\xb5" + bytes(46)
HEAD = pcapng.section("varpd") + b"".join(pcapng.interface(kind, "", 65535) for kind in KINDS)
PUNTED = pcapng.Packet(0, 10**18, FRAME, 60).serialize()
RESENT = pcapng.Packet(1, 10**18, FRAME, 60, "to 192.0.2.2:4789").serialize()
END = pcapng.statistics(0, 10**18, 5, 4)


@pytest.fixture(autouse=True)
def frames(service: FakeService) -> None:
    service.add("web0")
    whole = HEAD + PUNTED + RESENT + END
    service.frames = [whole[:100], whole[100:]]


def test_frames_are_shown_a_line_each(run: Run, service: FakeService) -> None:
    result = run("capture", "web0", "-c", "2")
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()
    assert "punted   02:00:00:00:00:01 > 02:00:00:00:00:02 ethertype 0x88b5, 60 bytes" in first
    assert second.endswith("60 bytes to 192.0.2.2:4789")
    assert result.stderr == "overlayadm: 2 frames captured, 4 lost to the capture\n"
    assert service.captured == [Capture(KINDS, SNAPLEN, 2)]


def test_what_is_wanted_is_asked_for(run: Run, service: FakeService) -> None:
    run("capture", "web0", "--kind", "punted", "--kind", "resent", "-s", "64", "--kind", "punted")
    assert service.captured == [Capture(("punted", "resent"), 64, None)]


def test_a_file_is_for_its_owner_alone(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "capture.pcapng"
    result = run("capture", "web0", "-c", "2", "-w", str(file))
    assert (result.exit_code, result.stdout) == (0, "")
    assert file.read_bytes() == HEAD + PUNTED + RESENT + END
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_it_can_be_piped(run: Run) -> None:
    result = run("capture", "web0", "-c", "2", "-w", "-")
    assert result.stdout_bytes == HEAD + PUNTED + RESENT + END


def test_an_end_that_nobody_asked_for_is_an_error(run: Run) -> None:
    result = run("capture", "web0")
    assert result.exit_code == 1
    assert "the daemon ended the capture" in result.stderr


def test_an_interrupt_is_the_usual_end(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(capture, "describe", interrupt)
    result = run("capture", "web0")
    assert result.exit_code == 0
    assert result.stderr == "overlayadm: 1 frames captured, 0 lost to the capture\n"


def test_an_overlay_that_is_not_there_leaves_a_file_alone(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "capture.pcapng"
    file.write_bytes(b"of yesterday")
    result = run("capture", "nope", "-w", str(file))
    assert result.exit_code == 1
    assert "nope" in result.stderr
    assert file.read_bytes() == b"of yesterday"


def test_a_file_that_cannot_be_written_is_an_error(run: Run, tmp_path: Path) -> None:
    result = run("capture", "web0", "-w", str(tmp_path / "none" / "capture"))
    assert result.exit_code == 1
    assert "cannot write" in result.stderr


def test_what_is_no_capture_is_an_error(run: Run, service: FakeService) -> None:
    service.frames = [b"\0" * 64]
    result = run("capture", "web0")
    assert result.exit_code == 1
    assert "not understood" in result.stderr
