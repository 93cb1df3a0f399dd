"""The text that Prometheus scrapes, in pieces."""

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from varpd.daemon.exposition import SLICE, render


class Whole(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self.families = families

    def collect(self) -> list[Metric]:
        return self.families


def family(samples: int) -> CounterMetricFamily:
    made = CounterMetricFamily("varpd_things_total", "Things,\nand \\ more.", labels=["name"])
    for number in range(samples):
        made.add_metric([f'"{number}"\n'], number)
    return made


def test_it_is_what_the_library_makes_of_the_whole() -> None:
    families: list[Metric] = [family(3 * SLICE + 1), GaugeMetricFamily("varpd_one", "One.", 1.5)]
    assert b"".join(render(families)) == generate_latest(Whole(families))


def test_no_piece_is_long() -> None:
    pieces = list(render([family(3 * SLICE + 1)]))
    assert len(pieces) == 4
    assert max(piece.count(b"\n") for piece in pieces) == SLICE + 2


def test_a_family_without_samples_is_not_named() -> None:
    assert list(render([family(0)])) == []


def test_parts_of_a_family_that_follow_each_other_are_one() -> None:
    whole, first, second = family(4), family(2), family(4)
    second.samples = second.samples[2:]
    assert b"".join(render([first, family(0), second])) == generate_latest(Whole([whole]))
