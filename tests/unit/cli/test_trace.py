"""``overlayadm trace``."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from support.fake_service import FakeService
from varpd.control.tracing import TraceRequest

Run = Callable[..., Result]

MAC = "02:00:00:00:00:01"


@pytest.fixture(autouse=True)
def overlay(service: FakeService) -> None:
    service.add("web0")


@pytest.mark.parametrize(
    ("arguments", "request_"),
    [
        (("--dst", MAC), TraceRequest(dst=MAC)),
        (
            ("--dst", MAC, "--src", MAC, "--vlan", "5", "--ethertype", "0x86dd", "--size", "1500"),
            TraceRequest(dst=MAC, src=MAC, vlan=5, ethertype=0x86DD, size=1500),
        ),
        (("arp", "10.0.0.1"), TraceRequest(kind="arp", address="10.0.0.1")),
        (
            ("arp", "request", "10.0.0.1", "--ask"),
            TraceRequest("arp", address="10.0.0.1", ask=True),
        ),
        (("nd", "fd00::1"), TraceRequest(kind="nd", address="fd00::1")),
        (("dhcp", "--src", MAC), TraceRequest(kind="dhcp", src=MAC)),
    ],
)
def test_the_daemon_is_asked_about_the_frame(
    run: Run, service: FakeService, arguments: tuple[str, ...], request_: TraceRequest
) -> None:
    assert run("trace", "web0", *arguments).exit_code == 0
    assert service.traced == [request_]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("arp",),
        ("arp", "reply", "10.0.0.1"),
        ("nd", "fd00::1", "fd00::2"),
        ("arp", "10.0.0.1", "--dst", MAC),
        ("dhcp", "--size", "90"),
        ("--dst", MAC, "--ethertype", "0x5dc"),
        ("--dst", MAC, "--ethertype", "ip"),
        ("--dst", MAC, "--vlan", "4095"),
    ],
)
def test_what_is_no_frame_is_status_2(
    run: Run, service: FakeService, arguments: tuple[str]
) -> None:
    assert run("trace", "web0", *arguments).exit_code == 2
    assert service.traced == []


def test_the_verdict_comes_first_then_the_steps(run: Run) -> None:
    assert run("trace", "web0", "dhcp").stdout.splitlines() == [
        "web0 (vnetid 23): it is lost",
        "",
        "STEP     WHAT HAPPENS",
        "frame    a frame",
        "outcome  it is lost",
    ]


def test_json_has_all_of_it(run: Run) -> None:
    shown = json.loads(run("trace", "web0", "dhcp", "--json").stdout)
    assert (shown["verdict"], shown["vnetid"]) == ("it is lost", 23)
    assert shown["steps"][1] == {"place": "outcome", "text": "it is lost"}
