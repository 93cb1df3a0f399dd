"""The row writer on the real kernel: what is in the two tables, and what is not."""

import json
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from support.namespaces import Namespace
from varpd.datapath.linux.lanes import BATCH
from varpd.datapath.linux.writer import RowWriter
from varpd.engine.commands import Install, InstallReplicas, RemoveRows
from varpd.provider.answers import Target

pytestmark = pytest.mark.integration

ONE = Target(ip_address("192.0.2.11"), 4789)
TWO = Target(ip_address("192.0.2.12"), 4790)
STRANGE = Target(ip_address("2001:db8::11"), 4789)
GROUP = "01:00:5e:01:02:03"
PATIENCE = 30.0


def mac(number: int) -> bytes:
    return b"\x02" + number.to_bytes(5, "big")


def text(number: int) -> str:
    return mac(number).hex(":")


class Bench:
    """A writer, a bridge and a vxlan device on it, made by hand."""

    def __init__(self, host: Namespace) -> None:
        self.host = host
        host.run("ip", "link", "add", "blue", "type", "bridge")
        host.run(
            *("ip", "link", "add", "vx-blue", "type", "vxlan", "id", "7", "local", "192.0.2.1"),
            *("dstport", "4789", "nolearning"),
        )
        host.run("ip", "link", "set", "vx-blue", "master", "blue", "up")
        host.run("ip", "link", "set", "blue", "up")
        self.refused: list[tuple[str, list[bytes], str]] = []
        self.writer = RowWriter(lambda *refusal: self.refused.append(refusal))
        self.writer.start()
        self.writer.open("blue", socket.if_nametoindex("vx-blue"))

    def install(self, target: Target, *numbers: int) -> None:
        self.writer.submit(Install("blue", target, [mac(number) for number in numbers], []))
        self.settle()

    def remove(self, *numbers: int) -> None:
        self.writer.submit(RemoveRows("blue", [mac(number) for number in numbers]))
        self.settle()

    def replicate(self, *targets: Target) -> None:
        group = bytes.fromhex(GROUP.replace(":", ""))
        self.writer.submit(InstallReplicas("blue", group, targets))
        self.settle()

    def settle(self) -> None:
        self.writer.settle().result(PATIENCE)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return the rows in the table of `self` or of the `master`, but for the bridge's own."""
        said = self.host.run("bridge", "-json", "fdb", "show", "dev", "vx-blue").stdout
        return [
            row
            for row in json.loads(said)
            if (table in row.get("flags", []) or (table == "master" and "master" in row))
            and row.get("state") != "permanent"
        ]

    def macs(self, table: str) -> set[str]:
        return {row["mac"] for row in self.rows(table)}


@pytest.fixture
def bench(host: Namespace) -> Iterator[Bench]:
    made = Bench(host)
    yield made
    made.writer.stop()


def test_a_mac_has_a_sticky_row_in_each_table(bench: Bench) -> None:
    bench.install(ONE, 1)

    (own,) = bench.rows("self")
    (master,) = bench.rows("master")
    assert (own["mac"], own["dst"], own["state"]) == (text(1), "192.0.2.11", "static")
    assert (master["mac"], master["state"]) == (text(1), "static")
    assert "sticky" in master["flags"]


def test_another_target_replaces_the_first(bench: Bench) -> None:
    bench.install(ONE, 1)
    bench.install(TWO, 1)

    (own,) = bench.rows("self")
    assert (own["dst"], own["port"]) == ("192.0.2.12", 4790)
    assert len(bench.rows("master")) == 1


def test_a_removed_mac_is_in_neither_table(bench: Bench) -> None:
    bench.install(ONE, 1, 2)
    bench.remove(1)
    assert bench.macs("self") == bench.macs("master") == {text(2)}


def test_a_refused_row_is_in_neither_table_and_the_others_are_in_both(bench: Bench) -> None:
    bench.install(ONE, 5)
    bench.writer.submit(Install("blue", STRANGE, [mac(5), mac(6)], []))
    bench.writer.submit(Install("blue", ONE, [mac(7)], []))
    bench.settle()

    assert [(overlay, macs) for overlay, macs, _ in bench.refused] == [("blue", [mac(5), mac(6)])]
    assert "Address family not supported" in bench.refused[0][2]
    assert bench.macs("self") == bench.macs("master") == {text(7)}


def test_a_whole_batch_can_be_refused(bench: Bench) -> None:
    bench.install(STRANGE, *range(2 * BATCH))
    assert sum(len(macs) for _, macs, _ in bench.refused) == 2 * BATCH
    assert bench.macs("self") == bench.macs("master") == set()


@pytest.mark.parametrize("half", ["self", "master"])
def test_a_row_whose_other_half_somebody_deleted_is_removed(bench: Bench, half: str) -> None:
    bench.install(ONE, 1)
    bench.host.run("bridge", "fdb", "del", text(1), "dev", "vx-blue", half)
    bench.remove(1)

    assert bench.macs("self") == bench.macs("master") == set()
    assert bench.writer.counters.not_removed == 0


def test_the_destinations_of_a_group_mac_are_in_the_devices_table_alone(bench: Bench) -> None:
    bench.replicate(ONE, TWO)
    assert {row["dst"] for row in bench.rows("self")} == {"192.0.2.11", "192.0.2.12"}
    assert bench.macs("master") == set()

    bench.replicate(TWO)
    assert {row["dst"] for row in bench.rows("self")} == {"192.0.2.12"}
    bench.replicate()
    assert bench.rows("self") == []


def test_usage_is_read_row_by_row(bench: Bench) -> None:
    bench.install(ONE, 1)
    used, unknown = bench.writer.usage("blue", [mac(1), mac(2)]).result(PATIENCE)
    assert used is not None
    assert 0 <= used < PATIENCE
    assert unknown is None


def test_rows_of_a_device_that_is_gone_are_written_off_in_silence(bench: Bench) -> None:
    bench.host.run("ip", "link", "del", "vx-blue")
    bench.install(ONE, 1)
    bench.remove(1)
    bench.replicate(ONE)
    assert (bench.refused, bench.writer.counters.not_removed) == ([], 0)


def test_an_overlay_without_a_bridge_has_rows_in_its_device_alone(bench: Bench) -> None:
    bench.writer.open("blue", socket.if_nametoindex("vx-blue"), mac_master=False)
    bench.install(ONE, 1, 2)
    bench.remove(2)
    assert (bench.macs("self"), bench.macs("master")) == ({text(1)}, set())


def test_many_rows_end_up_in_both_tables(bench: Bench) -> None:
    numbers = range(20 * BATCH)
    bench.install(ONE, *numbers)
    assert bench.macs("self") == bench.macs("master") == {text(number) for number in numbers}
    assert bench.writer.counters.written == 20 * BATCH
