"""`explain`, `monitor` and `trace` tell what real daemons and kernels do."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from support.guests import Guest
from support.lab import Host, Lab
from support.waiting import wait_for
from varpd.control.client import Client
from varpd.control.explanation import MacExplanation
from varpd.control.tracing import TraceInfo, TraceRequest

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> list[Host]:
    return lab.hosts("a", "b")


@pytest.fixture(scope="module")
def guests(lab: Lab, hosts: list[Host]) -> list[Guest]:
    """Guests `web` on host a and `db` on host b; drift is only reported, so that it can be seen."""
    a, b = hosts
    return lab.files_overlay("blue", 7, {"web": a, "db": b}, "drift=report")


def explained(host: Host, address: object) -> MacExplanation:
    with Client(str(host.varpd.socket)) as client:
        (mac,) = client.explain("blue", str(address)).macs
    return mac


def test_a_mac_is_explained_before_and_after_the_first_frame(
    hosts: list[Host], guests: list[Guest]
) -> None:
    a, b = hosts
    web, db = guests
    before = explained(a, db.mac)
    assert (before.wanted.state, before.agrees) == ("absent", True)
    assert before.summary.startswith(f"nothing is known of {db.mac}: files is asked")

    assert web.ping(db.ipv4, 3).lost == 0

    after = explained(a, db.mac)
    assert after.agrees
    assert after.summary.startswith(f"frames to {db.mac} go to {b.address}:4789, as files said ")
    assert after.summary.endswith("; both kernel tables agree")
    rows = {row.table: row for row in after.rows}
    assert rows["device"].destinations == (f"{b.address}:4789",)
    assert rows["bridge"].port == "vx-blue"
    assert "answered" in {event.kind for event in after.events}
    # The same for who has the address, which a guest has asked for.
    shown = a.overlayadm("explain", "blue", db.ipv4).stdout
    assert f"that {db.mac} has {db.ipv4}; frames to {db.mac} go to {b.address}:4789" in shown
    assert explained(a, web.mac).learned


def test_the_administrators_word_is_explained(hosts: list[Host], guests: list[Guest]) -> None:
    a, _ = hosts
    _, db = guests
    a.overlayadm("modify", "blue", "-s", f"{db.mac}=192.0.2.99:4789")
    found = explained(a, db.mac)
    assert found.agrees
    assert (found.wanted.origin, found.wanted.targets) == ("administrator", ("192.0.2.99:4789",))
    assert "as the administrator said" in found.summary
    a.overlayadm("modify", "blue", "-s", f"{db.mac}=drop")
    assert "are dropped, as the administrator said" in explained(a, db.mac).summary
    a.overlayadm("modify", "blue", "-d", str(db.mac))
    assert [event.kind for event in explained(a, db.mac).events[:3]].count("entry-deleted") == 1


def test_what_somebody_else_changed_in_the_kernel_is_explained(
    hosts: list[Host], guests: list[Guest]
) -> None:
    a, b = hosts
    web, db = guests
    assert web.ping(db.ipv4, 1).lost == 0
    a.run(
        *("bridge", "fdb", "replace", str(db.mac), "dev", "vx-blue", "self", "static"),
        *("dst", "192.0.2.66"),
    )
    found = explained(a, db.mac)
    assert not found.agrees
    assert found.wanted.targets == (f"{b.address}:4789",)
    assert "the tunnel device sends them to 192.0.2.66:4789" in found.problems
    a.run("bridge", "fdb", "del", str(db.mac), "dev", "vx-blue", "self")
    a.run("bridge", "fdb", "del", str(db.mac), "dev", "vx-blue", "master", check=False)
    found = explained(a, db.mac)
    assert any("the tunnel device has no row" in problem for problem in found.problems)
    a.overlayadm("modify", "blue", "-f")


def traced(host: Host, request: TraceRequest) -> TraceInfo:
    with Client(str(host.varpd.socket)) as client:
        return client.trace("blue", request)


def test_what_a_trace_says_is_what_then_happens(hosts: list[Host], guests: list[Guest]) -> None:
    a, b = hosts
    web, db = guests
    a.overlayadm("modify", "blue", "-f")
    nobody = "02:00:00:00:77:77"

    unknown = traced(a, TraceRequest(dst=nobody, ask=True))
    known = traced(a, TraceRequest(dst=str(db.mac), ask=True))
    who = traced(a, TraceRequest("arp", address=db.ipv4, src=str(web.mac), ask=True))
    who_six = traced(a, TraceRequest("nd", address=db.ipv6, src=str(web.mac), ask=True))
    server = traced(a, TraceRequest("dhcp", src=str(web.mac), ask=True))

    assert unknown.verdict == "it is dropped: the plugin gives it no destination"
    assert known.verdict == f"it is sent to {b.address}:4789"
    assert who.verdict == f"the guest gets the answer: {db.ipv4} is at {db.mac}"
    assert who_six.verdict == f"the guest gets the answer: {db.ipv6} is at {db.mac}"
    assert server.verdict == "it is dropped: there is no DHCP server, the plugin says"
    assert a.varpd.targets("blue") == []

    for address in (db.ipv4, db.ipv6):
        web.run("ip", "neigh", "flush", "all")
        assert web.ping(address, 1).lost == 0
        neighbours = web.run("ip", "neigh", "show", address).stdout
        assert str(db.mac) in neighbours
    (row,) = a.varpd.targets("blue")
    assert (row["mac"], row["ip"]) == (str(db.mac), b.address)
    carried = traced(a, TraceRequest(dst=str(db.mac)))
    assert carried.verdict == f"the tunnel device has a row and sends it to {b.address}:4789"
    shown = a.overlayadm("trace", "blue", "--dst", str(web.mac)).stdout
    assert f"the bridge has {web.mac} behind" in shown


@contextlib.contextmanager
def monitoring(host: Host, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Run `overlayadm monitor`, which is told of something before the block begins."""
    command = host.varpd.overlayadm_command("monitor", *arguments)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as it:
        try:
            assert it.stdout is not None
            with Client(str(host.varpd.socket)) as client:
                os.set_blocking(it.stdout.fileno(), False)

                def heard() -> str:
                    client.flush("blue")
                    assert it.stdout is not None
                    return it.stdout.readline()

                wait_for("monitor to say something", heard)
                os.set_blocking(it.stdout.fileno(), True)
            yield it
        finally:
            it.kill()


def test_monitor_tells_what_happens_until_it_is_interrupted(
    hosts: list[Host], guests: list[Guest]
) -> None:
    a, b = hosts
    web, db = guests
    with monitoring(a, "--json", "blue") as monitor:
        assert monitor.stdout is not None
        assert web.ping(db.ipv4, 1).lost == 0
        events = map(json.loads, monitor.stdout)
        answered = next(
            event
            for event in events
            if event["kind"] == "answered" and str(db.mac) in event["macs"]
        )
        assert answered["target"] == f"{b.address}:4789"
        assert next(events)["kind"] == "rows-written"
        monitor.send_signal(signal.SIGINT)
        assert monitor.wait(10) == 130


def test_monitor_ends_with_the_daemon_and_says_so(hosts: list[Host], guests: list[Guest]) -> None:
    _, b = hosts
    with monitoring(b) as monitor:
        assert b.varpd.stop() == 0
        _, complaint = monitor.communicate(timeout=20)
    assert monitor.returncode == 1
    assert complaint == "overlayadm: the daemon has ended; run the command again when it is back\n"
