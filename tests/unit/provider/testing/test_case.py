"""Tests of what the suite is told of a plugin."""

from support.probes import ONE, WEB, GoodProbe, PointProbe
from varpd.provider import DestinationKind, Unsupported
from varpd.provider.testing.case import Case


def test_its_host_is_for_what_the_encapsulation_needs() -> None:
    case = Case(plugin=GoodProbe, destination=DestinationKind.IP, local=ONE)
    host = case.make_host()
    assert host.local == ONE

    refused = 0
    for made in (host, case.make_host(DestinationKind.PORT)):
        try:
            made.set_target(WEB, ONE)
        except ValueError:
            refused += 1
    assert refused == 2


def test_the_host_of_a_point_plugin_refuses_to_hear_of_macs() -> None:
    host = Case(plugin=PointProbe).make_host()
    try:
        host.invalidate(WEB)
    except Unsupported:
        return
    raise AssertionError("it was heard")
