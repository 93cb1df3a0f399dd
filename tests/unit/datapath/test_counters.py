"""What a datapath counts."""

from varpd.datapath.counters import HostCounters, OverlayCounters
from varpd.engine.histogram import Distribution


def test_nothing_has_been_counted_at_first() -> None:
    for counters in (OverlayCounters(), HostCounters()):
        values = [getattr(counters, name) for name in counters.__struct_fields__]
        assert {value for value in values if not isinstance(value, Distribution)} == {0}
        assert counters.miss_to_row.count == 0
