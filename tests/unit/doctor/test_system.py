"""What /proc and /sys tell."""

from pathlib import Path

import pytest

from varpd.doctor import system


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host that shows everything."""
    files = {
        "proc/sys/net/core/rmem_max": "212992\n",
        "proc/sys/net/netfilter/nf_conntrack_count": "17\n",
        "proc/sys/net/netfilter/nf_conntrack_max": "262144\n",
        "proc/sys/net/bridge/bridge-nf-call-iptables": "1\n",
        "proc/sys/net/bridge/bridge-nf-call-ip6tables": "0\n",
        "proc/sys/net/ipv4/udp_mem": "100\t200\t300\n",
        "proc/net/sockstat": "sockets: used 9\nTCP: inuse 5\nUDP: inuse 2 mem 21\n",
        "proc/net/ip_tables_names": "filter\nnat\n",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


def test_a_host_that_shows_everything_is_read(root: Path) -> None:
    found = system.look(root)
    assert found.rmem_max == 212_992
    assert found.conntrack == (17, 262_144)
    assert found.bridge_filters == ("iptables",)
    assert found.udp_pages == (21, 300)
    assert found.legacy_tables == ("filter", "nat")
    assert found.release


def test_a_host_that_shows_nothing_is_no_error(tmp_path: Path) -> None:
    found = system.look(tmp_path)
    assert (found.rmem_max, found.conntrack, found.udp_pages) == (None, None, None)
    assert (found.bridge_filters, found.legacy_tables, found.namespace) == ((), (), None)
    assert found.modules == {"vxlan": None, "bridge": None}


@pytest.mark.parametrize("content", ["", "no number\n"])
def test_what_makes_no_sense_is_not_known(root: Path, content: str) -> None:
    for name in ("net/core/rmem_max", "net/ipv4/udp_mem", "net/netfilter/nf_conntrack_max"):
        (root / "proc" / "sys" / name).write_text(content)
    found = system.look(root)
    assert (found.rmem_max, found.conntrack, found.udp_pages) == (None, None, None)


def test_a_module_is_there_if_loaded_built_in_or_to_be_loaded(tmp_path: Path) -> None:
    assert system.has_module(tmp_path, "6.1", "vxlan") is None
    directory = tmp_path / "lib" / "modules" / "6.1"
    directory.mkdir(parents=True)
    (directory / "modules.builtin").write_text("kernel/net/bridge/bridge.ko\n")
    assert system.has_module(tmp_path, "6.1", "bridge") is True
    assert system.has_module(tmp_path, "6.1", "vxlan") is False
    (directory / "modules.dep").write_text("kernel/drivers/net/vxlan/vxlan.ko.zst: x.ko\n")
    assert system.has_module(tmp_path, "6.1", "vxlan") is True
    (tmp_path / "sys" / "module" / "dummy").mkdir(parents=True)
    assert system.has_module(tmp_path, "6.1", "dummy") is True


def test_this_host_tells_of_itself() -> None:
    found = system.look()
    assert found.namespace is not None
    assert found.namespace.startswith("net:[")
    assert found.udp_segment is True
