"""The reference pages say what there is: every verb and option, every route and code."""

import re
from pathlib import Path
from typing import Any, Final

import click
import pytest

from varpd.cli.exits import Exit
from varpd.cli.main import VERBS, overlayadm
from varpd.control.connection import Limits
from varpd.control.messages import MAX_REQUEST, ErrorCode
from varpd.control.reasons import REASONS
from varpd.control.routes import ROUTES, STATUS, Route
from varpd.daemon import catalogue
from varpd.daemon.families import FAMILIES
from varpd.daemon.lookups import RESULTS

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
OVERLAYADM: Final = (DOCS / "overlayadm.md").read_text(encoding="utf-8")
API: Final = (DOCS / "api.md").read_text(encoding="utf-8")
METRICS: Final = (DOCS / "metrics.md").read_text(encoding="utf-8")
CONFIGURATION: Final = (DOCS / "configuration.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """Return what stands below a heading of the second level."""
    return OVERLAYADM.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_a_verb_is_in_its_section(verb: str) -> None:
    command = overlayadm.get_command(click.Context(overlayadm), verb)
    assert command is not None
    options = [
        name
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in parameter.opts
    ]
    assert [name for name in options if f"`{name}" not in section(verb)] == []


def test_every_exit_status_is_there() -> None:
    assert [s for s in Exit if f"| {s.value} |" not in section("Exit status")] == []


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_is_there_with_its_status(route: Route[Any]) -> None:
    lines = [line for line in API.splitlines() if f"| `{route.method} {route.path}` |" in line]
    assert len(lines) == 1
    assert str(route.status.value) in lines[0]


@pytest.mark.parametrize("code", [code for code in ErrorCode if code != ErrorCode.UNREACHABLE])
def test_every_kind_of_error_is_there_with_its_status(code: ErrorCode) -> None:
    (line,) = [line for line in API.splitlines() if line.startswith(f"| `{code.value}` |")]
    assert str(STATUS[code].value) in line


@pytest.mark.parametrize("name", [item.name for item in catalogue.declarations()])
def test_every_property_of_varpd_is_there(name: str) -> None:
    source = "limit_source_"
    written = f"{source}..." if name.startswith(source) else name
    assert f"`{written}`" in CONFIGURATION


def test_the_bounds_are_those_of_the_code() -> None:
    assert MAX_REQUEST == 1 << 20
    bounds = " ".join(API.partition("\n## Bounds\n")[2].split())
    assert f"{Limits().body:.0f} seconds to come" in bounds
    assert f"closed after {Limits().idle:.0f} seconds" in bounds
    assert f"at most {Limits().connections} connections" in bounds


def test_the_metrics_are_those_of_the_code_with_their_labels() -> None:
    rows = re.findall(r"^\| `(varpd_\w+)` \|([^|]*)\|", METRICS, re.MULTILINE)
    written = {name: tuple(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    assert len(rows) == len(written)
    assert written == {family.name: family.labels for family in FAMILIES}


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_to_drop_a_frame_is_there(reason: str) -> None:
    assert f"| `{reason}` | {REASONS[reason]} |" in METRICS


@pytest.mark.parametrize("result", RESULTS)
def test_every_result_of_a_question_is_there(result: str) -> None:
    (line,) = [line for line in METRICS.splitlines() if "`varpd_lookups_total`" in line]
    assert f"`{result}`" in line
