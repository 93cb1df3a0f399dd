"""The log: both forms, levels, secrets, lines of libraries."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from varpd.daemon import log
from varpd.provider.properties import HIDDEN


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Leave logging as it was for the tests that follow."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_for_programs_is_one_json_object_with_time_and_level() -> None:
    out = io.StringIO()
    log.set_up("info", "auto", out)

    structlog.get_logger().info("overlay created", overlay="blue", vnetid=7)

    line = json.loads(out.getvalue())
    assert line["event"] == "overlay created"
    assert line["overlay"] == "blue"
    assert line["vnetid"] == 7
    assert line["level"] == "info"
    assert line["timestamp"].endswith("Z")


def test_a_terminal_gets_text() -> None:
    out = Terminal()
    log.set_up("info", "auto", out)

    structlog.get_logger().warning("hello", overlay="blue")

    assert "hello" in out.getvalue()
    assert "blue" in out.getvalue()
    assert not out.getvalue().startswith("{")


@pytest.mark.parametrize(("form", "is_json"), [("json", True), ("text", False)])
def test_a_form_that_is_asked_for_wins_over_what_the_stream_is(
    form: log.Format, is_json: bool
) -> None:
    out = Terminal() if is_json else io.StringIO()
    log.set_up("info", form, out)

    structlog.get_logger().info("hello")

    assert out.getvalue().startswith("{") is is_json


def test_lines_below_the_level_are_not_written_and_the_level_can_change() -> None:
    out = io.StringIO()
    log.set_up("warning", "json", out)
    logger = structlog.get_logger()

    logger.info("before")
    log.set_level("debug")
    logger.debug("after")

    assert "before" not in out.getvalue()
    assert "after" in out.getvalue()


@pytest.mark.parametrize("name", ["password", "etcd_password", "svp-token", "API_KEY", "secret"])
def test_what_is_called_a_secret_is_never_shown(name: str) -> None:
    out = io.StringIO()
    log.set_up("info", "json", out)

    structlog.get_logger().info("connected", **{name: "hunter2"})

    assert "hunter2" not in out.getvalue()
    assert HIDDEN in out.getvalue()


def test_a_name_that_only_resembles_a_secret_is_shown() -> None:
    assert log.hide_secrets(None, "info", {"keys": "a", "monkey": "b"}) == {
        "keys": "a",
        "monkey": "b",
    }


def test_libraries_that_use_logging_write_in_the_same_form() -> None:
    out = io.StringIO()
    log.set_up("info", "json", out)

    logging.getLogger("aiohttp.access").warning("odd %s", "thing")
    logging.getLogger("aiohttp.access").info("chatter")

    line = json.loads(out.getvalue())
    assert line["event"] == "odd thing"
    assert line["level"] == "warning"


def test_an_exception_is_written_with_its_traceback() -> None:
    out = io.StringIO()
    log.set_up("info", "json", out)

    structlog.get_logger().error("failed", exc_info=RuntimeError("broken"))

    assert "RuntimeError: broken" in json.loads(out.getvalue())["exception"]
