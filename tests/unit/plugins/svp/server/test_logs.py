"""What hosts have still to hear."""

from ipaddress import ip_address
from uuid import UUID

from varpd.net.addresses import MacAddress
from varpd.plugins.svp.log_messages import Vl2Record, Vl3Record
from varpd.plugins.svp.server.logs import Logs

ONE, TWO = ip_address("192.0.2.1"), ip_address("192.0.2.2")
MAC = MacAddress.parse("02:00:5e:00:00:01")
MOVED = Vl2Record(UUID(int=0), MAC, 7)
GIVEN = Vl3Record(UUID(int=0), ip_address("10.0.0.1"), 0, 7)
ALL = 1_000


def logs(total: int = 100) -> Logs:
    made = Logs(total)
    made.follow([ONE, TWO])
    return made


def test_each_host_has_records_of_its_own_until_it_removes_them() -> None:
    made = logs()
    made.add([MOVED, GIVEN])
    one, two = made.read(ONE, ALL), made.read(TWO, ALL)
    assert one is not None
    assert two is not None
    assert [type(each) for each in one] == [Vl2Record, Vl3Record]
    assert {each.id for each in one}.isdisjoint({each.id for each in two})
    made.remove([one[0].id, UUID(int=99)])
    assert made.read(ONE, ALL) == one[1:]
    assert made.read(TWO, ALL) == two


def test_no_more_is_read_than_was_asked_for() -> None:
    made = logs()
    made.add([MOVED, GIVEN])
    found = [made.read(ONE, count) for count in (31, 32, 75, 76)]
    assert [len(each or ()) for each in found] == [0, 1, 1, 2]


def test_a_host_that_is_not_known_has_no_log() -> None:
    assert logs().read(ip_address("192.0.2.3"), ALL) is None


def test_a_host_that_reads_nothing_loses_the_oldest() -> None:
    made = logs(total=4)
    made.add([MOVED, GIVEN, MOVED])
    assert [type(each) for each in made.read(ONE, ALL) or ()] == [Vl3Record, Vl2Record]
    assert made.lost == 2


def test_a_host_that_goes_takes_its_log_along() -> None:
    made = logs()
    made.add([MOVED])
    before = made.read(ONE, ALL)
    made.follow([ONE])
    assert (made.read(ONE, ALL), made.read(TWO, ALL)) == (before, None)
    made.follow([ONE, TWO])
    assert made.read(TWO, ALL) == ()
