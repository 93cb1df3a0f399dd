"""Every refusal of `open`, for real: one clear sentence, and nothing is left behind."""

import asyncio
import os
import socket
import subprocess
import sys

import pytest

from support.linux_host import Recorder, link_names, make_link, run, running
from support.namespaces import Namespace
from varpd.datapath.base import DatapathError, DatapathErrorCode, Link
from varpd.engine.settings import Mode

pytestmark = pytest.mark.integration


async def refusal(host: Namespace, link: Link) -> DatapathError:
    """Return why `link` cannot be opened, and see that nothing changed."""
    links, addresses = await link_names(host), await run(host, "ip", "address", "show", "lo")
    async with running(Recorder()) as datapath:
        with pytest.raises(DatapathError) as refused:
            await datapath.open(link)
        assert await link_names(host) == links
        assert await run(host, "ip", "address", "show", "lo") == addresses
        with pytest.raises(DatapathError):
            await datapath.state(link.name)
    assert str(refused.value)
    assert "\n" not in str(refused.value)
    return refused.value


@pytest.mark.parametrize("name", ["all", "default", "lo", "thirteen-char", "a/b", "..", "a b", ""])
async def test_a_name_that_no_bridge_can_have(host: Namespace, name: str) -> None:
    assert (await refusal(host, make_link(name))).code is DatapathErrorCode.NAME_TAKEN


@pytest.mark.parametrize("name", ["blue", "vx-blue"])
async def test_a_foreign_link_of_that_name(host: Namespace, name: str) -> None:
    await run(host, "ip", "link", "add", name, "type", "bridge")
    await run(host, "ip", "link", "set", name, "alias", "varpd:red")

    error = await refusal(host, make_link())

    assert error.code is DatapathErrorCode.NAME_TAKEN
    assert f"ip link delete {name}" in str(error)
    assert "varpd:red" in str(error)


@pytest.mark.parametrize("ip", ["203.0.113.1", "2001:db8::99", "192.0.2.2"])
async def test_an_address_that_is_not_here(host: Namespace, ip: str) -> None:
    error = await refusal(host, make_link(listen_ip=ip))
    assert error.code is DatapathErrorCode.NO_SUCH_ADDRESS
    assert ip in str(error)


async def test_a_port_that_another_program_has(host: Namespace) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("0.0.0.0", 4789))
        error = await refusal(host, make_link())
    assert error.code is DatapathErrorCode.PORT_IN_USE
    assert "4789" in str(error)


async def test_a_vnetid_that_another_device_has(host: Namespace) -> None:
    await run(
        host,
        *("ip", "link", "add", "theirs", "type", "vxlan", "id", "42"),
        *("local", "192.0.2.1", "dstport", "4789"),
    )
    error = await refusal(host, make_link())
    assert error.code is DatapathErrorCode.VNETID_TAKEN
    assert "theirs" in str(error)


async def test_a_punt_address_that_another_program_has(host: Namespace) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.86.0.7", 789))
        error = await refusal(host, make_link())
    assert error.code is DatapathErrorCode.PORT_IN_USE
    assert "127.86.0.7" in str(error)


@pytest.mark.parametrize(
    ("ip", "hook", "rule"),
    [
        ("192.0.2.1", "input", "iif lo drop"),
        ("192.0.2.1", "output", "oif lo drop"),
        ("192.0.2.1", "input", "iif lo ip saddr != 127.0.0.0/8 drop"),
        ("2001:db8::1", "input", "iif lo drop"),
    ],
)
async def test_a_firewall_on_the_way_of_punted_frames(
    host: Namespace, ip: str, hook: str, rule: str
) -> None:
    await run(host, "nft", "add", "table", "inet", "strict")
    chain = f"{{ type filter hook {hook} priority 0 ; }}"
    await run(host, "nft", "add", "chain", "inet", "strict", "closed", chain)
    await run(host, "nft", "add", "rule", "inet", "strict", "closed", *rule.split())

    error = await refusal(host, make_link(listen_ip=ip))

    assert error.code is DatapathErrorCode.PUNT_PATH_CLOSED
    assert "firewall" in str(error)
    # The same without punts is not refused.
    async with running(Recorder()) as datapath:
        await datapath.open(make_link(listen_ip=ip, mode=Mode.POINT))


async def test_no_loopback_interface(host: Namespace) -> None:
    await run(host, "ip", "link", "add", "port", "type", "veth", "peer", "name", "far")
    await run(host, "ip", "link", "set", "port", "up")
    await run(host, "ip", "link", "set", "far", "up")
    await run(host, "ip", "address", "del", "192.0.2.1/32", "dev", "lo")
    await run(host, "ip", "address", "add", "192.0.2.1/24", "dev", "port")
    await run(host, "ip", "link", "set", "lo", "down")

    error = await refusal(host, make_link())

    assert error.code is DatapathErrorCode.PUNT_PATH_CLOSED
    assert "ip link set lo up" in str(error)


UNPRIVILEGED = """
import asyncio
from support.linux_host import Recorder, make_link, running
from varpd.datapath.base import DatapathError
from varpd.engine.settings import Mode

async def main():
    async with running(Recorder()) as datapath:
        try:
            await datapath.open(make_link(mode=Mode.{mode}))
        except DatapathError as error:
            print(error.code.name, error)

asyncio.run(main())
"""


@pytest.mark.parametrize("mode", ["POINT", "DYNAMIC"])
async def test_no_permission(host: Namespace, mode: str) -> None:
    before = await link_names(host)
    # The same user, who can read this tree wherever it lies, without any capability.
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c"]
    done = await asyncio.to_thread(
        subprocess.run,
        [*command, UNPRIVILEGED.format(mode=mode)],
        check=False,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert done.stdout.startswith("PERMISSION"), done.stderr
    assert "CAP_NET_ADMIN" in done.stdout
    assert await link_names(host) == before


async def test_an_mtu_that_the_kernel_refuses_changes_nothing(host: Namespace) -> None:
    async with running(Recorder()) as datapath:
        await datapath.open(make_link())
        with pytest.raises(DatapathError, match="MTU"):
            await datapath.change(make_link(mtu=67))
        assert (await datapath.state("blue")).mtu == 1500


async def test_a_refused_takeover_keeps_the_bridge_with_its_guests(host: Namespace) -> None:
    async with running(Recorder()) as datapath:
        await datapath.open(make_link())
    await run(host, "ip", "link", "add", "port", "type", "veth", "peer", "name", "far")
    await run(host, "ip", "link", "set", "port", "master", "blue")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("0.0.0.0", 4790))
        async with running(Recorder()) as datapath:
            with pytest.raises(DatapathError) as refused:
                await datapath.open(make_link(listen_port=4790))
            assert refused.value.code is DatapathErrorCode.PORT_IN_USE
    assert await link_names(host) >= {"blue", "port"}


async def test_no_route_has_no_path_mtu(host: Namespace) -> None:
    await run(host, "ip", "link", "add", "port", "type", "veth", "peer", "name", "far")
    await run(host, "ip", "link", "set", "port", "mtu", "1450", "up")
    await run(host, "ip", "link", "set", "far", "up")
    await run(host, "ip", "route", "add", "198.51.100.0/24", "dev", "port")
    await run(host, "ip", "route", "add", "198.51.101.0/24", "dev", "port", "mtu", "1300")
    here = make_link().listen_ip
    async with running(Recorder()) as datapath:
        plain = make_link(listen_ip="198.51.100.1").listen_ip
        narrow = make_link(listen_ip="198.51.101.1").listen_ip
        assert await datapath.path_mtu(here, plain) == 1450
        assert await datapath.path_mtu(here, narrow) == 1300
        with pytest.raises(DatapathError, match="no route"):
            await datapath.path_mtu(here, make_link(listen_ip="203.0.113.1").listen_ip)
