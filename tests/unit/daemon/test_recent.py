"""The last lines of the log and the last panics are kept, in bounds."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from varpd.daemon import log
from varpd.daemon.recent import LINES, MAX_LINE, MAX_STACK, PANICS, Recent


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_lines_that_are_logged_are_kept_with_secrets_hidden() -> None:
    recent = log.set_up("info", "json", io.StringIO())
    secrets = {"password": "opensesame"}
    structlog.get_logger().info("asked", overlay="blue", **secrets)
    structlog.get_logger().debug("not logged, not kept")
    (line,) = recent.lines
    assert json.loads(line)["overlay"] == "blue"
    assert "opensesame" not in line


def test_lines_of_libraries_are_kept_too() -> None:
    recent = log.set_up("info", "json", io.StringIO())
    logging.getLogger("library").warning("it is late")
    assert json.loads(recent.lines[0])["event"] == "it is late"


def test_only_so_many_lines_of_such_a_length_are_kept() -> None:
    recent = Recent()
    for number in range(LINES + 3):
        recent(None, "info", {"event": str(number), "more": "x" * 2 * MAX_LINE})
    assert len(recent.lines) == LINES
    assert max(map(len, recent.lines)) == MAX_LINE
    assert recent.lines[0].startswith('{"event": "3"')


def test_a_line_that_is_no_json_is_kept_as_its_event() -> None:
    recent = Recent()
    circle: dict[str, object] = {"event": "odd"}
    circle["self"] = circle
    recent(None, "info", circle)
    assert recent.lines == ("odd",)


def test_panics_are_kept_whole_but_in_bounds() -> None:
    recent = Recent()
    for number in range(PANICS + 1):
        line = {"event": "panic", "overlay": "blue", "plugin": "files", "timestamp": "now"}
        line |= {"message": str(number), "stack": "s" * 2 * MAX_STACK}
        recent(None, "error", line | {"before": ["fault: a", "fault: b"]})
    assert [item.message for item in recent.panics] == [str(n) for n in range(1, PANICS + 1)]
    last = recent.panics[-1]
    assert (last.overlay, last.plugin, last.at) == ("blue", "files", "now")
    assert last.before == ("fault: a", "fault: b")
    assert len(last.stack) == MAX_STACK
