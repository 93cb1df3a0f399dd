"""What is done to links, told by a kernel that is none."""

import errno
from contextlib import ExitStack
from ipaddress import ip_address

import pytest

from support.fake_kernel import FakeKernel
from support.linux_host import make_link, target
from varpd.datapath.base import DatapathError, DatapathErrorCode, Link
from varpd.datapath.linux import links, names, tables
from varpd.datapath.linux.kernel import Tunnel
from varpd.engine.settings import Mode

ALIAS = "varpd:blue"
FITTING = Tunnel(42, ip_address("192.0.2.1"), 4789, learning=False, localbypass=False)
PUNT = target("127.86.0.7", 789)


def make(kernel: FakeKernel, link: Link) -> links.Pair:
    with ExitStack() as undo:
        made = links.make(kernel, link, PUNT, undo)
        undo.pop_all()
        return made


def code(kernel: FakeKernel, link: Link) -> DatapathErrorCode:
    """Return why `link` is refused, after everything was undone."""

    def attempt() -> None:
        with ExitStack() as undo:
            links.check(kernel, link)
            links.make(kernel, link, PUNT, undo)

    with pytest.raises(DatapathError) as refused:
        attempt()
    return refused.value.code


def test_the_device_comes_up_when_all_is_set_and_the_bridge_last() -> None:
    kernel = FakeKernel()
    assert not make(kernel, make_link()).adopted
    assert kernel.done[0] == "add bridge blue"
    assert "master vx-blue blue learning=False" in kernel.done
    assert kernel.done[-3:] == ["append 127.86.0.7:789", "up vx-blue", "up blue"]


def test_a_point_overlays_bridge_learns_from_the_tunnel() -> None:
    kernel = FakeKernel()
    make(kernel, make_link(mode=Mode.POINT))
    assert "master vx-blue blue learning=True" in kernel.done


@pytest.mark.parametrize("name", ["blue", "vx-blue"])
@pytest.mark.parametrize("alias", ["", "varpd:red", "lan"])
def test_a_link_with_another_alias_is_foreign(name: str, alias: str) -> None:
    kernel = FakeKernel()
    kernel.put(name, "bridge", alias=alias, mac="02:00:00:00:00:01")
    assert code(kernel, make_link()) is DatapathErrorCode.NAME_TAKEN
    assert kernel.done == []


def test_a_link_without_an_alias_but_with_our_mac_is_ours() -> None:
    kernel = FakeKernel()
    link = make_link()
    kernel.put("blue", "bridge", mac=str(names.link_mac(link, "blue")))
    links.check(kernel, link)
    make(kernel, link)
    assert "add bridge blue" not in kernel.done


def test_links_that_fit_are_taken_over() -> None:
    kernel = FakeKernel()
    kernel.put("blue", "bridge", alias=ALIAS)
    kernel.put("vx-blue", "vxlan", alias=ALIAS, tunnel=FITTING)
    assert make(kernel, make_link()).adopted
    assert not [step for step in kernel.done if step.startswith(("add", "delete"))]


def test_links_that_are_right_are_left_alone() -> None:
    kernel = FakeKernel()
    for link in (make_link(), make_link(mode=Mode.POINT)):
        make(kernel, link)
        kernel.done.clear()
        assert make(kernel, link).adopted
        # Which the kernel passes over where the row is there already.
        assert kernel.done == ["append 127.86.0.7:789"]


def test_of_links_that_are_taken_over_only_what_is_wrong_is_written() -> None:
    kernel = FakeKernel()
    make(kernel, make_link())
    kernel.done.clear()
    kernel.put("blue", "bridge", alias=ALIAS, settings={"br_stp_state": 1})
    kernel.put("vx-blue", "vxlan", alias=ALIAS, tunnel=FITTING, mtu=1400, up=False)
    make(kernel, make_link())
    assert kernel.done == [
        "bridge blue",
        "mtu vx-blue 1500",
        "master vx-blue blue learning=False",
        "append 127.86.0.7:789",
        "up vx-blue",
    ]


def test_a_link_that_somebody_deletes_meanwhile_is_an_error() -> None:
    kernel = FakeKernel()
    kernel.link_at = lambda index: None  # type: ignore[method-assign]
    with pytest.raises(OSError, match="No such device"):
        make(kernel, make_link())


@pytest.mark.parametrize(
    "other",
    [
        Tunnel(43, ip_address("192.0.2.1"), 4789, learning=False, localbypass=False),
        Tunnel(42, ip_address("192.0.2.2"), 4789, learning=False, localbypass=False),
        Tunnel(42, None, 4789, learning=False, localbypass=False),
        Tunnel(42, ip_address("192.0.2.1"), 4790, learning=False, localbypass=False),
        Tunnel(42, ip_address("192.0.2.1"), 4789, learning=True, localbypass=False),
        Tunnel(42, ip_address("192.0.2.1"), 4789, learning=False, localbypass=True),
        None,
    ],
)
def test_a_device_that_does_not_fit_is_made_anew(
    other: Tunnel | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices = iter([2, 1, 0])
    monkeypatch.setattr(tables, "delete_slice", lambda device: next(slices))
    monkeypatch.setattr(tables, "default_targets", lambda *_: [target("fd76:6172:7064::9", 789)])
    kernel = FakeKernel()
    kernel.put("blue", "bridge", alias=ALIAS)
    kernel.put("vx-blue", "vxlan", alias=ALIAS, tunnel=other)
    assert not make(kernel, make_link()).adopted
    assert kernel.done[1:4] == [
        "delete vx-blue",
        "no loopback fd76:6172:7064::9",
        "add vxlan vx-blue",
    ]
    assert next(slices, None) is None, "its rows went first"


def test_something_of_ours_that_is_no_bridge_is_made_anew() -> None:
    kernel = FakeKernel()
    kernel.put("blue", "dummy", alias=ALIAS)
    make(kernel, make_link())
    assert kernel.done[:2] == ["delete blue", "add bridge blue"]


@pytest.mark.parametrize(
    ("step", "number", "expected"),
    [
        ("up vx-blue", errno.EADDRINUSE, DatapathErrorCode.PORT_IN_USE),
        ("add vxlan vx-blue", errno.EEXIST, DatapathErrorCode.VNETID_TAKEN),
    ],
)
def test_a_refusal_is_translated_and_nothing_stays(
    step: str, number: int, expected: DatapathErrorCode
) -> None:
    kernel = FakeKernel()
    kernel.refusals[step] = number
    assert code(kernel, make_link()) is expected
    assert kernel.found == {}


@pytest.mark.parametrize("localbypass", [None, True])
def test_a_kernel_that_keeps_frames_to_itself_is_too_old(localbypass: bool | None) -> None:
    kernel = FakeKernel()
    kernel.localbypass = localbypass
    assert code(kernel, make_link()) is DatapathErrorCode.UNSUPPORTED
    assert kernel.found == {}


def test_of_the_default_targets_one_stays() -> None:
    old = target("198.51.100.1")
    kernel = FakeKernel()
    assert links.keep_one_default(kernel, 7, [old, PUNT], PUNT) == [old]
    assert kernel.done == [f"remove {old}"]


def test_a_refused_mtu_is_taken_back() -> None:
    kernel = FakeKernel()
    pair = make(kernel, make_link())
    kernel.done.clear()
    kernel.refusals["mtu blue 9000"] = errno.EINVAL
    with pytest.raises(OSError, match="Invalid"):
        links.change_mtu(kernel, pair, 9000)
    assert kernel.done == ["mtu vx-blue 9000", "mtu vx-blue 1500"]


def test_links_that_get_ipv6_back_stay_without_an_address_of_their_own() -> None:
    kernel = FakeKernel()
    pair = make(kernel, make_link(mtu=576))
    assert not [step for step in kernel.done if step.startswith("no ipv6")]
    kernel.done.clear()
    links.change_mtu(kernel, pair, 1280)
    assert kernel.done[2:] == [
        "no address vx-blue",
        "no ipv6 vx-blue",
        "no address blue",
        "no ipv6 blue",
    ]
    kernel.done.clear()
    links.change_mtu(kernel, pair, 1500)
    assert kernel.done == ["mtu vx-blue 1500", "mtu blue 1500"]


def test_only_links_with_our_alias_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ports", lambda bridge: {"vx-blue": 3, "b": 9, "a": 8})
    kernel = FakeKernel()
    kernel.put("blue", "bridge", alias=ALIAS, mtu=1300)
    assert links.state(kernel, "blue") is None
    kernel.put("vx-blue", "vxlan", alias=ALIAS, mtu=1400)
    state = links.state(kernel, "blue")
    assert state is not None
    assert (state.device, state.mtu, state.ports) == ("vx-blue", 1400, ("a", "b"))
