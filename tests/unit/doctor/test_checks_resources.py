"""Is there room?"""

import pytest
from msgspec import structs

from support import stories
from varpd.doctor import checks_resources
from varpd.doctor.findings import Severity


def test_a_buffer_smaller_than_wanted_is_a_warning_with_the_size_to_set() -> None:
    punt = structs.replace(stories.PUNT, buffer=212_992, missing=(4 << 20) - 212_992)
    found, *_ = checks_resources.check(stories.facts(stories.overlay(punt=punt)))
    assert (found.check, found.severity) == ("buffers", Severity.WARNING)
    assert found.cure is not None
    assert "net.core.rmem_max=4194304 (it is 212992)" in found.cure


def test_an_overlay_that_punts_nothing_needs_no_buffer() -> None:
    found = checks_resources.check(stories.facts(stories.overlay(punt=None)))
    assert "buffers" not in {item.check for item in found}


@pytest.mark.parametrize(
    ("used", "severity"), [(0, Severity.OK), (89, Severity.OK), (90, Severity.WARNING)]
)
def test_memory_of_udp_that_is_nearly_used_up_is_a_warning(used: int, severity: Severity) -> None:
    facts = stories.facts(system=stories.system(udp_pages=(used, 100)))
    (found,) = checks_resources.udp_memory(facts)
    assert found.severity is severity


@pytest.mark.parametrize(
    ("count", "severity"),
    [(0, Severity.OK), (90, Severity.WARNING), (100, Severity.PROBLEM)],
)
def test_a_table_of_connections_that_fills_up_is_told(count: int, severity: Severity) -> None:
    facts = stories.facts(system=stories.system(conntrack=(count, 100)))
    (found,) = checks_resources.conntrack(facts)
    assert found.severity is severity
    if severity is not Severity.OK:
        assert found.cure is not None
        assert "dport { 4789, 789 } notrack" in found.cure
        assert "nf_conntrack_max=200" in found.cure


def test_what_the_host_does_not_show_is_no_finding() -> None:
    facts = stories.facts(system=stories.system(udp_pages=None, conntrack=None))
    assert checks_resources.check(facts) == []
