"""Ports whose frames to reserved addresses are bridged."""

import errno

from support.fake_kernel import FakeKernel
from varpd.datapath.linux.guard import links


def test_each_port_is_closed() -> None:
    kernel = FakeKernel()
    one, two = kernel.put("a", "veth"), kernel.put("b", "veth")
    assert links.close_ports(kernel, [one.index, two.index]) is None
    assert kernel.done == ["forwards 4 a", "forwards 4 b"]


def test_a_port_that_is_gone_needs_nothing() -> None:
    kernel = FakeKernel()
    kernel.refusals["forwards 4 77"] = errno.ENODEV
    assert links.close_ports(kernel, [77]) is None


def test_a_refusal_is_told() -> None:
    kernel = FakeKernel()
    port = kernel.put("a", "veth")
    kernel.refusals["forwards 4 a"] = errno.EINVAL
    assert "01:80:c2:00:00:02" in (links.close_ports(kernel, [port.index]) or "")
