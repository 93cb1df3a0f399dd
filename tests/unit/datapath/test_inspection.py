"""What a datapath has for one MAC."""

from ipaddress import IPv4Address

from varpd.datapath.inspection import BridgeRow, DeviceRow, MacRows
from varpd.provider.answers import Target


def test_rows_that_say_the_same_are_equal() -> None:
    target = Target(IPv4Address("192.0.2.2"), 4789)
    made = [
        MacRows(DeviceRow((target,)), BridgeRow("vx-blue", is_tunnel=True), None, punts=True)
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert made[0].device is not None
    assert made[0].device.used_s is None
