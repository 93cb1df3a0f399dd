"""Facts about a host."""

from support import stories


def test_a_link_is_found_by_its_name() -> None:
    facts = stories.facts()
    assert facts.link("vx-blue") == stories.DEVICE
    assert facts.link("nowhere") is None
    assert facts.link(None) is None


def test_without_a_daemon_there_are_no_overlays() -> None:
    facts = stories.facts(diagnosis=None)
    assert facts.overlays == ()
    assert facts.same_namespace


def test_the_namespaces_differ_only_where_both_are_known() -> None:
    elsewhere = stories.diagnosis(namespace="net:[1]")
    assert not stories.facts(diagnosis=elsewhere).same_namespace
    unknown = stories.diagnosis(namespace=None)
    assert stories.facts(diagnosis=unknown).same_namespace
