"""What helps to find out what is wrong, asked of the whole service."""

from collections.abc import AsyncIterator, Sequence

import pytest

from support import overlays as support
from support.overlays import Parts, request
from varpd.control.messages import ControlError, ErrorCode, OverlayInfo, TargetInfo
from varpd.daemon.config import Config


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    async with support.parts() as made:
        yield made


async def test_diagnosis_and_report_are_about_the_same_overlays(parts: Parts) -> None:
    await parts.service.create(request())
    await parts.service.create(request("red", vnetid=8))
    report = await parts.service.report()
    assert [item.overlay.name for item in report.diagnosis.overlays] == ["blue", "red"]
    assert [item.name for item in report.overlays] == ["blue", "red"]


async def test_an_overlay_that_is_not_at_work_is_among_them(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = await parts.service.create(request())

    async def shown(names: Sequence[str]) -> list[OverlayInfo]:
        return [info]

    monkeypatch.setattr(parts.service, "overlays", shown)
    monkeypatch.setattr(parts.overlays, "all", list)
    (overlay,) = (await parts.service.diagnosis()).overlays
    assert (overlay.overlay.name, overlay.bridge) == ("blue", None)
    assert overlay.listen_ip == "192.0.2.100"


async def test_faults_of_varpd_itself_are_told(parts: Parts) -> None:
    parts.runner.faults["engine"] += 2
    assert (await parts.service.report()).internal_errors == {"engine": 2}


async def test_the_configuration_in_force_is_told(parts: Parts) -> None:
    parts.service.config = Config.load({"defaults": {"mtu": 1400}})
    assert (await parts.service.report()).config["defaults"] == {"mtu": 1400}


async def test_an_overlay_that_goes_meanwhile_is_left_out(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    await parts.service.create(request())

    async def gone(name: str) -> list[TargetInfo]:
        raise ControlError(ErrorCode.NOT_FOUND, f"no overlay {name!r}")

    monkeypatch.setattr(parts.service, "targets", gone)
    assert (await parts.service.report()).overlays == ()
