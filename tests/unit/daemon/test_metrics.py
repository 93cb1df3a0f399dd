"""The metrics of a daemon with overlays, as a parser of Prometheus' takes them."""

from collections.abc import AsyncIterator

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from support import overlays as support
from support.overlays import Parts, request
from varpd.daemon import metrics
from varpd.daemon.degradation import CauseKind
from varpd.daemon.exposition import SLICE
from varpd.datapath.counters import HostCounters, OverlayCounters
from varpd.engine.events import FramesPunted
from varpd.net import vxlan

HEADER = vxlan.pack_header(7)
FRAME = HEADER + b"\2\0\0\0\0\1" + b"\2\0\0\0\0\2" + b"\x88\xb5" + bytes(46)


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    async with support.parts() as made:
        yield made


async def scraped(parts: Parts) -> dict[str, Metric]:
    stream = await parts.service.metrics()
    text = b"".join([piece async for piece in stream.chunks]).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def values(families: dict[str, Metric], name: str) -> dict[tuple[str, ...], float]:
    """Return the samples of a family by the values of their labels."""
    family = families.get(name)
    if family is None:
        return {}
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


async def test_a_daemon_without_overlays_says_what_it_is(parts: Parts) -> None:
    found = await scraped(parts)
    (labels,) = [sample.labels for sample in found["varpd_build_info"].samples]
    assert (labels["version"], labels["datapath"]) == ("0.0-probe", "remembering")
    assert values(found, "varpd_overlays") == {
        ("online",): 0,
        ("degraded",): 0,
        ("stopped",): 0,
    }
    assert values(found, "varpd_rows_written") == {(): 0}
    assert "process_resident_memory_bytes" in found
    assert "varpd_overlay_info" not in found


async def test_an_overlay_and_its_misses_are_there(parts: Parts) -> None:
    await parts.service.create(request())
    parts.runner.feed(FramesPunted("blue", [FRAME]))
    found = await scraped(parts)
    assert values(found, "varpd_overlay_info") == {("vxlan", "blue", "probe", "7"): 1}
    assert values(found, "varpd_punted_frames") == {("unicast", "blue"): 1}
    assert sum(values(found, "varpd_lookups").values()) == 1
    assert sum(values(found, "varpd_table_entries").values()) == 1
    counts = [s.value for s in found["varpd_lookup_duration_seconds"].samples if "_count" in s.name]
    assert counts == [1]


async def test_a_degraded_overlay_is_there_by_its_causes(parts: Parts) -> None:
    await parts.service.create(request())
    parts.overlays.find("blue").instance.degrade(CauseKind.DATAPATH, "no row goes in")
    found = await scraped(parts)
    assert values(found, "varpd_overlay_degraded") == {("datapath", "blue"): 1}
    assert values(found, "varpd_degraded_overlays")["datapath",] == 1
    assert values(found, "varpd_degraded_overlays")["panic",] == 0
    assert values(found, "varpd_overlays")["degraded",] == 1


async def test_what_the_datapath_and_the_runner_count_is_there(parts: Parts) -> None:
    await parts.service.create(request())
    parts.datapath.counted_in_all = HostCounters(
        rows_queued=1, rows_written=2, stalls=3, monitor_overflows=4, guard_repairs=7
    )
    parts.datapath.counted["blue"] = OverlayCounters(lost=5)
    parts.runner.faults["engine"] = 6
    found = await scraped(parts)
    assert values(found, "varpd_row_writer_queue_rows") == {(): 1}
    assert values(found, "varpd_rows_written") == {(): 2}
    assert values(found, "varpd_row_writer_stalls") == {(): 3}
    assert values(found, "varpd_monitor_overflows") == {(): 4}
    assert values(found, "varpd_guard_repairs") == {(): 7}
    assert values(found, "varpd_kernel_dropped_frames")["blue", "lost"] == 5
    assert values(found, "varpd_internal_errors") == {("engine",): 6}


async def test_what_a_plugin_answered_stays_counted_when_its_overlay_goes(parts: Parts) -> None:
    await parts.service.create(request())
    parts.runner.feed(FramesPunted("blue", [FRAME]))
    before = values(await scraped(parts), "varpd_lookups")
    await parts.service.delete("blue")
    found = await scraped(parts)
    assert values(found, "varpd_lookups") == before
    assert values(found, "varpd_punted_frames") == {}


async def test_many_overlays_are_one_family_and_hold_nobody_up(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "OVERLAYS", 3)
    for number in range(1, 8):
        await parts.service.create(request(f"o{number}", vnetid=number))
    stream = await parts.service.metrics()
    text = b"".join([piece async for piece in stream.chunks]).decode()
    assert text.count("# TYPE varpd_overlay_info gauge") == 1
    found = await scraped(parts)
    assert len(values(found, "varpd_overlay_info")) == 7
    assert len(values(found, "varpd_table_entries")) == 7 * 6
    first = (await parts.service.metrics()).chunks
    pieces = [piece.count(b"\n") async for piece in first]
    assert max(pieces) <= SLICE + 2
