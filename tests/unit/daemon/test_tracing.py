"""The way of a frame in words."""

from collections.abc import AsyncIterator
from ipaddress import IPv4Address

import pytest

from support import overlays as support
from support.overlays import Parts, request
from support.probes import ONE, WEB, WEB_IP
from varpd.control.tracing import TraceInfo, TraceRequest
from varpd.daemon.tracing import carrying, kernel_step
from varpd.datapath.inspection import BridgeRow, DeviceRow, MacRows
from varpd.provider.answers import Target

MAC = str(WEB)
A = WEB
THERE = Target(IPv4Address("192.0.2.9"), 4789)
TUNNEL = BridgeRow("vx-blue", is_tunnel=True)
GUEST = BridgeRow("port1", is_tunnel=False)


@pytest.mark.parametrize(
    ("rows", "text", "carried", "to"),
    [
        (
            MacRows(None, GUEST, None, punts=True),
            f"the bridge has {MAC} behind port1 and delivers it there",
            True,
            [],
        ),
        (
            MacRows(DeviceRow((THERE,)), TUNNEL, None, punts=True),
            "the tunnel device has a row and sends it to 192.0.2.9:4789",
            True,
            [THERE],
        ),
        (
            MacRows(None, None, None, punts=True),
            "the bridge copies it to all guests here; the tunnel device has no row for"
            f" {MAC} and hands it to varpd",
            False,
            [],
        ),
        (
            MacRows(None, None, THERE, punts=False),
            "the bridge copies it to all guests here; the tunnel device sends all to"
            " 192.0.2.9:4789",
            True,
            [THERE],
        ),
        (
            MacRows(None, TUNNEL, None, punts=False),
            f"the tunnel device has no row for {MAC}, and no default row: it is lost",
            True,
            [],
        ),
    ],
)
def test_what_the_kernel_does_is_read_from_its_rows(
    rows: MacRows, text: str, carried: bool, to: list[Target]
) -> None:
    assert kernel_step(rows, A) == (text, carried)
    assert carrying(rows) == to


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    async with support.parts() as made:
        await made.service.create(request())
        yield made


def texts(trace: TraceInfo, place: str) -> list[str]:
    return [step.text for step in trace.steps if step.place == place]


async def test_without_being_asked_the_plugins_answer_decides(parts: Parts) -> None:
    before = parts.engine.counters("blue")
    trace = await parts.service.trace("blue", TraceRequest(dst=MAC))
    assert trace.verdict == f"it waits while probe is asked where {MAC} is; its answer decides"
    assert [step.place for step in trace.steps] == [
        "frame",
        "kernel",
        "engine",
        "entry",
        "engine",
        "plugin",
    ]
    assert trace.vnetid == 7
    assert parts.engine.counters("blue") == before
    assert not parts.engine.knows("blue", A)


async def test_the_plugins_answer_leads_on_and_nothing_is_installed(parts: Parts) -> None:
    before = len(parts.datapath.commands)
    trace = await parts.service.trace("blue", TraceRequest(dst=MAC, ask=True))
    assert texts(trace, "plugin") == [f"asked where {MAC} is, probe answers: {ONE}"]
    assert trace.verdict == f"it is sent to {ONE}"
    assert texts(trace, "mtu") == [
        f"the way to {ONE} carries 1500 bytes, guests' packets of up to 1450"
    ]
    assert len(parts.datapath.commands) == before
    assert not parts.engine.knows("blue", A)


async def test_a_frame_that_is_too_large_for_the_way_is_said_to_be(parts: Parts) -> None:
    trace = await parts.service.trace("blue", TraceRequest(dst=MAC, ask=True, size=1514))
    assert texts(trace, "mtu")[0].endswith(": this frame is too large")


async def test_what_the_administrator_blocks_is_dropped(parts: Parts) -> None:
    await parts.service.set_entry("blue", MAC, "drop")
    trace = await parts.service.trace("blue", TraceRequest(dst=MAC))
    assert trace.verdict == "it is dropped: the administrator wants that"
    assert texts(trace, "entry") == [f"{MAC} is blocked"]


async def test_what_the_kernel_carries_varpd_does_not_see(parts: Parts) -> None:
    await parts.service.set_entry("blue", MAC, str(THERE))
    parts.datapath.rows[A] = MacRows(DeviceRow((THERE,)), TUNNEL, None, punts=True)
    trace = await parts.service.trace("blue", TraceRequest(dst=MAC))
    assert trace.verdict == f"the tunnel device has a row and sends it to {THERE}"
    assert [step.place for step in trace.steps] == ["frame", "kernel", "mtu"]

    trace = await parts.service.trace("blue", TraceRequest(dst=MAC, ask=True))
    assert trace.verdict == f"the tunnel device has a row and sends it to {THERE}"
    assert texts(trace, "plugin")[-1] == (
        "that is other than what is known; nothing follows from it"
    )


async def test_an_arp_request_goes_by_way_of_the_proxy(parts: Parts) -> None:
    trace = await parts.service.trace("blue", TraceRequest("arp", address=str(WEB_IP)))
    assert trace.verdict == f"probe is asked who has {WEB_IP}; its answer decides"

    trace = await parts.service.trace("blue", TraceRequest("arp", address=str(WEB_IP), ask=True))
    assert texts(trace, "plugin")[1:] == [
        f"asked who has {WEB_IP}, probe answers: {WEB}",
        f"asked where {WEB} is, probe answers: {ONE}",
    ]
    assert texts(trace, "outcome")[0].startswith(f"rows for {WEB} are written")
    assert trace.verdict == f"the guest gets the answer: {WEB_IP} is at {WEB}"


async def test_a_solicitation_goes_by_way_of_the_proxy(parts: Parts) -> None:
    trace = await parts.service.trace("blue", TraceRequest("nd", address="fd00::1", ask=True))
    assert texts(trace, "engine")[0] == "varpd takes it as nd"
    assert texts(trace, "plugin")[1].startswith("asked who has fd00::1, probe answers:")


async def test_a_discovery_goes_to_the_server_that_the_plugin_names(parts: Parts) -> None:
    trace = await parts.service.trace("blue", TraceRequest("dhcp", ask=True))
    assert texts(trace, "plugin")[1].startswith("asked which is the DHCP server, probe answers:")
    trace = await parts.service.trace("blue", TraceRequest("dhcp"))
    assert trace.verdict == "probe is asked which is the DHCP server; its answer decides"


async def test_other_broadcasts_can_be_asked_about_by_guests_alone(parts: Parts) -> None:
    asked = TraceRequest(dst="ff:ff:ff:ff:ff:ff", ethertype=0x88B5, ask=True)
    trace = await parts.service.trace("blue", asked)
    assert "only a guest's own frame can be asked about" in trace.verdict


async def test_limits_are_told(parts: Parts) -> None:
    await parts.service.set_properties("blue", {"limit_unicast": "1"})
    overlay = parts.engine.overlay("blue")
    assert overlay is not None
    overlay.buckets[0].take(100, 1e9)
    trace = await parts.service.trace("blue", TraceRequest(dst=MAC))
    assert trace.verdict == "it is dropped: the overlay's guests send more unicast than they may"


async def test_in_a_point_overlay_the_default_row_says_it_all(parts: Parts) -> None:
    await parts.service.create(request("red", search="point", vnetid=8))
    parts.datapath.rows[A] = MacRows(None, None, THERE, punts=False)
    trace = await parts.service.trace("red", TraceRequest(dst=MAC, ask=True))
    assert trace.verdict.endswith(f"the tunnel device sends all to {THERE}")
    assert [step.place for step in trace.steps] == ["frame", "kernel", "mtu"]
