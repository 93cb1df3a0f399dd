"""The kernel's datapath where nothing is open; all else is tested with the kernel."""

from ipaddress import ip_address

import pytest

from support.linux_host import Recorder, target
from varpd.datapath.base import Datapath, DatapathError
from varpd.datapath.linux.datapath import LinuxDatapath
from varpd.engine.commands import AskUsage, DatapathCommand, Inject, Install, Resend

MAC = b"\2\0\0\0\0\1"


def test_it_is_a_datapath() -> None:
    datapath: Datapath = LinuxDatapath(Recorder())
    assert (datapath.name, datapath.encapsulations) == ("linux", ("vxlan",))


@pytest.mark.parametrize(
    "command",
    [
        Install("blue", target("198.51.100.1"), [MAC], [bytes(60)]),
        Resend("blue", target("198.51.100.1"), [bytes(60)]),
        Inject("blue", [bytes(60)]),
        AskUsage("blue", [MAC]),
    ],
)
def test_commands_for_an_overlay_that_is_not_open_are_ignored(command: DatapathCommand) -> None:
    sink = Recorder()
    LinuxDatapath(sink).apply([command])
    assert sink.events == []


async def test_there_is_no_state_of_an_overlay_that_is_not_open() -> None:
    datapath = LinuxDatapath(Recorder())
    with pytest.raises(DatapathError, match="blue"):
        await datapath.state("blue")
    assert await datapath.dump("blue") == []


async def test_nothing_can_be_closed_before_the_start() -> None:
    with pytest.raises(DatapathError, match="not running"):
        await LinuxDatapath(Recorder()).close("blue")


async def test_the_path_to_this_host_is_known_without_the_kernels_thread() -> None:
    here = ip_address("127.0.0.1")
    assert await LinuxDatapath(Recorder()).path_mtu(here, here) >= 1280
