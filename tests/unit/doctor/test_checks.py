"""All checks together."""

from pathlib import Path
from typing import Final

import pytest
from msgspec import structs

from support import stories
from varpd.doctor import checks
from varpd.doctor.facts import Facts, PeerFact
from varpd.doctor.findings import Severity

DOCUMENT: Final = Path(__file__).resolve().parents[3] / "docs" / "troubleshooting.md"


def test_a_host_that_is_well_has_nothing_but_good_findings() -> None:
    found = checks.run(stories.facts())
    assert [item for item in found if item.severity is not Severity.OK] == []
    assert len(found) >= 8


def test_a_host_of_which_nothing_is_known_still_gets_an_answer() -> None:
    found = checks.run(Facts(version="1", links=None))
    assert [item.check for item in found if item.severity is Severity.PROBLEM] == ["daemon"]


def test_every_finding_that_is_not_good_has_a_cure() -> None:
    bad = stories.facts(
        stories.overlay(listen_ip="192.0.2.9", mtu=9000), links=(), ruleset=None, version="9"
    )
    found = [item for item in checks.run(bad) if item.severity is not Severity.OK]
    assert len(found) >= 4
    assert all(item.cure for item in found)


def test_in_another_namespace_only_what_the_daemon_says_counts() -> None:
    told = stories.diagnosis(stories.overlay(), namespace="net:[1]")
    bad = stories.facts(
        diagnosis=told,
        links=(structs.replace(stories.DEVICE, localbypass=True, up=False),),
        system=stories.system(conntrack=(9, 9), bridge_filters=("iptables",)),
        peers=(PeerFact(stories.FAR, stories.LISTEN),),
    )
    found = [item for item in checks.run(bad) if item.severity is not Severity.OK]
    assert [item.check for item in found] == ["namespace"]


@pytest.mark.parametrize("name", checks.NAMES)
def test_every_check_is_explained(name: str) -> None:
    assert f"### {name}\n" in DOCUMENT.read_text(encoding="utf-8")


def test_findings_have_the_names_that_are_explained() -> None:
    assert {item.check for item in checks.run(stories.facts())} <= set(checks.NAMES)
