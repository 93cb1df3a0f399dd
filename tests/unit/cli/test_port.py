"""``overlayadm port``."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from support.fake_service import FakeService

Run = Callable[..., Result]

MAC = "02:00:00:00:00:01"


@pytest.fixture(autouse=True)
def _an_overlay(service: FakeService) -> None:
    service.add("web0")


def test_who_a_guest_is_is_said_and_shown(run: Run, service: FakeService) -> None:
    result = run("port", "web0", "tap0", "--mac", MAC, "--ip", "10.0.0.1", "--ip", "fd00::1")
    assert (result.exit_code, result.output) == (0, "")
    port = service.table["web0"].ports["tap0"]
    assert (port.mac, port.addresses) == (MAC, ("10.0.0.1", "fd00::1"))
    shown = run("port", "web0").output
    assert "10.0.0.1, fd00::1" in shown
    (found,) = json.loads(run("port", "web0", "tap0", "--json").output)
    assert (found["port"], found["mac"]) == ("tap0", MAC)
    assert json.loads(run("port", "web0", "tap9", "--json").output) == []


def test_a_value_of_its_own_is_set_and_set_back(run: Run, service: FakeService) -> None:
    assert run("port", "web0", "tap0", "--mac", MAC, "--antispoof", "mac+ip").exit_code == 0
    assert service.table["web0"].ports["tap0"].antispoof == "mac+ip"
    assert run("port", "web0", "tap0", "--antispoof", "default").exit_code == 0
    assert not service.table["web0"].ports["tap0"].own
    assert service.table["web0"].ports["tap0"].mac == MAC


def test_what_was_said_is_forgotten(run: Run, service: FakeService) -> None:
    run("port", "web0", "tap0", "--mac", MAC)
    assert run("port", "web0", "tap0", "--forget").exit_code == 0
    assert service.table["web0"].ports == {}
    assert run("port", "web0", "tap0", "--forget").exit_code == 1


@pytest.mark.parametrize(
    "options",
    [
        ("--mac", MAC),
        ("--forget",),
        ("tap0", "--forget", "--mac", MAC),
        ("tap0", "--antispoof", "x"),
    ],
)
def test_what_makes_no_sense_is_refused(run: Run, options: tuple[str, ...]) -> None:
    assert run("port", "web0", *options).exit_code == 2


def test_a_guest_that_has_moved_is_taken_over(run: Run, service: FakeService) -> None:
    run("port", "web0", "tap0", "--mac", MAC)
    assert run("port", "web0", "tap0", "--take-over").exit_code == 0
    assert service.taken_over == [("web0", "tap0")]
