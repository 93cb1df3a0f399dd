"""How long the commands take: `varpd` with nothing defined until it is ready, `overlayadm show`."""

import subprocess
import time
from collections.abc import Callable
from typing import Final

from benchmarks.results import Outcome, Ratio, Series
from support.lab import Lab

TITLE: Final = "start of varpd with nothing defined, and overlayadm show"
REPETITIONS: Final = 9


def run(say: Callable[[str], None]) -> Outcome:
    """Measure both, and a Python that does nothing, in turn."""
    ready: list[float] = []
    shown: list[float] = []
    python: list[float] = []
    with Lab(show_logs=False) as lab:
        host = lab.host("host", start=False)
        for repetition in range(REPETITIONS):
            say(f"{repetition + 1} of {REPETITIONS}")
            began = time.monotonic()
            host.varpd.start()
            ready.append(time.monotonic() - began)
            began = time.monotonic()
            host.overlayadm("show")
            shown.append(time.monotonic() - began)
            began = time.monotonic()
            subprocess.run([".venv/bin/python", "-c", "pass"], check=True)
            python.append(time.monotonic() - began)
            host.varpd.stop()
    in_ms = [tuple(value * 1e3 for value in values) for values in (ready, shown, python)]
    series = tuple(
        Series(label, "ms", values)
        for label, values in zip(
            ("varpd until ready", "overlayadm show", "python -c pass"), in_ms, strict=True
        )
    )
    return Outcome(
        "start",
        TITLE,
        series,
        (
            Ratio.at_most("varpd until ready, ms", series[0].median, 1000),
            Ratio.at_most("overlayadm show, ms", series[1].median, 200),
        ),
        ("overlayadm is started in the host's namespace by nsenter, which is measured with it.",),
    )
