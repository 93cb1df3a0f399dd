"""The report: everything that helps, nothing that is secret, all in bounds."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from support import overlays as support
from support import stories
from support.overlays import Parts, request
from varpd.control.diagnosis import TARGETS_MAX
from varpd.daemon import report
from varpd.daemon.config import Config


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    async with support.parts() as made:
        yield made


async def test_a_report_has_all_of_an_overlay(parts: Parts) -> None:
    await parts.service.create(request())
    await parts.service.set_entry("blue", "02:00:00:00:00:01", "192.0.2.9:4789")
    found = await parts.service.report()
    (overlay,) = found.overlays
    assert overlay.name == "blue"
    assert [target.ip for target in overlay.targets] == ["192.0.2.9"]
    assert (overlay.targets_total, overlay.rows) == (1, 0)
    assert overlay.instance["faults"] == 0
    assert overlay.events[-1].macs == ("02:00:00:00:00:01",)
    assert {item.name for item in overlay.properties} >= {"mtu", "probe/site"}
    assert found.libraries["msgspec"]
    assert "MainThread" in {thread.name for thread in found.threads}
    assert asyncio.current_task().get_name() in {task.name for task in found.tasks}  # type: ignore[union-attr]
    msgspec.json.encode(found)


async def test_a_long_table_is_told_in_part(parts: Parts) -> None:
    await parts.service.create(request())
    for number in range(TARGETS_MAX + 5):
        mac = (0x020000000000 + number).to_bytes(6, "big").hex(":")
        await parts.service.set_entry("blue", mac, "192.0.2.9:4789")
    (overlay,) = (await parts.service.report()).overlays
    assert (len(overlay.targets), overlay.targets_total) == (TARGETS_MAX, TARGETS_MAX + 5)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("etcd/password", True),
        ("svp/tls_key", True),
        ("api_token", True),
        ("x/client_secret", True),
        ("files/config", False),
        ("x/keys", False),
        ("x/key_file", False),
    ],
)
def test_values_whose_name_says_so_are_hidden(name: str, secret: bool) -> None:
    shown = stories.info(properties={name: "opensesame", "x/empty_key": None})
    hidden = report.hide(shown)
    assert hidden.properties[name] == ("***" if secret else "opensesame")
    assert hidden.properties["x/empty_key"] is None


async def test_a_secret_by_its_name_is_nowhere_in_a_report(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    await parts.service.create(request(probe__site="opensesame"))
    monkeypatch.setattr(report, "is_secret", lambda name: name == "probe/site")
    found = await parts.service.report()
    assert b"opensesame" not in msgspec.json.encode(found)
    assert b'"***"' in msgspec.json.encode(found)


def test_degraded_overlays_come_first_when_there_are_too_many() -> None:
    names = [f"o{number:03}" for number in range(report.OVERLAYS_MAX + 5)]
    told = stories.diagnosis(
        *(
            stories.overlay(stories.info(name, state="degraded" if name > "o060" else "online"))
            for name in names
        )
    )
    order = report.order(told)
    assert len(order) == report.OVERLAYS_MAX
    assert order[:2] == ["o061", "o062"]


def test_the_configuration_is_told_as_its_file_has_it() -> None:
    config = Config.load({"access": {"read_users": ["alice"]}, "defaults": {"mtu": 1400}})
    told = report.sections(config)
    assert told["access"]["read_users"] == ["alice"]
    assert told["defaults"] == {"mtu": 1400}
    assert told["daemon"]["socket"] == "/run/varpd/varpd.sock"
    msgspec.json.encode(told)
