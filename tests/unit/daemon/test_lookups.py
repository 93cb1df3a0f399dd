"""How plugins answer: by operation and result."""

import pytest

from support.instances import query, running
from support.probes import GoodProbe
from varpd.daemon.lookups import RESULTS, Meter, Meters, result_of
from varpd.engine.events import DEFERRED, Failed
from varpd.net.addresses import MacAddress
from varpd.provider.answers import DROP, PROXY_ARP, Neighbour, Replicate, Target
from varpd.provider.judge import Operation

TARGET = Target(port=4789)
MAC = MacAddress.parse("02:00:00:00:00:01")


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (TARGET, "target"),
        (Replicate((TARGET,)), "replicate"),
        (DROP, "drop"),
        (PROXY_ARP, "proxy"),
        (MAC, "found"),
        (Neighbour(MAC), "found"),
        (Failed("raised"), "failed"),
    ],
)
def test_every_answer_has_a_result(answer: object, result: str) -> None:
    assert result_of(answer) == result
    assert result in RESULTS


def test_a_batch_is_counted_at_once_and_what_comes_later_is_not_yet() -> None:
    meter = Meter()
    meter.answered(Operation.LOOKUP, 60, [DROP, DEFERRED, Failed("raised")], 0.5)
    assert meter.answers == {
        ("lookup", "target"): 60,
        ("lookup", "drop"): 1,
        ("lookup", "failed"): 1,
    }
    assert (meter.lookups.distribution.count, meter.lookups.distribution.total) == (62, 31.0)


def test_only_lookups_are_timed() -> None:
    meter = Meter()
    meter.answered(Operation.ARP, 0, [MAC], 0.5)
    meter.unanswered(Operation.LOOKUP, "given-up")
    assert meter.answers == {("arp", "found"): 1, ("lookup", "given-up"): 1}
    assert meter.lookups.distribution.count == 0


def test_a_plain_batch_is_counted_like_any_other() -> None:
    meter = Meter()
    meter.plain(64, 0.5)
    meter.answered(Operation.LOOKUP, 1, [], 0.5)
    assert meter.answers == {("lookup", "target"): 65}
    assert (meter.lookups.distribution.count, meter.lookups.distribution.total) == (65, 32.5)


def test_a_plugin_has_what_all_its_instances_have_also_when_they_are_gone() -> None:
    meters = Meters()
    first, second = (meters.of_instance("files") for _ in range(2))
    for meter in (first, second):
        meter.plain(3, 0.1)
        meter.answered(Operation.ARP, 0, [MAC], 0.1)
    meters.of_instance("direct")
    total = meters.plugins["files"]
    for _ in range(2):
        assert total.answers == {("lookup", "target"): 6, ("arp", "found"): 2}
        assert total.lookups.count == 6
        first.end()
        first.end()
    second.plain(1, 0.1)
    assert total.answers["lookup", "target"] == 7
    assert meters.plugins["direct"].answers == {}


async def test_an_instance_counts_what_its_plugin_answers() -> None:
    async with running(GoodProbe) as stage:
        for number in range(3):
            stage.ask(query(b"\2\0\0\0\0" + bytes((number,))))
        meter = stage.instance.meter
        assert sum(meter.answers.values()) == 3
        assert {operation for operation, _ in meter.answers} == {"lookup"}
        assert meter.lookups.distribution.count == 3
