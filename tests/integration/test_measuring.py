"""Metrics, stats and captures of real daemons with real guests."""

import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families
from scapy.layers.l2 import ARP
from scapy.utils import PcapNgReader

from support.lab import Host, Lab
from support.shared_lab import overlays_of_a_test
from support.varpd_process import BIN
from support.waiting import wait_for

pytestmark = pytest.mark.integration

DOCS: Final = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(show_logs=False) as made:
        yield made


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> list[Host]:
    return lab.hosts("a", "b")


@pytest.fixture(autouse=True)
def clean(hosts: list[Host]) -> Iterator[None]:
    with overlays_of_a_test(hosts):
        yield


def documented(start: str) -> str:
    """Return the command in the documentation that begins so."""
    blocks = re.findall(r"^```\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    (command,) = [block for block in blocks if block.startswith(start)]
    return str(command)


def samples(text: str) -> dict[str, float]:
    """Return the samples of a scrape by name, summed over their labels."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


def test_a_cold_ping_is_counted_all_the_way(lab: Lab, hosts: list[Host]) -> None:
    a, b = hosts
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
    assert web.ping(db.ipv4).lost == 0

    # As the documentation says, but for where things are.
    file = lab.directory / "varpd.prom"
    command = documented("curl").replace("/run/varpd/varpd.sock", str(a.varpd.socket))
    command = command.replace("/var/lib/node_exporter/varpd.prom", str(file))
    a.run("sh", "-c", command)
    found = samples(file.read_text())
    assert found["varpd_punted_frames_total"] >= 1
    assert found["varpd_lookups_total"] >= 1
    assert found["varpd_rows_written_total"] >= 1
    assert found["varpd_proxied_frames_total"] >= 1
    assert found["varpd_rows_wanted"] >= 1
    assert found["process_resident_memory_bytes"] > 0

    (stats,) = json.loads(a.overlayadm("stats", "--json", "blue").stdout)
    assert stats["punted"]["arp"] >= 1
    assert stats["proxied"]["arp"]["answered"] >= 1
    assert stats["lookup"]["count"] >= 1
    assert "blue" in a.overlayadm("stats").stdout


def test_a_miss_is_timed_from_the_frame_to_its_row(lab: Lab, hosts: list[Host]) -> None:
    a, b = hosts
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
    # The guest knows the MAC, so that the first frame is the miss.
    web.run("ip", "neigh", "add", str(db.ipv4), "lladdr", str(db.mac), "dev", "eth0")
    assert web.ping(db.ipv4).lost == 0
    (stats,) = json.loads(a.overlayadm("stats", "--json", "blue").stdout)
    assert stats["miss_to_row"]["count"] >= 1
    assert 0 < stats["miss_to_row"]["p99_s"] < 5


def test_metrics_come_through_a_proxy_as_documented(hosts: list[Host]) -> None:
    a, _ = hosts
    command = documented("socat").replace("/run/varpd/varpd.sock", str(a.varpd.socket))
    proxy = subprocess.Popen(a.namespace.command(*command.split()))
    try:
        with a.namespace.entered():
            wait_for("the proxy", lambda: _answers(9478))
        text = a.run("curl", "-sSf", "http://127.0.0.1:9478/metrics").stdout
    finally:
        proxy.terminate()
        proxy.wait(20)
    assert samples(text)["varpd_build_info"] == 1


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_what_is_punted_answered_and_sent_on_is_captured(lab: Lab, hosts: list[Host]) -> None:
    a, b = hosts
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
    file = lab.directory / "blue.pcapng"
    capture = subprocess.Popen(
        a.namespace.command(
            *(str(BIN / "overlayadm"), "--socket", str(a.varpd.socket)),
            *("capture", "blue", "-w", str(file)),
        ),
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for("the capture", lambda: file.exists() and file.stat().st_size > 0)
    assert web.ping(db.ipv4).lost == 0
    wait_for("the answer in the file", lambda: _sent_by(file, "blue:injected"))
    capture.send_signal(signal.SIGINT)
    _, said = capture.communicate(timeout=30)
    assert capture.returncode == 0
    assert re.search(r"[1-9]\d* frames captured, 0 lost", said)

    asked = [packet[ARP] for packet in _sent_by(file, "blue:punted") if ARP in packet]
    answers = [packet[ARP] for packet in _sent_by(file, "blue:injected") if ARP in packet]
    assert (asked[0].op, asked[0].pdst) == (1, str(db.ipv4))
    assert (answers[0].op, answers[0].psrc, answers[0].hwsrc) == (2, str(db.ipv4), str(db.mac))
    a.run("tcpdump", "-n", "-r", str(file))


def _sent_by(file: Path, interface: str) -> list[Any]:
    """Return the frames of one kind in a capture."""
    with PcapNgReader(str(file)) as reader:
        return [packet for packet in reader if packet.sniffed_on == interface]


def test_a_capture_ends_with_the_daemon(lab: Lab) -> None:
    host = lab.host("c")
    lab.files_overlay("green", 8, {"loner": host})
    file = lab.directory / "green.pcapng"
    capture = subprocess.Popen(
        host.namespace.command(
            *(str(BIN / "overlayadm"), "--socket", str(host.varpd.socket)),
            *("capture", "green", "-w", str(file)),
        ),
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for("the capture", lambda: file.exists() and file.stat().st_size > 0)
    assert host.varpd.stop() == 0
    _, said = capture.communicate(timeout=30)
    assert capture.returncode == 1
    assert "the daemon ended the capture" in said
    assert _sent_by(file, "green:nothing") == []
