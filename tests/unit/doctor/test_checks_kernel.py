"""Can the kernel do what is needed?"""

from msgspec import structs

from support import stories
from varpd.doctor import checks_kernel
from varpd.doctor.facts import Facts
from varpd.doctor.findings import Severity


def on(release: str, **changes: object) -> Facts:
    return stories.facts(
        system=stories.system(release=release, **changes), links=(stories.UNDERLAY,)
    )


def test_a_kernel_that_cannot_punt_is_a_problem() -> None:
    (found,) = checks_kernel.check(on("6.1.0-25-amd64"))
    assert found.severity is Severity.PROBLEM
    assert "6.1.0" in found.message


def test_an_old_number_is_no_problem_where_a_device_shows_that_it_can() -> None:
    facts = on("5.14.0-503.el9", udp_segment=True)
    facts = structs.replace(facts, links=(stories.DEVICE,))
    assert [item.severity for item in checks_kernel.check(facts)] == [Severity.WARNING]


def test_a_bridge_without_a_bound_is_a_warning() -> None:
    (found,) = checks_kernel.check(on("6.6.3"))
    assert found.severity is Severity.WARNING


def test_a_kernel_with_everything_is_in_order() -> None:
    (found,) = checks_kernel.check(on("6.12.0"))
    assert found.severity is Severity.OK


def test_a_strange_number_says_nothing() -> None:
    (found,) = checks_kernel.check(on("gvisor"))
    assert found.severity is Severity.OK


def test_a_missing_module_is_named_and_one_of_which_nothing_is_known_is_not() -> None:
    (found,) = checks_kernel.check(on("6.12.0", modules={"vxlan": False, "bridge": None}))
    assert found.severity is Severity.PROBLEM
    assert "no vxlan" in found.message


def test_a_kernel_that_sends_one_by_one_is_a_warning() -> None:
    (found,) = checks_kernel.check(on("6.12.0", udp_segment=False))
    assert found.severity is Severity.WARNING
    assert "UDP_SEGMENT" in found.message


def test_a_device_of_ours_that_handles_frames_itself_is_a_problem() -> None:
    device = structs.replace(stories.DEVICE, localbypass=True)
    (found,) = checks_kernel.check(stories.facts(links=(device,)))
    assert found.severity is Severity.PROBLEM
    assert "vx-blue" in found.message


def test_a_point_overlay_may_bypass() -> None:
    device = structs.replace(stories.DEVICE, localbypass=True)
    overlay = stories.overlay(stories.info(mode="point"))
    (found,) = checks_kernel.check(stories.facts(overlay, links=(device,)))
    assert found.severity is Severity.OK
