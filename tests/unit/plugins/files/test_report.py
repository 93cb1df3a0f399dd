"""What the operator is told of a mapping file."""

from ipaddress import IPv4Address, IPv6Address

from varpd.net.addresses import MacAddress
from varpd.plugins.files.content import Content
from varpd.plugins.files.difference import Difference
from varpd.plugins.files.errors import FilesError
from varpd.plugins.files.loader import Loaded
from varpd.plugins.files.report import Report
from varpd.provider import Target
from varpd.provider.testing import Degraded, FakeHost, Restored

A, B = (MacAddress(bytes([2, 0, 0, 0, 0, last])) for last in (1, 2))
SIX = Target(ip=IPv6Address("2001:db8::1"), port=4789)


def at_work() -> tuple[Report, FakeHost]:
    host = FakeHost()
    host.started()
    return Report(host), host


def loaded(content: Content | None = None, *unknown_keys: str) -> Loaded:
    return Loaded(content or Content(), (0, 0, 0, 0, 0), frozenset(unknown_keys))


def warnings(host: FakeHost) -> list[tuple[str, dict[str, object]]]:
    return [(event, values) for level, event, values in host.log.lines if level == "warning"]


def test_how_many_mappings_were_read_is_logged() -> None:
    report, host = at_work()
    report.read("/m.json", loaded(Content(targets={A: SIX}, other_family={B: SIX})))

    assert ("info", "mappings read", {"file": "/m.json", "mappings": 2}) in host.log.lines


def test_each_unknown_key_is_warned_of_once() -> None:
    report, host = at_work()
    report.read("/m.json", loaded(None, "b", "a"))
    report.read("/m.json", loaded(None, "a", "c"))

    assert [values["keys"] for _, values in warnings(host)] == [["a", "b"], ["c"]]


def test_targets_of_the_other_family_are_warned_of_when_their_number_changes() -> None:
    report, host = at_work()
    one, two = Content(other_family={A: SIX}), Content(other_family={A: SIX, B: SIX})
    for content in (one, one, two, Content(), one):
        report.read("/m.json", loaded(content))

    assert [values["mappings"] for _, values in warnings(host)] == [1, 2, 1]
    assert warnings(host)[0][1] | {"mappings": 1} == {
        "file": "/m.json",
        "mappings": 1,
        "first": str(A),
        "ip": "2001:db8::1",
    }


def test_a_change_is_logged_unless_there_is_none() -> None:
    report, host = at_work()
    report.changed(Difference([], []))
    assert host.log.lines == []

    report.changed(Difference([A], [(IPv4Address("10.0.0.1"), B)]))
    values = {"mappings": 1, "addresses_moved": 1}
    assert host.log.lines == [("info", "mappings changed", values)]


def test_a_broken_file_degrades_until_it_is_well() -> None:
    report, host = at_work()
    report.well("/m.json")
    report.broken(FilesError("/m.json", "oops", 3))
    report.well("/m.json")
    report.well("/m.json")

    assert host.said == [
        Degraded("/m.json: line 3: oops; the old mappings stay in force"),
        Restored(),
    ]
    assert [level for level, _, _ in host.log.lines] == ["error", "info"]


def test_of_a_long_path_the_message_has_the_end() -> None:
    report, host = at_work()
    report.broken(FilesError("/" + "x" * 4000 + "/m.json", "oops", 3))

    assert host.degraded is not None
    assert host.degraded.startswith("...xxx")
    assert "xxx/m.json: line 3: oops; the old" in host.degraded
