"""``overlayadm modify``."""

from collections.abc import Callable

import pytest
from click.testing import Result

from support.fake_service import FakeService
from varpd.control.messages import TargetInfo

Run = Callable[..., Result]

MAC = "02:00:00:00:00:01"
LEARNED = TargetInfo("web0", MAC, "192.0.2.9", 4789, "valid", "plugin", 1.0)


@pytest.fixture(autouse=True)
def _an_overlay(service: FakeService) -> None:
    service.add("web0", targets=[LEARNED])


def table(service: FakeService) -> list[tuple[str | None, str | None, int | None, str]]:
    return [(t.mac, t.ip, t.port, t.state) for t in service.table["web0"].targets]


@pytest.mark.parametrize("option", ["-s", "--set-entry"])
@pytest.mark.parametrize(
    ("target", "ip", "port", "state"),
    [
        ("192.0.2.7:4790", "192.0.2.7", 4790, "valid"),
        ("[2001:db8::7]:4789", "2001:db8::7", 4789, "valid"),
        ("drop", None, None, "blocked"),
    ],
)
def test_an_entry_is_set(
    run: Run, service: FakeService, option: str, target: str, ip: str, port: int, state: str
) -> None:
    result = run("modify", "web0", option, f"{MAC}={target}")
    assert (result.exit_code, result.output) == (0, "")
    assert table(service) == [(MAC, ip, port, state)]


@pytest.mark.parametrize("option", ["-d", "--delete-entry"])
def test_an_entry_is_deleted(run: Run, service: FakeService, option: str) -> None:
    assert run("modify", "web0", option, MAC).exit_code == 0
    assert table(service) == []


@pytest.mark.parametrize("option", ["-f", "--flush-table"])
def test_a_flush_keeps_what_the_administrator_set(
    run: Run, service: FakeService, option: str
) -> None:
    run("modify", "web0", "-s", "02:00:00:00:00:02=drop")
    assert run("modify", "web0", option).exit_code == 0
    assert table(service) == [("02:00:00:00:00:02", None, None, "blocked")]


def test_several_properties_are_set_in_one_request(run: Run, service: FakeService) -> None:
    result = run("modify", "web0", "-p", "mtu=1400", "--prop", "files/config=/a,b=c")
    assert result.exit_code == 0
    assert service.table["web0"].values["mtu"] == 1400
    assert service.table["web0"].values["files/config"] == "/a,b=c"


def test_of_several_properties_none_is_set_if_one_is_wrong(run: Run, service: FakeService) -> None:
    result = run("modify", "web0", "-p", "mtu=1400", "-p", "colour=red")
    assert (result.exit_code, result.stderr) == (1, "overlayadm: there is no property 'colour'\n")
    assert "mtu" not in service.table["web0"].values


def test_an_empty_value_goes_back_to_the_default(run: Run, service: FakeService) -> None:
    run("modify", "web0", "-p", "mtu=1400")
    assert run("modify", "web0", "-p", "mtu=").exit_code == 0
    assert "mtu" not in service.table["web0"].values


@pytest.mark.parametrize(
    "arguments",
    [
        ["-s", "nonsense=drop"],
        ["-s", "../../web1=drop"],
        ["-s", f"{MAC}=nowhere"],
        ["-d", "nonsense"],
        ["-d", ""],
        ["-p", "vxlan/listen_port=4790"],
    ],
)
def test_what_the_daemon_refuses_is_status_1_and_one_line(
    run: Run, service: FakeService, arguments: list[str]
) -> None:
    result = run("modify", "web0", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("overlayadm: ")
    assert result.stderr.count("\n") == 1
    assert table(service) == [(MAC, "192.0.2.9", 4789, "valid")]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-f", "-d", MAC],
        ["-f", "-p", "mtu=1400"],
        ["-d", MAC, "-s", f"{MAC}=drop"],
        ["-s", f"{MAC}=drop", "-s", "02:00:00:00:00:02=drop"],
        ["-d", MAC, "-d", "02:00:00:00:00:02"],
        ["-s", MAC],
        ["-p", "mtu"],
        ["-p", "mtu=1", "-p", "mtu=2"],
    ],
)
def test_anything_but_one_kind_of_action_is_status_2_and_changes_nothing(
    run: Run, service: FakeService, arguments: list[str]
) -> None:
    before = dict(service.table["web0"].values)
    assert run("modify", "web0", *arguments).exit_code == 2
    assert table(service) == [(MAC, "192.0.2.9", 4789, "valid")]
    assert service.table["web0"].values == before
