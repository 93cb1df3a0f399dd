"""Plugins that behave as badly as they can, in a real daemon, beside one that behaves well."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from subprocess import DEVNULL
from typing import Final

import pytest

from support import hostile_plugins
from support.guests import Guest
from support.lab import Host, Lab
from support.scapy_oracle import BOOTP, DHCP, IP, UDP, Ether
from support.shared_lab import overlays_of_a_test
from support.traffic import pings
from support.waiting import wait_for
from support.wire_tap import Tap
from varpd.control.client import Client
from varpd.control.messages import CreateOverlay

pytestmark = pytest.mark.integration

PATIENCE: Final = 30.0
"""Seconds for a fault to be seen, or to be forgotten, which it is after ten quiet ones."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(show_logs=False) as made:
        yield made


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> list[Host]:
    """Two hosts with the plugins of `support.hostile_plugins`."""
    return lab.hosts("a", "b", plugins=[hostile_plugins.__file__])


@pytest.fixture(autouse=True)
def clean(hosts: list[Host]) -> Iterator[None]:
    with overlays_of_a_test(hosts):
        yield


@pytest.fixture
def calm(lab: Lab, hosts: list[Host]) -> tuple[Guest, Guest]:
    """Guests of an overlay whose plugin does no harm, who know each other."""
    here, there = lab.files_overlay("calm", 7, {"here": hosts[0], "there": hosts[1]})
    assert here.ping(there).lost == 0
    return here, there


@pytest.fixture
def client(hosts: list[Host]) -> Iterator[Client]:
    """What administers the first host, also while its event loop is held up."""
    with Client(str(hosts[0].varpd.socket)) as made:
        yield made


def make_overlay(
    lab: Lab, hosts: list[Host], number: int, search: str, **properties: str
) -> tuple[Guest, Guest]:
    """Make overlay `bad-NUMBER` and its guests; its plugin works for the first host only.

    The guests' numbers are odd and even, as that plugin has them.
    """
    name, (here, there) = f"bad-{number}", hosts
    sides: list[tuple[Host, str, dict[str, str]]] = [
        (here, search, properties),
        (there, "direct", {"direct/dest_ip": here.address, "direct/dest_port": "4789"}),
    ]
    for host, plugin, given in sides:
        values: dict[str, str | None] = {"vxlan/listen_ip": host.address, **given}
        with Client(str(host.varpd.socket)) as client:
            client.create(CreateOverlay(name, 100 + number, plugin, properties=values))
    return here.attach(name, f"near-{number}"), there.attach(name, f"far-{number}")


def cause_with(client: Client, overlay: str, text: str) -> str | None:
    """Return the cause with that text in its message, of those that an overlay is degraded by."""
    found = [item.cause for item in client.overlay(overlay).causes if text in item.message]
    return found[0] if found else None


def reaches(near: Guest, far: Guest) -> bool:
    return near.ping(far, wait=1).lost == 0


def is_online(client: Client, overlay: str) -> bool:
    return client.overlay(overlay).state == "online"


DEEDS: Final = {
    "raise": ("fault", "lookup raised RuntimeError: no idea"),
    "hang": ("fault", "no answer "),
    "late": ("fault", "no answer "),
    "junk": ("fault", "lookup answered str"),
    "block": ("fault", "blocked the event loop"),
    "panic": ("panic", "lookup gives up"),
    "panic-thread": ("panic", "a thread gives up"),
}
"""What plugins do, and what it does to their overlays: the cause, and words of the message."""


def test_bad_plugins_hurt_only_their_own_overlays_which_recover(
    lab: Lab, hosts: list[Host], calm: tuple[Guest, Guest], client: Client
) -> None:
    here, there = calm
    victims = {
        deed: make_overlay(
            lab, hosts, number, "hostile", **{"hostile/do": deed, "lookup_timeout": "1"}
        )
        for number, deed in enumerate(DEEDS)
    }

    ping = ("ping", "-q", "-i", "0.2")
    with pings(here, there.ipv4) as run, ExitStack() as asking:
        for near, far in victims.values():
            asking.enter_context(near.popen(*ping, far.ipv4, stdout=DEVNULL))
        for number, (deed, (cause, text)) in enumerate(DEEDS.items()):
            found = partial(cause_with, client, f"bad-{number}", text)
            assert wait_for(f"{deed} to degrade the overlay", found, PATIENCE) == cause
        for number in range(len(DEEDS)):
            client.set_properties(f"bad-{number}", {"hostile/do": "good"})
        for near, far in victims.values():
            wait_for(f"an answer of {far.name}", partial(reaches, near, far))
        for number, deed in enumerate(DEEDS):
            well = partial(is_online, client, f"bad-{number}")
            wait_for(f"{deed} to be forgotten", well, PATIENCE)

    assert run.lost == 0


def test_a_late_answer_is_still_used(lab: Lab, hosts: list[Host], client: Client) -> None:
    properties = {"hostile/do": "late", "lookup_timeout": "1"}
    near, far = make_overlay(lab, hosts, 0, "hostile", **properties)

    with near.popen("ping", "-c", "1", far.ipv4, stdout=DEVNULL):
        wait_for("the fault", partial(cause_with, client, "bad-0", "no answer "))
        wait_for(
            "the answer", lambda: [item.state for item in client.targets("bad-0")] == ["valid"]
        )

    assert reaches(near, far)


@pytest.mark.long
def test_a_question_that_is_never_answered_is_given_up_and_asked_again(
    lab: Lab, hosts: list[Host]
) -> None:
    near, far = make_overlay(lab, hosts, 0, "hostile", **{"hostile/do": "hang-once"})

    assert not reaches(near, far)
    # The operation may go on for half a minute, and is the one question about that MAC.
    wait_for(f"an answer of {far.name}", partial(reaches, near, far), 2 * PATIENCE)


def test_threads_that_sleep_for_ever_hold_up_nobody(
    lab: Lab, hosts: list[Host], calm: tuple[Guest, Guest], client: Client
) -> None:
    here, there = calm
    near, far = make_overlay(lab, hosts, 0, "sleepy", lookup_timeout="1")

    with pings(here, there.ipv4) as run:
        near.ping(far, 3, interval=0.2, wait=1)
        wait_for("a fault", partial(cause_with, client, "bad-0", "no answer "), PATIENCE)
        client.set_properties("bad-0", {"sleepy/awake": "yes"})
        wait_for(f"an answer of {far.name}", partial(reaches, near, far))
        wait_for("the fault to be forgotten", partial(is_online, client, "bad-0"), PATIENCE)

    assert run.lost == 0


def test_threads_that_sleep_for_ever_do_not_hold_up_the_end(
    lab: Lab, hosts: list[Host], client: Client
) -> None:
    near, far = make_overlay(lab, hosts, 0, "sleepy", lookup_timeout="1")
    near.ping(far, wait=1)
    wait_for("a fault", partial(cause_with, client, "bad-0", "no answer "), PATIENCE)

    assert hosts[0].varpd.stop() == 0
    hosts[0].varpd.start()


OPERATIONS: Final = (
    *("constructor", "set_property", "get_property", "start", "enumerate", "reload", "save"),
    *("lookup", "arp", "dhcp", "stop", "close"),
)


def is_logged(host: Host, text: str) -> bool:
    return text in host.varpd.log()


def discovery(guest: Guest) -> Ether:
    """Return what a guest without an address asks for (RFC 2131, section 3.1)."""
    mac = bytes(guest.mac)
    return (
        Ether(src=str(guest.mac), dst="ff:ff:ff:ff:ff:ff")
        / IP(src="0.0.0.0", dst="255.255.255.255")
        / UDP(sport=68, dport=67)
        / BOOTP(chaddr=mac, xid=1, flags=0x8000)
        / DHCP(options=[("message-type", "discover"), "end"])
    )


def test_the_host_may_be_called_from_every_operation_and_many_threads(
    lab: Lab, hosts: list[Host], calm: tuple[Guest, Guest], client: Client
) -> None:
    here, there = calm
    logged = len(hosts[0].varpd.log())
    with pings(here, there.ipv4) as run:
        properties = {"preload": "on", "talkative/word": "hello"}
        near, far = make_overlay(lab, hosts, 0, "talkative", **properties)
        assert near.ping(far, 5).lost == 0
        wanted = {f"02:00:5e:10:00:{200 + number:02x}" for number in range(9)}
        wait_for("what was said", lambda: wanted <= {t.mac for t in client.targets("bad-0")})
        with Tap(near.namespace, "eth0") as tap:
            tap.send(discovery(near))
        hosts[0].varpd.send(signal.SIGHUP)
        for inside in OPERATIONS[:-2]:
            wait_for(inside, partial(is_logged, hosts[0], f"inside={inside} "))
        assert is_online(client, "bad-0")
        client.delete("bad-0")
        for inside in OPERATIONS[-2:]:
            wait_for(inside, partial(is_logged, hosts[0], f"inside={inside} "))

    assert run.lost == 0
    assert "fault" not in hosts[0].varpd.log()[logged:]


@pytest.mark.parametrize("search", ["files", "direct"])
def test_a_built_in_plugin_that_panics_is_restored_as_it_was(
    lab: Lab, hosts: list[Host], client: Client, search: str
) -> None:
    a, b = hosts
    if search == "files":
        near, far = lab.files_overlay("blue", 8, {"near": a, "far": b})
    else:
        for host, other in ((a, b), (b, a)):
            properties = (f"direct/dest_ip={other.address}", "direct/dest_port=4789")
            host.create("blue", 8, "direct", *properties)
        near, far = a.attach("blue", "near"), b.attach("blue", "far")
    assert near.ping(far).lost == 0
    before = client.overlay("blue")
    a.create("saboteur", 9, "saboteur")

    with pings(near, far.ipv4) as run:
        client.set_properties("saboteur", {"saboteur/victim": "blue"})
        wait_for("the panic", partial(cause_with, client, "blue", "sabotaged"))
        wait_for("the restart", partial(is_online, client, "blue"), PATIENCE)
        assert client.overlay("blue") == before
        a.overlayadm("modify", "blue", "-f", check=search == "files")
        near.run("ip", "neigh", "flush", "dev", "eth0")

    assert run.lost == 0
    assert near.ping(far.ipv6, 5).lost == 0
    assert a.varpd.log().count("panic") > 0
    panic = client.report().panics[-1]
    assert (panic.overlay, panic.message) == ("blue", "sabotaged")
    assert "panic" in panic.stack
