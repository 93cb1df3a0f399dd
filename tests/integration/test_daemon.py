"""The daemon as its operator meets it: refusals, signals, many overlays."""

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

import pytest

from support import hostile_plugins
from support.lab import CONFIG, UNDERLAY, Host, Lab
from support.shared_lab import overlays_of_a_test
from support.waiting import wait_for
from varpd.control.client import Client
from varpd.control.messages import CreateOverlay

pytestmark = pytest.mark.integration

DIRECT: Final = ("-p", "direct/dest_ip=192.0.2.99", "-p", "direct/dest_port=4789")
LISTEN: Final = ("-p", "vxlan/listen_ip=192.0.2.1")
SECOND: Final = "192.0.2.98"
"""Another address of the host, known to the daemon from its start."""

MANY: Final = 50

SHOW_DEADLINE: Final = 5.0
"""Seconds: ten times what `overlayadm show` may take."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(show_logs=False) as made:
        yield made


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    """A host at 192.0.2.1 and `SECOND`, with a plugin directory that holds good and bad."""
    made = lab.host("a", start=False)
    made.run("ip", "address", "add", f"{SECOND}/32", "dev", UNDERLAY)
    broken = lab.directory / "broken.py"
    broken.write_text("import varpd.provider\n\nclass Half(\n")
    made.varpd.install(broken)
    made.varpd.install(hostile_plugins.__file__)
    made.varpd.start()
    return made


@pytest.fixture(autouse=True)
def clean(host: Host) -> Iterator[None]:
    with overlays_of_a_test([host]):
        yield


@pytest.fixture
def client(host: Host) -> Iterator[Client]:
    with Client(str(host.varpd.socket)) as made:
        yield made


# --- create says no


@contextmanager
def port_taken(host: Host) -> Iterator[None]:
    with host.namespace.entered():
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with other:
        other.bind(("0.0.0.0", 4789))
        yield


@contextmanager
def firewall(host: Host) -> Iterator[None]:
    chain = "chain closed { type filter hook input priority 0; iif lo drop; };"
    host.run("nft", f"table inet strict {{ {chain} }}")
    yield
    host.run("nft", "delete table inet strict")


@contextmanager
def another_overlay(host: Host) -> Iterator[None]:
    host.overlayadm("create", "another", "-v", "7", "-s", "hostile", *LISTEN)
    yield


def unchanged(host: Host) -> AbstractContextManager[None]:
    return nullcontext()


def traces(host: Host) -> list[str]:
    """Return what overlays leave on a host: links, addresses, sockets."""
    commands = (
        ("ip", "-brief", "link", "show"),
        ("ip", "-oneline", "address", "show", "dev", "lo"),
        ("ss", "--listening", "--udp", "--numeric", "--no-header"),
        ("overlayadm", "show"),
    )
    return [
        host.overlayadm(*rest).stdout if name == "overlayadm" else host.run(name, *rest).stdout
        for name, *rest in commands
    ]


@pytest.mark.parametrize(
    ("surroundings", "arguments", "said"),
    [
        pytest.param(
            unchanged,
            ("-s", "portolan", *LISTEN),
            ("no search plugin 'portolan'", "direct, files, hostile"),
            id="unknown plugin",
        ),
        pytest.param(
            unchanged,
            ("-s", "direct"),
            ("vxlan/listen_ip", "direct/dest_ip", "direct/dest_port"),
            id="missing properties",
        ),
        pytest.param(
            unchanged,
            ("-s", "direct", *DIRECT, "-p", "vxlan/listen_ip=203.0.113.1"),
            ("203.0.113.1 is not an address of this host",),
            id="listen address elsewhere",
        ),
        pytest.param(
            unchanged,
            ("-s", "direct", *LISTEN, "-p", f"direct/dest_ip={SECOND}", *DIRECT[2:]),
            (f"{SECOND}:4789 is this host itself",),
            id="the target is this host",
        ),
        pytest.param(
            unchanged,
            ("-s", "files", *LISTEN, "-p", "files/config=/nowhere/blue.json"),
            ("/nowhere/blue.json",),
            id="no such file",
        ),
        pytest.param(
            port_taken,
            ("-s", "direct", *LISTEN, *DIRECT),
            ("UDP port 4789 is in use", "ss -lunp"),
            id="port in use",
        ),
        pytest.param(
            another_overlay,
            ("-s", "direct", *LISTEN, *DIRECT),
            ("vnetid 7", "belongs to overlay another"),
            id="vnetid taken",
        ),
        pytest.param(
            firewall,
            ("-s", "hostile", *LISTEN),
            ("firewall", "nft list ruleset"),
            id="punt path closed",
        ),
    ],
)
def test_a_refused_creation_is_one_clear_line_and_leaves_nothing_behind(
    host: Host,
    surroundings: Callable[[Host], AbstractContextManager[None]],
    arguments: Sequence[str],
    said: Sequence[str],
) -> None:
    with surroundings(host):
        before = traces(host)
        done = host.overlayadm("create", "blue", "-v", "7", *arguments, check=False)
        assert traces(host) == before

    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("overlayadm: ")
    assert [text for text in said if text not in line] == []


def test_a_daemon_without_the_right_to_says_what_it_needs(lab: Lab) -> None:
    bare = lab.host("bare", start=False)
    bare.varpd.wrapper = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    bare.varpd.start()
    before = traces(bare)

    for search in (("direct", *DIRECT), ("files", "-p", f"files/config={empty_file(lab)}")):
        listen = ("-p", f"vxlan/listen_ip={bare.address}")
        done = bare.overlayadm("create", "blue", "-v", "7", "-s", *search, *listen, check=False)
        (line,) = done.stderr.splitlines()
        assert (done.returncode, traces(bare)) == (1, before)
        assert "CAP_NET_ADMIN" in line


def empty_file(lab: Lab) -> str:
    return str(lab.mapping_file("empty.json").path)


# --- signals


def test_ctrl_c_ends_the_daemon_and_leaves_its_overlays(lab: Lab) -> None:
    other = lab.host("other")
    other.create("blue", 7, "files", f"files/config={empty_file(lab)}")
    before = other.run("ip", "-brief", "link", "show").stdout

    assert other.varpd.stop(signal.SIGINT) == 0

    assert other.run("ip", "-brief", "link", "show").stdout == before
    assert not other.varpd.socket.exists()


def test_a_hangup_has_everything_read_again(host: Host, client: Client) -> None:
    client.create(CreateOverlay("bad-0", 100, "talkative", properties=listens(host)))
    hang_up(host, "[daemon]\nlog_level = 'loud'\n", "configuration refused; the old one stays")
    assert "inside=reload" not in host.varpd.log()

    hang_up(host, CONFIG, "configuration and data read again")
    wait_for("the plugin to reload", lambda: "inside=reload" in host.varpd.log())

    host.varpd.config.write_text(CONFIG + "log_level = 'error'\n")
    host.varpd.send(signal.SIGHUP)
    wait_for("silence", lambda: not logs_creation(host, client))
    host.varpd.config.write_text(CONFIG)
    host.varpd.send(signal.SIGHUP)
    wait_for("words", lambda: logs_creation(host, client))
    # It talks whenever it is asked for a property, and takes back what it says a moment later.
    wait_for("its peace", lambda: client.overlay("bad-0").state == "online")


def listens(host: Host) -> dict[str, str | None]:
    return {"vxlan/listen_ip": host.address}


def hang_up(host: Host, config: str, then: str) -> None:
    """Send SIGHUP to the daemon after its configuration has changed, and wait for its word."""
    host.varpd.config.write_text(config)
    before = host.varpd.log().count(then)
    host.varpd.send(signal.SIGHUP)
    wait_for(then, lambda: host.varpd.log().count(then) > before)


def logs_creation(host: Host, client: Client) -> bool:
    """Return whether the daemon logs that an overlay is made."""
    before = host.varpd.log().count("overlay created")
    client.create(CreateOverlay("loud", 8, "hostile", properties=listens(host)))
    client.delete("loud")
    return host.varpd.log().count("overlay created") > before


# --- show, plugins


def test_fifty_overlays_are_shown_at_once(host: Host, client: Client) -> None:
    names = [f"net{number:02}" for number in range(MANY)]
    for number, name in enumerate(names):
        client.create(CreateOverlay(name, 1000 + number, "hostile", properties=listens(host)))

    began = time.monotonic()
    shown = host.overlayadm("show", "-f", "--parsable", "-o", "link,status").stdout
    assert time.monotonic() - began < SHOW_DEADLINE
    assert shown.splitlines() == [f"{name}:ONLINE" for name in names]
    assert [overlay["name"] for overlay in host.varpd.show()] == names
    assert len({overlay["properties"]["varpd/id"] for overlay in host.varpd.show()}) == MANY
    assert host.overlayadm("show").stdout.count("vxlan/listen_port") == MANY


def test_a_refused_plugin_is_shown_with_its_reason(host: Host) -> None:
    shown = json.loads(host.overlayadm("plugins", "--json").stdout)

    (refused,) = shown["refused"]
    assert refused["origin"].endswith("broken.py")
    assert refused["reason"] == "import-error"
    assert "line 3" in refused["message"]
    assert {"direct", "files", "hostile"} <= {plugin["name"] for plugin in shown["plugins"]}
    table = host.overlayadm("plugins").stdout
    assert "broken.py" in table
    assert "import-error" in table
