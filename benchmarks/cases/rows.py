"""Rows written a second: varpd's row writer beside `bridge -batch`.

Both write 50,000 rows into a tunnel device and its bridge, a table that is emptied in between.
`bridge -batch` takes the rows as text and needs two lines for both tables, as operators write them.
"""

import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from benchmarks import load, place
from benchmarks.place import Bare
from benchmarks.results import Outcome, Ratio, Series, paired
from support.lab import Lab
from varpd.datapath.linux import names
from varpd.datapath.linux.writer import RowWriter
from varpd.engine.commands import Install
from varpd.engine.settings import Mode
from varpd.provider.answers import Target

TITLE: Final = "rows written a second, into both tables"
ROWS: Final = 50_000
REPETITIONS: Final = 5
BATCH: Final = 64


def by_varpd(made: Bare, target: Target) -> float:
    """Return the rows a second that the row writer does."""
    with made.namespace.entered():
        writer = RowWriter()
        writer.start()
    writer.open("blue", made.device)
    macs = [load.mac(number) for number in range(ROWS)]
    began = time.monotonic()
    for start in range(0, ROWS, BATCH):
        writer.submit(Install("blue", target, macs[start : start + BATCH], []))
    writer.settle().result()
    spent = time.monotonic() - began
    writer.stop()
    return ROWS / spent


def by_bridge(made: Bare, target: Target) -> float:
    """Return the rows a second that `bridge -batch` does."""
    device = names.device_name(made.bridge)
    lines = [
        line
        for number in range(ROWS)
        for mac in (load.mac(number).hex(":"),)
        for line in (
            f"fdb replace {mac} dev {device} dst {target.ip} self",
            f"fdb replace {mac} dev {device} master static sticky",
        )
    ]
    began = time.monotonic()
    place.batch(made.namespace, iter(lines))
    return ROWS / (time.monotonic() - began)


def run(say: Callable[[str], None]) -> Outcome:
    """Measure both in turn."""
    found: dict[str, list[float]] = {"varpd": [], "bridge -batch": []}
    with Lab(show_logs=False) as lab:
        say("conditioning the kernel")
        place.condition(lab)
        host = lab.host("host", start=False)
        target = Target(ip=ip_address("192.0.2.9"), port=4789)
        made = place.bare(host, "rows", 7, target, mode=Mode.DYNAMIC)
        for repetition in range(REPETITIONS):
            for label, write in (("varpd", by_varpd), ("bridge -batch", by_bridge)):
                say(f"{label}, {repetition + 1} of {REPETITIONS}")
                found[label].append(write(made, target))
                if (rows := made.rows()) != ROWS:
                    raise AssertionError(f"{label} wrote {rows} rows, not {ROWS}")
                made.empty()
    series = tuple(Series(label, "rows/s", tuple(values)) for label, values in found.items())
    ratio = paired(found["varpd"], found["bridge -batch"])
    return Outcome("rows", TITLE, series, (Ratio.at_least("varpd / bridge -batch", ratio, 1.5),))
