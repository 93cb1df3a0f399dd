"""How many distinct misses a second varpd resolves, one after another, and what each costs.

The peer is the bare loop: the least that Python can do. Both have the same million mappings, the
same devices, the same receive buffer, and what they send is counted at the far end.
"""

from collections.abc import Callable
from contextlib import ExitStack
from ipaddress import ip_address
from typing import Final

from benchmarks import load, place
from benchmarks.results import Outcome, Ratio, Series, paired
from support.guests import Guest
from support.lab import Host, Lab
from support.waiting import wait_for
from varpd.control.client import Client
from varpd.datapath.base import Link
from varpd.datapath.linux import names
from varpd.engine.settings import Mode
from varpd.provider.answers import Target

TITLE: Final = "distinct misses a second, 1,000,000 mappings, limits off"
MAPPINGS: Final = 1_000_000
FRAMES: Final = 100_000
REPETITIONS: Final = 5
STEPS: Final = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
"""Parts of the rate under overload that are offered, until one is borne without a loss."""

OVERLAY: Final = "fast"


class Trial:
    """One of the two, and how to try it."""

    def __init__(self, sink: Host, guest: Guest, process: int, reset: Callable[[], None]) -> None:
        """Take where frames arrive, who sends them, who resolves, and what makes it forget."""
        self._sink, self._guest, self._process, self._reset = sink, guest, process, reset
        self.overload: list[float] = []
        """Misses a second where more are offered than can be done."""
        self.cost: list[float] = []
        """Microseconds of processor time for each."""
        self.sustained: list[float] = []
        """The largest rate offered of which nothing was lost."""

    def burst(self, rate: int) -> load.Arrivals:
        """Send to MACs that nobody has asked about."""
        self._reset()
        with load.arrivals(self._sink.namespace, FRAMES) as found:
            load.send(self._guest.namespace, FRAMES, rate)
        return found

    def repeat(self) -> None:
        """Measure everything once."""
        before = place.processor_seconds(self._process)
        found = self.burst(0)
        spent = place.processor_seconds(self._process) - before
        count = len(found.came)
        rate = count / found.seconds
        self.overload.append(rate)
        self.cost.append(spent * 1e6 / count)
        for part in STEPS:
            if len(self.burst(int(rate * part)).came) == FRAMES:
                self.sustained.append(rate * part)
                return
        raise AssertionError("frames are lost at every rate")


def run(say: Callable[[str], None]) -> Outcome:
    """Measure both in turn."""
    with Lab(show_logs=False) as lab, ExitStack() as stack:
        say("conditioning the kernel")
        place.condition(lab)
        ours, theirs = lab.host("ours"), lab.host("theirs", start=False)
        sink = lab.host("sink", start=False)
        say("reading a million mappings")
        file = place.mappings_file(lab.directory / "fast.json", MAPPINGS, sink.address)
        ours.create(OVERLAY, 7, "files", f"files/config={file}", *place.NO_LIMITS)

        def forget() -> None:
            with Client(str(ours.varpd.socket)) as client:
                client.flush(OVERLAY)
            wait_for("the rows to be gone", lambda: place.is_empty(ours, OVERLAY), 60)

        link = Link("bare", 0, "vxlan", Mode.DYNAMIC, 1, ip_address(theirs.address), 4789)
        punt = Target(ip=names.punt_address(link), port=names.PUNT_PORT)
        made = place.bare(theirs, "bare", 7, punt, mode=Mode.DYNAMIC)
        process = stack.enter_context(place.bare_loop(theirs, made, MAPPINGS, sink.address))
        varpd = Trial(sink, place.silent(ours.attach(OVERLAY, "one")), ours.varpd.pid, forget)
        loop = Trial(sink, place.silent(theirs.attach("bare", "two")), process, made.empty)
        for repetition in range(REPETITIONS):
            for name, trial in (("varpd", varpd), ("bare loop", loop)):
                say(f"{name}, {repetition + 1} of {REPETITIONS}")
                trial.repeat()
        rows = made.rows()
    if rows != FRAMES:
        raise AssertionError(f"the bare loop has {rows} rows in both tables, not {FRAMES}")
    return Outcome(
        "misses",
        TITLE,
        (
            Series("varpd, none lost", "misses/s", tuple(varpd.sustained)),
            Series("bare loop, none lost", "misses/s", tuple(loop.sustained)),
            Series("varpd, overloaded", "misses/s", tuple(varpd.overload)),
            Series("bare loop, overloaded", "misses/s", tuple(loop.overload)),
            Series("varpd", "us of processor a miss", tuple(varpd.cost)),
            Series("bare loop", "us of processor a miss", tuple(loop.cost)),
        ),
        (
            Ratio.at_least(
                "none lost, varpd / bare loop", paired(varpd.sustained, loop.sustained), 1.3
            ),
            Ratio("processor time, varpd / bare loop", paired(varpd.cost, loop.cost), ""),
        ),
    )
