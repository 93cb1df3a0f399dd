"""Runs benchmarks and shows what they found; started by `make bench`."""

import argparse
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks import show
from benchmarks.results import Outcome

CASES: Final = (
    *("engine", "start", "cold", "throughput", "busy_kernel", "file_change"),
    *("memory", "rows", "misses", "fair", "scale"),
)
"""In the order of running: what needs a quiet kernel comes before what fills its tables."""

Say = Callable[[str], None]


def machine() -> dict[str, str]:
    """Return what a reader must know of where this ran."""
    cores = os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "processors": f"{cores} x {_processor()}",
        "memory": f"{memory:.0f} GiB",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def main() -> int:
    """Run; return 0 if every benchmark came to its end, whatever it found."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--only", default="", metavar="NAME,...", help=f"some of: {', '.join(CASES)}"
    )
    parser.add_argument("--out", type=Path, default=Path("build/bench"), metavar="FOLDER")
    options = parser.parse_args()
    wanted = [name for name in options.only.split(",") if name]
    if unknown := set(wanted) - set(CASES):
        parser.error(
            f"no such benchmark: {', '.join(sorted(unknown))}; there are: {', '.join(CASES)}"
        )
    console = Console()
    outcomes, failed = [], []
    for name in wanted or CASES:
        began = time.monotonic()
        outcome = one(console, name)
        if outcome is None:
            failed.append(name)
            continue
        show.table(console, outcome)
        outcomes.append(outcome)
        console.print(f"  {name} took {time.monotonic() - began:.0f} s\n", style="dim")
    show.save(options.out, machine(), outcomes)
    console.print(f"written to {options.out}: results.json, {len(outcomes)} plots")
    if failed:
        console.print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def one(console: Console, name: str) -> Outcome | None:
    """Run one benchmark; None if it failed, which the others do not mind."""
    case = import_module(f"benchmarks.cases.{name}")
    with console.status(f"{name}: {case.TITLE}") as status:
        try:
            outcome: Outcome = case.run(lambda text: status.update(f"{name}: {text}"))
        except Exception:
            console.print(f"{name} failed:\n{traceback.format_exc()}")
            return None
    return outcome


if __name__ == "__main__":
    sys.exit(main())
