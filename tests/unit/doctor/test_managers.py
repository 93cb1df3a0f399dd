"""Who manages an interface."""

from pathlib import Path

import pytest

from varpd.doctor.managers import NETWORK_MANAGER, NETWORKD, manager_of


def nm(root: Path, content: str) -> None:
    path = root / "run" / "NetworkManager" / "devices" / "7"
    path.parent.mkdir(parents=True)
    path.write_text(content)


def networkd(root: Path, content: str) -> None:
    path = root / "run" / "systemd" / "netif" / "links" / "7"
    path.parent.mkdir(parents=True)
    path.write_text(content)


def test_without_such_programs_nobody_does(tmp_path: Path) -> None:
    assert manager_of(7, tmp_path) is None


@pytest.mark.parametrize(("managed", "who"), [("true", NETWORK_MANAGER), ("false", None)])
def test_network_manager_says_so(tmp_path: Path, managed: str, who: str | None) -> None:
    nm(tmp_path, f"[device]\nmanaged={managed}\nroute-metric-default-ip4=100\n")
    assert manager_of(7, tmp_path) == who
    assert manager_of(8, tmp_path) is None


@pytest.mark.parametrize(
    ("state", "who"),
    [("configured", NETWORKD), ("configuring", NETWORKD), ("unmanaged", None), ("linger", None)],
)
def test_networkd_says_so(tmp_path: Path, state: str, who: str | None) -> None:
    networkd(tmp_path, f"# private\nADMIN_STATE={state}\nOPER_STATE=routable\n")
    assert manager_of(7, tmp_path) == who


@pytest.mark.parametrize("content", ["", "managed=true", "[device\n", "\x00\xff"])
def test_a_strange_file_says_nothing(tmp_path: Path, content: str) -> None:
    nm(tmp_path, content)
    assert manager_of(7, tmp_path) is None
