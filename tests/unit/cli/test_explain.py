"""``overlayadm explain``."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from support.fake_service import FakeService
from varpd.control.explanation import (
    Explanation,
    HoldInfo,
    KnownAddressInfo,
    MacExplanation,
    RowInfo,
    WantedInfo,
)
from varpd.control.messages import EventInfo

Run = Callable[..., Result]

MAC = "02:00:00:00:00:01"
KNOWN = MacExplanation(
    MAC,
    f"frames to {MAC} go to 192.0.2.2:4789",
    False,
    ("the bridge has no row",),
    WantedInfo("valid", "plugin", ("192.0.2.2:4789",), False, 12.4, 30.0, True),
    True,
    2,
    300,
    (HoldInfo(0x0800, 5, 0.52), HoldInfo(None, None, 1.0)),
    (
        RowInfo("device", ("192.0.2.2:4789",), None, ("static", "sticky"), 3.2, 12.0),
        RowInfo("default", ("127.86.0.1:789",), None, ("varpd",), None, None),
    ),
    (EventInfo("2026-01-02T03:04:05.678Z", "web0", "learned", "a guest", (MAC,)),),
)


@pytest.fixture(autouse=True)
def overlay(service: FakeService) -> None:
    service.add("web0")
    service.explanation = Explanation("web0", MAC, "files", KNOWN.summary, (), (KNOWN,))


def test_the_sentence_comes_first_then_facts_rows_and_events(run: Run) -> None:
    result = run("explain", "web0", MAC)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:-1] == [
        f"frames to {MAC} go to 192.0.2.2:4789",
        "",
        "  wanted: valid, 192.0.2.2:4789; said by: plugin; for 12 s;"
        " asked again or forgotten in 30 s; being asked",
        "  kernel: the bridge has no row",
        "  waiting: 2 frames, 300 bytes",
        "  dropped unasked: ethertype 0x0800 in VLAN 5, for 0.5 s more",
        "  dropped unasked: 802.3, for 1.0 s more",
        "  guest: one here sends from this MAC, which is another host's",
        "",
        "TABLE    LEADS TO                FLAGS           USED      WRITTEN",
        "device   192.0.2.2:4789          static,sticky   3 s ago   12 s ago",
        "default  varpd                   --              --        --",
        "",
    ]
    assert result.stdout.splitlines()[-1].endswith(f"web0 {MAC}: a guest")


def test_an_address_of_which_nothing_is_known_is_one_sentence(
    run: Run, service: FakeService
) -> None:
    service.explanation = None
    assert run("explain", "web0", "10.0.0.1").stdout == "nothing is known\n"


def test_the_plugin_is_asked_if_that_is_wanted(run: Run, service: FakeService) -> None:
    known = [
        KnownAddressInfo(None, "answered", 3.0, "nobody had it"),
        KnownAddressInfo(MAC, "asked", 0.0, "it has it"),
    ]
    service.explanation = Explanation(
        "web0", "10.0.0.1", "files", "it has it; frames go", tuple(known), (KNOWN, KNOWN)
    )
    shown = run("explain", "--ask", "web0", "10.0.0.1").stdout.splitlines()
    run("explain", "web0", "10.0.0.1")
    assert service.explained == [("10.0.0.1", True), ("10.0.0.1", False)]
    assert shown[:2] == ["it has it; frames go", "  nobody had it"]
    assert shown.count(KNOWN.summary) == 1


def test_json_is_the_explanation(run: Run) -> None:
    shown = json.loads(run("explain", "--json", "web0", MAC).stdout)
    assert shown["macs"][0]["rows"][0]["destinations"] == ["192.0.2.2:4789"]
    assert shown["macs"][0]["agrees"] is False


def test_an_overlay_that_is_not_there_is_an_error(run: Run) -> None:
    assert run("explain", "db0", MAC).exit_code == 1
