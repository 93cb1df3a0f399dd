"""``overlayadm report``."""

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner, Result

from support.fake_service import FakeService
from varpd.cli.main import overlayadm
from varpd.control.messages import ControlError, ErrorCode

Run = Callable[..., Result]


def test_the_report_holds_what_daemon_host_and_doctor_say(run: Run, service: FakeService) -> None:
    service.add("web0")
    result = run("report")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert (found["format"], found["daemon_error"]) == (1, None)
    assert found["daemon"]["diagnosis"]["overlays"][0]["overlay"]["name"] == "web0"
    assert {item["check"] for item in found["findings"]} >= {"daemon", "kernel"}
    assert found["system"]["release"]
    assert found["metrics"]
    assert "lo" in {link["name"] for link in found["links"]}


def test_it_is_written_to_a_file_of_ones_own_and_over_none(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    assert run("report", "-o", str(file)).exit_code == 0
    assert json.loads(file.read_text())["format"] == 1
    assert file.stat().st_mode & 0o777 == 0o600
    result = run("report", "-o", str(file))
    assert result.exit_code == 1
    assert result.stderr == f"overlayadm: cannot write {file}: File exists\n"


def test_without_a_daemon_there_is_a_report_all_the_same(tmp_path: Path) -> None:
    socket = str(tmp_path / "none.sock")
    result = CliRunner().invoke(overlayadm, ["--socket", socket, "report"])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["daemon"] is None
    assert "does not exist" in found["daemon_error"]


def test_who_may_not_ask_the_daemon_gets_the_rest(run: Run, service: FakeService) -> None:
    service.failure = ControlError(ErrorCode.FORBIDDEN, "you may not")
    found = json.loads(run("report").stdout)
    assert found["daemon_error"] == "you may not"
