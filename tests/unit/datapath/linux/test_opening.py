"""Making and removing an overlay, told by a kernel that is none."""

import errno
import os
from contextlib import ExitStack
from typing import Any

import pytest

from support.fake_kernel import FakeKernel
from support.linux_host import make_link, target
from varpd.datapath.base import DatapathError, DatapathErrorCode, Link
from varpd.datapath.linux import opening, proofs, tables
from varpd.datapath.linux.kernel import LOOPBACK
from varpd.engine.settings import Mode
from varpd.net.addresses import parse_ip

V6 = make_link(listen_ip="2001:db8::1")


class FakePunt:
    """A punt socket that needs no port."""

    refusal = 0
    log: tuple[str, ...] = ()

    def __init__(self, address: object, port: int, *rest: object) -> None:
        if FakePunt.refusal:
            raise OSError(FakePunt.refusal, os.strerror(FakePunt.refusal))
        self.socket = rest[-1]
        self.waiting: list[bytes] = []
        FakePunt.log += (f"bind {address}:{port}",)

    def wait(self, packets: list[bytes]) -> None:
        self.waiting += packets

    def close(self) -> None:
        FakePunt.log += ("close",)


class FakeKeeper:
    """Says what it is asked for; keeps what a test gives it."""

    def __init__(self, kept: object = None) -> None:
        self.kept = kept
        self.done: list[str] = []

    def take(self, overlay: str, address: object, port: int) -> Any:
        self.done.append(f"take {overlay} {address}:{port}")
        return self.kept

    def keep(self, overlay: str, punt: object) -> None:
        self.done.append(f"keep {overlay} {punt}")

    def forget(self, overlay: str) -> None:
        FakePunt.log += ("forget",)
        self.done.append(f"forget {overlay}")


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
    monkeypatch.setattr(opening, "PuntSocket", FakePunt)
    monkeypatch.setattr(FakePunt, "refusal", 0)
    monkeypatch.setattr(FakePunt, "log", ())
    monkeypatch.setattr(proofs, "prove_punt_path", lambda *_: [b"early"])
    monkeypatch.setattr(tables, "local_addresses", set)
    monkeypatch.setattr(tables, "delete_slice", lambda device: 0)
    fake = FakeKernel()
    fake.here = {parse_ip("192.0.2.1"), parse_ip("2001:db8::1")}
    loopback = fake.put("lo", "")
    fake.found["lo"] = type(loopback)(LOOPBACK, "lo", "", "", "", 65536, 0, up=True, tunnel=None)
    return fake


def nobody(packets: list[bytes], arrived: float) -> None:
    """Take frames and do nothing."""


def make(kernel: FakeKernel, link: Link, keeper: FakeKeeper | None = None) -> opening.Made:
    with ExitStack() as undo:
        made = opening.make(kernel, link, nobody, keeper or FakeKeeper(), undo)
        undo.pop_all()
        return made


def refused(kernel: FakeKernel, link: Link, keeper: FakeKeeper | None = None) -> DatapathErrorCode:
    with pytest.raises(DatapathError) as error, ExitStack() as undo:
        opening.make(kernel, link, nobody, keeper or FakeKeeper(), undo)
    assert set(kernel.found) == {"lo"}
    return error.value.code


def test_somebody_listens_before_there_is_a_link(kernel: FakeKernel) -> None:
    made = make(kernel, V6)
    assert FakePunt.log == ("bind fd76:6172:7064::7:789",)
    assert made.default == target("fd76:6172:7064::7", 789)
    assert kernel.done[:2] == ["loopback fd76:6172:7064::7", "add bridge blue"]


def test_a_point_overlay_needs_no_punt_path(kernel: FakeKernel) -> None:
    made = make(kernel, make_link(mode=Mode.POINT, default=target("198.51.100.1")))
    assert made.punt is None
    assert FakePunt.log == ()
    assert "append 198.51.100.1:4789" in kernel.done


def test_what_fails_late_takes_everything_back(kernel: FakeKernel) -> None:
    kernel.refusals["up blue"] = errno.EPERM
    assert refused(kernel, V6) is DatapathErrorCode.PERMISSION
    assert FakePunt.log[-2:] == ("close", "forget")
    assert kernel.done[-1] == "no loopback fd76:6172:7064::7"


def test_a_closed_path_takes_everything_back(
    kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*_: object) -> None:
        raise DatapathError(DatapathErrorCode.PUNT_PATH_CLOSED, "closed")

    monkeypatch.setattr(proofs, "prove_punt_path", closed)
    assert refused(kernel, V6) is DatapathErrorCode.PUNT_PATH_CLOSED
    assert kernel.done == ["loopback fd76:6172:7064::7", "no loopback fd76:6172:7064::7"]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EADDRINUSE, DatapathErrorCode.PORT_IN_USE),
        (errno.EADDRNOTAVAIL, DatapathErrorCode.PUNT_PATH_CLOSED),
        (errno.EACCES, DatapathErrorCode.PERMISSION),
        (errno.EMFILE, DatapathErrorCode.FAILED),
    ],
)
def test_a_punt_socket_that_cannot_be_had_is_refused(
    kernel: FakeKernel, number: int, code: DatapathErrorCode
) -> None:
    FakePunt.refusal = number
    assert refused(kernel, make_link()) is code


def test_old_default_rows_go_with_their_punt_addresses(kernel: FakeKernel) -> None:
    old = [target("fd76:6172:7064::6", 789), target("2001:db8::5"), target("127.86.0.6", 789)]
    made = make(kernel, V6)
    kernel.done.clear()
    opening.tidy(kernel, V6, made, old)
    assert kernel.done == [f"remove {item}" for item in old] + ["no loopback fd76:6172:7064::6"]


def test_removing_takes_the_device_its_address_and_the_bridge(
    kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "default_targets", lambda *_: [target("fd76:6172:7064::7", 789)])
    kernel.put("blue", "bridge", alias="varpd:blue")
    kernel.put("vx-blue", "vxlan", alias="varpd:blue")
    opening.remove(kernel, "blue", 4789)
    assert kernel.done == [
        "delete vx-blue",
        "no loopback fd76:6172:7064::7",
        "delete blue",
    ]
    kernel.done.clear()
    opening.remove(kernel, "blue", 4789)
    assert kernel.done == []


def test_removing_leaves_foreign_links(kernel: FakeKernel) -> None:
    kernel.put("blue", "bridge", alias="lan")
    opening.remove(kernel, "blue", 4789)
    assert "blue" in kernel.found


def test_a_refused_removal_is_told(kernel: FakeKernel) -> None:
    kernel.put("blue", "bridge", alias="varpd:blue")
    kernel.refusals["delete blue"] = errno.EPERM
    with pytest.raises(DatapathError) as error:
        opening.remove(kernel, "blue", 4789)
    assert error.value.code is DatapathErrorCode.PERMISSION


def test_the_new_default_is_there_before_the_old_goes(
    kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = target("198.51.100.1"), target("198.51.100.2")
    monkeypatch.setattr(tables, "default_targets", lambda *_: [old, new])
    opening.set_default(kernel, 7, 4789, new)
    assert kernel.done == [f"append {new}", f"remove {old}"]


def test_the_socket_that_was_kept_is_used_and_kept_again(kernel: FakeKernel) -> None:
    kept: Any = "the old socket"
    keeper = FakeKeeper(kept)
    made = make(kernel, V6, keeper)
    assert made.punt is not None
    assert made.punt.socket is kept
    assert keeper.done == ["take blue fd76:6172:7064::7:789", "keep blue the old socket"]


def test_frames_that_came_during_the_proof_are_not_lost(kernel: FakeKernel) -> None:
    made = make(kernel, V6)
    assert made.punt is not None
    assert made.punt.waiting == [b"early"]


def test_what_fails_late_leaves_nobody_with_the_port(kernel: FakeKernel) -> None:
    kernel.refusals["up blue"] = errno.EPERM
    keeper = FakeKeeper()
    refused(kernel, V6, keeper)
    assert FakePunt.log[1:] == ("close", "forget")
    assert keeper.done[-1] == "forget blue"
