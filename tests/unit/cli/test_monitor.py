"""``overlayadm monitor``."""

import json
from collections.abc import Callable

from click.testing import Result

from support.fake_service import FakeService
from varpd.cli.monitor import line
from varpd.control.messages import EventInfo

Run = Callable[..., Result]

ANSWERED = EventInfo(
    "2026-01-02T03:04:05.678Z",
    "web0",
    "answered",
    "the plugin answered: drop",
    tuple(f"02:00:00:00:00:0{number}" for number in range(6)),
    more=10,
)
DEGRADED = EventInfo("2026-01-02T03:04:06.000Z", "web0", "degraded", "degraded: \x1b[2J", ())
LOST = EventInfo("2026-01-02T03:04:07.000Z", None, "lost", "7 events were lost", (), more=7)


def test_an_event_is_a_line_with_the_first_macs_and_the_number_of_the_others() -> None:
    assert line(ANSWERED)[19:] == (
        ".678 web0 02:00:00:00:00:00, 02:00:00:00:00:01, 02:00:00:00:00:02, 02:00:00:00:00:03,"
        " 12 more: the plugin answered: drop"
    )


def test_what_is_about_the_stream_has_a_star_for_the_overlay() -> None:
    assert line(LOST)[19:] == ".000 *: 7 events were lost"


def test_events_are_shown_until_the_daemon_ends_which_is_a_failure(
    run: Run, service: FakeService
) -> None:
    service.happens = [ANSWERED, DEGRADED]
    result = run("monitor")
    assert result.exit_code == 1
    assert [text[19:28] for text in result.stdout.splitlines()] == [".678 web0", ".000 web0"]
    assert "\x1b" not in result.stdout
    assert (
        result.stderr == "overlayadm: the daemon has ended; run the command again when it is back\n"
    )


def test_json_is_an_object_a_line(run: Run, service: FakeService) -> None:
    service.add("web0")
    service.happens = [ANSWERED, LOST]
    result = run("monitor", "web0", "--json")
    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["kind"], first["more"], len(first["macs"])) == ("answered", 10, 6)
    assert (second["kind"], second["overlay"], second["macs"]) == ("lost", None, [])


def test_an_overlay_that_is_not_there_is_an_error(run: Run) -> None:
    result = run("monitor", "web0")
    assert (result.exit_code, result.stderr) == (1, "overlayadm: there is no overlay 'web0'\n")
