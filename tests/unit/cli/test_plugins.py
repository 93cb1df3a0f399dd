"""``overlayadm plugins``."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from support.fake_service import FakeService
from varpd.control.messages import PluginsInfo

Run = Callable[..., Result]


def test_plugins_encapsulations_and_refusals_are_shown(run: Run) -> None:
    result = run("plugins")
    assert result.exit_code == 0
    assert result.stdout == (
        "PLUGIN              MODE    API ORIGIN\n"
        "direct              point   1   varpd 0.1.0\n"
        "files               dynamic 1   varpd 0.1.0\n"
        "\n"
        "PLUGIN              PROPERTY            PERM REQ DEFAULT   POSSIBLE\n"
        "direct              direct/dest_ip      rw   y   --        --\n"
        "direct              direct/dest_port    rw   y   --        1-65535\n"
        "files               files/config        rw   y   --        --\n"
        "\n"
        "ENCAPSULATION       NEEDS       VNETID        DATAPATHS\n"
        "vxlan               ip,port     0-16777215    linux,memory\n"
        "\n"
        "REFUSED                                 REASON            DETAILS\n"
        "/usr/lib/varpd/plugins/old.py:7         bad-version       "
        "it states API version 9, this varpd has 1\n"
    )


def test_json_has_all_of_it(run: Run) -> None:
    shown = json.loads(run("plugins", "--json").stdout)
    assert [plugin["name"] for plugin in shown["plugins"]] == ["direct", "files"]
    assert shown["refused"][0]["reason"] == "bad-version"
    assert shown["encapsulations"] == [
        {
            "name": "vxlan",
            "kinds": ["ip", "port"],
            "vnetid_max": 16777215,
            "datapaths": ["linux", "memory"],
        }
    ]


def test_where_nothing_is_there_is_nothing_but_headers(
    run: Run, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing() -> PluginsInfo:
        return PluginsInfo((), (), ())

    monkeypatch.setattr(service, "plugins", nothing)
    assert run("plugins").stdout.splitlines() == [
        "PLUGIN              MODE    API ORIGIN",
        "",
        "ENCAPSULATION       NEEDS       VNETID        DATAPATHS",
    ]
