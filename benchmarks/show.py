"""Results for people: a table on the terminal, JSON and a plot in a folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib
import msgspec
from matplotlib import pyplot
from rich.console import Console
from rich.table import Table

from benchmarks.results import Outcome, Ratio, Series

matplotlib.use("svg")

_VERDICTS: Final = {True: "yes", False: "NO", None: ""}


def number(value: float) -> str:
    """Return a figure with as many digits as mean something."""
    if value and abs(value) < 0.01:
        return f"{value:.2g}"
    return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"


def table(console: Console, outcome: Outcome) -> None:
    """Print what one benchmark found."""
    figures = Table(title=f"{outcome.name}: {outcome.title}", title_justify="left")
    for column in ("what", "unit", "median", "least", "most", "n"):
        figures.add_column(column, justify="left" if column in ("what", "unit") else "right")
    for series in outcome.series:
        low, high = series.spread
        figures.add_row(
            series.label,
            series.unit,
            number(series.median),
            number(low),
            number(high),
            str(len(series.values)),
        )
    console.print(figures)
    for ratio in outcome.ratios:
        console.print(f"  {sentence(ratio)}", highlight=False)
    for note in outcome.notes:
        console.print(f"  {note}", highlight=False, style="dim")
    console.print()


def sentence(ratio: Ratio) -> str:
    """Return a ratio in words."""
    goal = f" (goal: {ratio.goal}; met: {_VERDICTS[ratio.met]})" if ratio.goal else ""
    return f"{ratio.label}: {number(ratio.value)}{goal}"


def save(folder: Path, machine: dict[str, str], outcomes: Sequence[Outcome]) -> None:
    """Write `results.json` and a plot of each benchmark into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {"machine": machine, "outcomes": outcomes}
    text = msgspec.json.format(msgspec.json.encode(document), indent=1)
    (folder / "results.json").write_bytes(text + b"\n")
    for outcome in outcomes:
        plot(folder / f"{outcome.name}.svg", outcome)


def plot(file: Path, outcome: Outcome) -> None:
    """Draw the series of a benchmark as boxes, those of one unit side by side."""
    units: dict[str, list[Series]] = {}
    for series in outcome.series:
        units.setdefault(series.unit, []).append(series)
    rows = max(len(alike) for alike in units.values())
    figure, axes = pyplot.subplots(
        1, len(units), figsize=(6 * len(units), 1.5 + 0.5 * rows), squeeze=False
    )
    for axis, (unit, alike) in zip(axes[0], units.items(), strict=True):
        alike = alike[::-1]
        axis.boxplot(
            [series.values for series in alike],
            orientation="horizontal",
            tick_labels=[series.label for series in alike],
        )
        axis.set_xlabel(unit)
        axis.set_xlim(left=0)
        axis.grid(axis="x", alpha=0.3)
    figure.suptitle(outcome.title)
    figure.tight_layout()
    figure.savefig(file)
    pyplot.close(figure)
