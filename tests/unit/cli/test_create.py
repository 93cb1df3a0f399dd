"""``overlayadm create``."""

from collections.abc import Callable

import pytest
from click.testing import Result

from support.fake_service import FakeService
from varpd.control.messages import CreateOverlay

Run = Callable[..., Result]

FILES = (
    "-s", "files", "-p", "vxlan/listen_ip=192.0.2.1", "-p", "files/config=/etc/overlay/web.json",
)  # fmt: skip


def test_an_overlay_is_made_in_silence(run: Run, service: FakeService) -> None:
    result = run("create", "web0", "-v", "23", *FILES)
    assert (result.exit_code, result.output) == (0, "")
    assert service.table["web0"].request == CreateOverlay(
        "web0",
        23,
        "files",
        properties={
            "vxlan/listen_ip": "192.0.2.1",
            "files/config": "/etc/overlay/web.json",
        },
    )


def test_long_and_short_options_are_the_same(run: Run, service: FakeService) -> None:
    short = run("create", "web0", "-v", "0x17", "-e", "vxlan", "-t", *FILES)
    long = run(
        "create", "web1", "--vnetid=23", "--encap=vxlan", "--temporary", "--search=files",
        "--prop=vxlan/listen_ip=192.0.2.1", "--prop=files/config=/etc/overlay/web.json",
    )  # fmt: skip
    assert (short.exit_code, long.exit_code) == (0, 0)
    first, second = service.created
    assert first.temporary
    assert (first.vnetid, first.encap, first.search, first.properties, first.temporary) == (
        second.vnetid, second.encap, second.search, second.properties, second.temporary
    )  # fmt: skip


def test_a_property_is_not_split_at_commas(run: Run, service: FakeService) -> None:
    run("create", "web0", "-v", "1", *FILES[:-1], "files/config=/a,mtu=9000,b")
    assert service.created[0].properties["files/config"] == "/a,mtu=9000,b"


def test_a_property_that_is_empty_is_left_at_its_default(run: Run, service: FakeService) -> None:
    assert run("create", "web0", "-v", "1", *FILES, "-p", "mtu=").exit_code == 0
    assert service.created[0].properties["mtu"] is None


def test_all_missing_properties_are_named_at_once(run: Run) -> None:
    result = run("create", "web0", "-v", "23", "-s", "files")
    assert result.exit_code == 1
    assert result.stderr == (
        "overlayadm: required properties are not set: vxlan/listen_ip, files/config\n"
    )


def test_an_unknown_plugin_is_refused_and_the_known_are_named(run: Run) -> None:
    result = run("create", "web0", "-v", "23", "-s", "svp")
    assert result.exit_code == 1
    assert result.stderr == "overlayadm: no plugin 'svp'; there are direct, files\n"


def test_an_overlay_that_works_badly_is_made_and_said_to(run: Run, service: FakeService) -> None:
    service.create_degraded = "the file is broken"
    result = run("create", "web0", "-v", "23", *FILES)
    assert result.exit_code == 0
    assert result.stderr == "overlayadm: web0 is made, and degraded: the file is broken\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["create"],
        ["create", "web0"],
        ["create", "web0", "-v", "23"],
        ["create", "web0", "-s", "files"],
        ["create", "-v", "23", "-s", "files"],
        ["create", "web0", "extra", "-v", "23", "-s", "files"],
        ["create", "web0", "-v", "-23", "-s", "files"],
        ["create", "web0", "-v", "23x", "-s", "files"],
        ["create", "web0", "-v", "23", "-s", "files", "-p", "mtu"],
        ["create", "web0", "-v", "23", "-s", "files", "-p", "mtu=1", "-p", "mtu=2"],
        ["create", "web0", "-v", "23", "-s", "files", "--colour"],
    ],
)
def test_a_wrong_command_line_is_status_2_and_asks_for_nothing(
    run: Run, service: FakeService, arguments: list[str]
) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr
    assert service.created == []
