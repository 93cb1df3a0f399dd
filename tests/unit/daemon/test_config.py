"""The configuration file: what it may hold, and how its faults are told."""

import dataclasses
import tomllib
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

import pytest

from varpd.daemon import config
from varpd.daemon.config import Config, ConfigError

ROOT: Final = Path(__file__).resolve().parents[3]


def faults_of(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        Config.load(tomllib.loads(text))
    return caught.value.faults


def test_an_empty_file_means_the_defaults() -> None:
    assert Config.load({}) == Config()


def test_every_key_can_be_set() -> None:
    loaded = Config.load(
        tomllib.loads(
            """
            [daemon]
            socket = "/run/other.sock"
            state_dir = "/srv/varpd"
            plugin_dirs = ["/a", "/b"]
            log_level = "debug"
            log_format = "json"
            datapath = "memory"
            memory_addresses = ["192.0.2.7"]
            [access]
            group = "net"
            read_users = ["alice"]
            read_groups = ["staff"]
            change_users = ["1000"]
            change_groups = []
            [totals]
            waiting = 1000
            targets = 2000
            lookups = 3000
            [defaults]
            mtu = 1400
            preload = "on"
            "vxlan/listen_ip" = "192.0.2.1"
            """
        )
    )
    assert loaded.daemon == config.Daemon(
        socket=Path("/run/other.sock"),
        state_dir=Path("/srv/varpd"),
        plugin_dirs=(Path("/a"), Path("/b")),
        log_level="debug",
        log_format="json",
        datapath="memory",
        memory_addresses=(IPv4Address("192.0.2.7"),),
    )
    assert loaded.access == config.Access("net", ("alice",), ("staff",), ("1000",), ())
    assert loaded.totals.totals().lookups == 3000
    assert loaded.defaults == {
        "mtu": 1400,
        "preload": "on",
        "vxlan/listen_ip": IPv4Address("192.0.2.1"),
    }


def test_an_owner_may_have_a_table_of_its_own() -> None:
    loaded = Config.load({"defaults": {"vxlan": {"listen_port": 8472}}})
    assert loaded.defaults == {"vxlan/listen_port": 8472}


def test_all_faults_are_told_at_once_each_with_its_path() -> None:
    faults = faults_of(
        """
        other = 1
        [daemon]
        sokket = "/run/x"
        state_dir = "relative"
        log_level = "loud"
        memory_addresses = ["here"]
        [totals]
        waiting = 0
        lookups = true
        [access]
        read_users = "alice"
        [defaults]
        mtu = 9000
        vnetid = 5
        preload = true
        "vxlan/listen_ip" = "nowhere"
        "vxlan/local_ips" = "192.0.2.1,there"
        limit_speed = 4
        """
    )
    paths = [fault.split(":")[0] for fault in faults]
    assert paths == [
        "other",
        "daemon.sokket",
        "daemon.state_dir",
        "daemon.log_level",
        "daemon.memory_addresses",
        "totals.waiting",
        "totals.lookups",
        "access.read_users",
        "defaults.mtu",
        "defaults.vnetid",
        "defaults.preload",
        "defaults.vxlan/listen_ip",
        "defaults.vxlan/local_ips",
        "defaults.limit_speed",
    ]


def test_a_listen_address_for_all_overlays_must_be_one_that_others_can_send_to() -> None:
    (fault,) = faults_of('[defaults.vxlan]\nlisten_ip = "127.0.0.1"')
    assert fault.startswith("defaults.vxlan/listen_ip: 127.0.0.1 is a loopback address")
    assert fault.endswith("(it is '127.0.0.1')")


def test_a_fault_says_what_would_be_possible() -> None:
    assert faults_of("[defaults]\nmtu = 9000") == (
        "defaults.mtu: out of range; possible: 576-8900 (it is 9000)",
    )
    assert "debug, info, warning, error" in faults_of("[daemon]\nlog_level = 'loud'")[0]
    assert "state_dir" in faults_of("[daemon]\nsokket = 'x'")[0]


def test_a_section_must_be_a_section() -> None:
    assert faults_of("daemon = 5") == ("daemon: not a section ([daemon])",)


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "varpd.toml"
    path.write_text("[daemon]\nlog_level = 'error'\n")
    assert config.read(path).daemon.log_level == "error"


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.toml: there is no such file"):
        config.read(tmp_path / "nothing.toml")


def test_the_usual_file_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "DEFAULT_PATH", tmp_path / "nothing.toml")
    assert config.read(None) == Config()


@pytest.mark.parametrize("content", [b"[daemon", b"\xff\xfe", b"#" * (config.MAX_SIZE + 1)])
def test_a_file_that_is_no_configuration_is_refused_by_its_name(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "varpd.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"varpd\.toml"):
        config.read(path)


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="directory"):
        config.read(tmp_path)


def test_what_needs_a_restart_is_named() -> None:
    old = Config()
    new = dataclasses.replace(
        old,
        daemon=dataclasses.replace(old.daemon, socket=Path("/x"), log_level="debug"),
        access=dataclasses.replace(old.access, group="net", read_users=("alice",)),
        totals=dataclasses.replace(old.totals, lookups=5),
        defaults={"mtu": 1400},
    )
    assert config.restart_needed(old, new) == ("daemon.socket", "access.group", "totals.lookups")


def test_the_example_names_every_key_with_its_default() -> None:
    text = (ROOT / "packaging" / "varpd.toml").read_text(encoding="utf-8")
    keys = "\n".join(
        line[1:] if line.startswith("#") and not line.startswith("# ") else line
        for line in text.splitlines()
    )
    tree = tomllib.loads(keys)
    loaded = Config.load(tree)

    assert dataclasses.replace(loaded, defaults=Config().defaults) == Config()
    for section in ("daemon", "access", "totals"):
        fields = dataclasses.fields(getattr(Config(), section))
        assert list(tree[section]) == [field.name for field in fields]
    assert list(tree["defaults"]) == list(config.default_properties())
    for name, declared in config.default_properties().items():
        if declared.default is not None:
            assert loaded.defaults[name] == declared.default


def test_the_example_as_it_is_changes_nothing() -> None:
    assert config.read(ROOT / "packaging" / "varpd.toml") == Config()
