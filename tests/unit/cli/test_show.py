"""``overlayadm show``."""

import json
from collections.abc import Callable, Sequence

import pytest
from click.testing import Result

from support.fake_service import FakeService
from varpd.control.messages import CauseInfo, ControlError, ErrorCode, OverlayInfo, TargetInfo

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _overlays(service: FakeService) -> None:
    service.add(
        "web0",
        targets=[
            TargetInfo("web0", "02:00:00:00:00:01", "192.0.2.7", 4789, "valid", "plugin", 1.5),
            TargetInfo("web0", "02:00:00:00:00:02", "2001:db8::7", 4789, "stale", "plugin", 2.5),
            TargetInfo("web0", "02:00:00:00:00:03", None, None, "blocked", "administrator", 3.0),
            TargetInfo("web0", "02:00:00:00:00:04", None, None, "pending", "plugin", 0.5),
            TargetInfo("web0", "02:00:00:00:00:05", "192.0.2.8", None, "valid", "plugin", 0.5),
        ],
    )
    service.add(
        "point0",
        "direct",
        24,
        [TargetInfo("point0", None, "192.0.2.9", 4789, "valid", "plugin", None)],
        (CauseInfo("plugin", "no answer from the server", "2026-01-02T03:04:05Z"),),
    )


def test_the_properties_are_shown_in_the_columns_that_illumos_has(run: Run) -> None:
    result = run("show", "web0")
    assert result.exit_code == 0
    assert result.stdout == (
        "LINK               PROPERTY           PERM REQ VALUE                 DEFAULT   POSSIBLE\n"
        "web0               mtu                rw   -   1450                  1450      576-8900\n"
        "web0               vnetid             r-   y   23                    --        "
        "0-16777215\n"
        "web0               encap              r-   y   vxlan                 --        vxlan\n"
        "web0               search             r-   y   files                 --        --\n"
        "web0               vxlan/listen_ip    rw   y   192.0.2.1             --        --\n"
        "web0               vxlan/listen_port  rw   -   4789                  4789      1-65535\n"
        "web0               files/config       rw   y   /etc/overlay/web.json --        --\n"
    )


@pytest.mark.parametrize("option", ["-f", "--fault"])
def test_the_faults_are_shown(run: Run, option: str) -> None:
    assert run("show", option).stdout == (
        "LINK                STATUS   DETAILS\n"
        "point0              DEGRADED no answer from the server\n"
        "web0                ONLINE   -\n"
    )


@pytest.mark.parametrize("option", ["-t", "--targets"])
def test_the_tables_are_shown(run: Run, option: str) -> None:
    assert run("show", option).stdout == (
        "LINK                TARGET            DESTINATION\n"
        "point0              *:*:*:*:*:*       192.0.2.9:4789\n"
        "web0                02:00:00:00:00:01 192.0.2.7:4789\n"
        "web0                02:00:00:00:00:02 [2001:db8::7]:4789\n"
        "web0                02:00:00:00:00:03 drop\n"
        "web0                02:00:00:00:00:04 --\n"
        "web0                02:00:00:00:00:05 192.0.2.8\n"
    )


def test_without_names_all_are_shown_in_order(run: Run) -> None:
    lines = run("show", "--parsable", "-o", "link,property").stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["point0"] * 8 + ["web0"] * 7


def test_named_overlays_are_shown_as_they_are_named(run: Run) -> None:
    lines = run("show", "-f", "--parsable", "-o", "link", "web0", "point0").stdout.splitlines()
    assert lines == ["web0", "point0"]


def test_fields_for_scripts_have_no_header_and_are_escaped(run: Run) -> None:
    result = run("show", "-t", "--parsable", "-o", "target,destination,link", "web0")
    assert result.stdout.splitlines()[1:4] == [
        "02\\:00\\:00\\:00\\:00\\:02:[2001\\:db8\\:\\:7]\\:4789:web0",
        "02\\:00\\:00\\:00\\:00\\:03:drop:web0",
        "02\\:00\\:00\\:00\\:00\\:04::web0",
    ]


def test_one_field_for_scripts_is_as_it_is(run: Run) -> None:
    result = run("show", "-t", "--parsable", "-o", "target", "point0")
    assert result.stdout == "*:*:*:*:*:*\n"


def test_fields_may_be_chosen_for_a_table(run: Run) -> None:
    assert run("show", "-f", "-o", "status,link", "web0").stdout == ("STATUS  LINK\nONLINE  web0\n")


def test_json_is_the_list_that_scripts_rely_on(run: Run) -> None:
    for option in ([], ["-f"]):
        shown = json.loads(run("show", *option, "--json").stdout)
        assert [overlay["name"] for overlay in shown] == ["point0", "web0"]
        assert shown[0] == {
            "name": "point0",
            "vnetid": 24,
            "encap": "vxlan",
            "search": "direct",
            "mode": "point",
            "state": "degraded",
            "detail": "no answer from the server",
            "causes": [
                {
                    "cause": "plugin",
                    "message": "no answer from the server",
                    "since": "2026-01-02T03:04:05Z",
                }
            ],
            "properties": {
                "mtu": 1450,
                "vnetid": 24,
                "encap": "vxlan",
                "search": "direct",
                "vxlan/listen_ip": "192.0.2.1",
                "vxlan/listen_port": 4789,
                "direct/dest_ip": None,
                "direct/dest_port": None,
            },
            "temporary": False,
        }


def test_json_of_the_tables_has_an_object_a_target(run: Run) -> None:
    shown = json.loads(run("show", "-t", "--json").stdout)
    assert [target["mac"] for target in shown][:2] == [None, "02:00:00:00:00:01"]
    assert shown[3] == {
        "overlay": "web0",
        "mac": "02:00:00:00:00:03",
        "ip": None,
        "port": None,
        "state": "blocked",
        "origin": "administrator",
        "age_s": 3.0,
    }


@pytest.mark.parametrize("options", [[], ["-f"], ["-t"], ["--json"], ["-t", "--json"]])
def test_an_unknown_name_is_an_error_and_the_others_are_shown(run: Run, options: list[str]) -> None:
    result = run("show", *options, "nowhere", "web0", "nobody")
    assert result.exit_code == 1
    assert "web0" in result.stdout
    assert result.stderr == (
        "overlayadm: there is no overlay 'nowhere'\noverlayadm: there is no overlay 'nobody'\n"
    )


@pytest.mark.parametrize("option", ["--fault", "--json"])
def test_all_overlays_are_asked_for_once(
    run: Run, service: FakeService, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    asked: list[Sequence[str]] = []
    overlays = service.overlays

    async def counted(names: Sequence[str]) -> list[OverlayInfo]:
        asked.append(names)
        return await overlays(names)

    monkeypatch.setattr(service, "overlays", counted)
    assert "point0" in run("show", option).stdout
    assert asked == [[]]


def test_an_overlay_that_goes_while_all_are_listed_is_no_error(
    run: Run, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(name: str) -> None:
        raise ControlError(ErrorCode.NOT_FOUND, f"there is no overlay {name!r}")

    monkeypatch.setattr(service, "properties", gone)
    result = run("show")
    assert (result.exit_code, result.stderr) == (0, "")


def test_an_overlay_that_fails_while_all_are_listed_is_an_error(
    run: Run, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(name: str) -> None:
        raise ControlError(ErrorCode.BUSY, f"{name} is being changed")

    monkeypatch.setattr(service, "properties", busy)
    result = run("show")
    assert result.exit_code == 1
    assert (
        result.stderr == "overlayadm: point0 is being changed\noverlayadm: web0 is being changed\n"
    )


def test_without_overlays_there_is_a_header_and_an_empty_list(
    run: Run, service: FakeService
) -> None:
    service.table.clear()
    assert run("show", "-f").stdout == "LINK                STATUS  DETAILS\n"
    assert run("show", "--json").stdout == "[]\n"
    assert run("show", "--parsable", "-o", "link").stdout == ""


@pytest.mark.parametrize(
    "options",
    [
        ["-f", "-t"],
        ["--parsable"],
        ["--json", "--parsable", "-o", "link"],
        ["--json", "-o", "link"],
        ["-o", "colour"],
        ["-o", ""],
        ["-f", "-o", "target"],
    ],
)
def test_options_that_do_not_go_together_are_status_2(run: Run, options: list[str]) -> None:
    result = run("show", *options)
    assert (result.exit_code, result.stdout) == (2, "")
