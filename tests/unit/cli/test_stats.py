"""``overlayadm stats``."""

import json
from collections.abc import Callable

import msgspec
import pytest
from click.testing import Result

from support.fake_service import FakeService
from support.fake_stats import STATS, fake_stats
from varpd.cli import stats
from varpd.cli.stats import duration, size

Run = Callable[..., Result]


@pytest.fixture
def overlays(service: FakeService) -> FakeService:
    service.add("db0")
    service.add("web0")
    return service


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line]


@pytest.mark.usefixtures("overlays")
def test_counters_latencies_and_drops_are_shown(run: Run) -> None:
    result = run("stats", "web0")
    assert result.exit_code == 0
    frames, answers, drops = result.stdout.split("\n\n")
    assert lines(frames)[1] == ["web0", "73", "60", "0", "2", "11", "0", "1.5", "KiB"]
    assert lines(answers)[1] == (
        ["web0", "70", "0", "30", "us", "100", "us", "400", "us", "2", "ms", "21", "20"]
    )
    assert [line[:3] for line in lines(drops)[1:]] == [
        ["web0", "plugin", "7"],
        ["web0", "limit-unicast", "4"],
    ]
    assert "the plugin answered that there is no destination" in drops


@pytest.mark.usefixtures("overlays")
def test_without_names_all_are_shown(run: Run) -> None:
    assert [line[0] for line in lines(run("stats").stdout.partition("\n\n")[0])] == [
        "LINK",
        "db0",
        "web0",
    ]


def test_without_drops_there_is_no_table_of_them(run: Run, overlays: FakeService) -> None:
    overlays.counted["web0"] = fake_stats("web0", dropped={})
    assert "REASON" not in run("stats", "web0").stdout


@pytest.mark.usefixtures("overlays")
def test_rules_that_were_put_right_are_told_and_nothing_where_there_were_none(
    run: Run, overlays: FakeService
) -> None:
    assert "rules" not in run("stats", "web0").stdout
    for name, repairs in (("db0", 3), ("web0", 3)):
        overlays.counted[name] = fake_stats(name, guard_repairs=repairs)
    (line,) = [each for each in run("stats").stdout.splitlines() if "rules" in each]
    assert "since varpd was started: 3;" in line


def test_while_watching_only_what_was_put_right_meanwhile_is_told(
    run: Run, overlays: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlays.counted["web0"] = fake_stats("web0", guard_repairs=3)
    looking(monkeypatch, overlays, {"guard_repairs": 5}, {"guard_repairs": 5})
    shown = run("stats", "web0", "--watch").stdout
    (line,) = [each for each in shown.splitlines() if "rules" in each]
    assert "since the last look: 2;" in line


def test_what_was_not_measured_is_not_made_up(run: Run, overlays: FakeService) -> None:
    nothing = msgspec.structs.replace(STATS.lookup, count=0, p50_s=None, p99_s=None)
    overlays.counted["web0"] = fake_stats("web0", lookup=nothing, miss_to_row=nothing)
    answers = run("stats", "web0").stdout.split("\n\n")[1]
    assert lines(answers)[1][3:7] == ["--"] * 4


@pytest.mark.usefixtures("overlays")
def test_json_is_what_the_daemon_says(run: Run) -> None:
    shown = json.loads(run("stats", "--json", "web0").stdout)
    assert shown == [json.loads(msgspec.json.encode(fake_stats("web0")))]


@pytest.mark.usefixtures("overlays")
def test_an_overlay_that_is_not_there_is_an_error(run: Run) -> None:
    result = run("stats", "nope")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nope" in result.stderr


def looking(
    monkeypatch: pytest.MonkeyPatch, service: FakeService, *later: dict[str, object]
) -> list[float]:
    """Let time pass between looks: counters become `later`, and then the operator has enough."""
    waited: list[float] = []
    following = iter(later)

    def pause(seconds: float) -> None:
        waited.append(seconds)
        try:
            changes = next(following)
        except StopIteration:
            raise KeyboardInterrupt from None
        service.counted["web0"] = fake_stats("web0", **changes)

    monkeypatch.setattr(stats, "pause", pause)
    return waited


def test_watching_shows_what_came_in_between(
    run: Run, overlays: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = looking(
        monkeypatch,
        overlays,
        {"clock_s": 102.0, "punted": {"arp": 3, "unicast": 75}, "dropped": {"plugin": 8}},
        {"clock_s": 104.0, "punted": {"unicast": 4}, "dropped": {}},
    )
    result = run("stats", "web0", "--watch", "2")
    assert result.exit_code == 130
    assert waited == [2.0, 2.0, 2.0]
    first, second = (text for text in result.stdout.split("--- ") if text)
    assert lines(first)[2][:2] == ["web0", "2.5/s"]
    assert "0.5/s" in first.split("\n\n")[2]
    # The daemon was started anew, and counts from nothing.
    assert lines(second)[2][:2] == ["web0", "2.0/s"]
    assert "REASON" not in second


def test_watching_in_json_is_a_line_a_look(
    run: Run, overlays: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = looking(monkeypatch, overlays, {"clock_s": 101.0})
    result = run("stats", "web0", "--json", "--watch")
    assert waited == [1.0, 1.0]
    clocks = [json.loads(line)[0]["clock_s"] for line in result.stdout.splitlines()]
    assert clocks == [100.0, 101.0]


@pytest.mark.usefixtures("overlays")
def test_no_one_looks_faster_than_is_good(run: Run) -> None:
    assert run("stats", "--watch", "0").exit_code == 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.0, "0 us"), (42e-6, "42 us"), (0.0015, "1.5 ms"), (2.5, "2.5 s")],
)
def test_times_are_readable(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (2048, "2.0 KiB"), (3 << 20, "3.0 MiB")])
def test_sizes_are_readable(count: int, text: str) -> None:
    assert size(count) == text
