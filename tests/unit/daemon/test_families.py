"""The list of metrics, by the rules that Prometheus' own checker has."""

import re

import pytest

from varpd.daemon.families import FAMILIES, Family, Page
from varpd.engine.histogram import BOUNDS, Histogram

BASE_UNITS = ("seconds", "bytes", "frames", "rows")
OTHER_UNITS = ("milliseconds", "microseconds", "minutes", "kilobytes", "megabytes", "percent")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_name_is_as_prometheus_wants_it(family: Family) -> None:
    assert re.fullmatch(r"varpd(_[a-z]+)+", family.name)
    assert family.name.endswith("_total") is (family.kind == "counter")
    assert not re.search(r"_(gauge|counter|histogram|bucket|count|sum)$", family.name)
    assert not set(OTHER_UNITS) & set(family.name.split("_"))
    if family.kind == "histogram":
        assert family.name.endswith("_seconds")
    assert family.doc.endswith(".")
    assert all(re.fullmatch(r"[a-z]+", label) for label in family.labels)
    assert not {"le", "quantile", "job", "instance"} & set(family.labels)


def test_no_name_is_there_twice() -> None:
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)


def test_a_page_has_every_family_in_order() -> None:
    assert [made.name for made in Page().families] == [
        family.name.removesuffix("_total") for family in FAMILIES
    ]


def test_a_sample_has_its_labels() -> None:
    page = Page()
    page.add("varpd_punted_frames_total", 3, "blue", "arp")
    (sample,) = [sample for made in page.families for sample in made.samples]
    assert sample.name == "varpd_punted_frames_total"
    assert (sample.labels, sample.value) == ({"overlay": "blue", "kind": "arp"}, 3)


def test_a_histogram_has_cumulated_buckets() -> None:
    histogram = Histogram()
    histogram.observe(0.002, 3)
    histogram.observe(99.0)
    page = Page()
    page.add_distribution("varpd_miss_to_row_seconds", histogram.distribution)
    (made,) = [made for made in page.families if made.samples]
    buckets = {s.labels["le"]: s.value for s in made.samples if s.name.endswith("_bucket")}
    assert list(buckets) == [*map(repr, BOUNDS), "+Inf"]
    assert (buckets["0.001"], buckets["0.0025"], buckets["30.0"], buckets["+Inf"]) == (0, 3, 3, 4)
    assert {s.name: s.value for s in made.samples}["varpd_miss_to_row_seconds_count"] == 4


def test_a_sample_of_the_wrong_kind_is_a_mistake() -> None:
    with pytest.raises(TypeError):
        Page().add("varpd_miss_to_row_seconds", 1)
    with pytest.raises(TypeError):
        Page().add_distribution("varpd_rows_wanted", Histogram().distribution, "blue")
