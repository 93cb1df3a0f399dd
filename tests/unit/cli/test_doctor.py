"""``overlayadm doctor``."""

import json
from collections.abc import Callable, Sequence

import pytest
from click.testing import Result

from support import stories
from varpd.control.client import Client
from varpd.doctor import host
from varpd.doctor.facts import Facts
from varpd.net.addresses import IpAddress

Run = Callable[..., Result]
Tell = Callable[[Facts], list[IpAddress]]


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Tell:
    """Have these facts found, and return the peers that were asked about."""

    def tell_it(facts: Facts) -> list[IpAddress]:
        asked: list[IpAddress] = []

        def gather(client: Client, addresses: Sequence[IpAddress], version: str) -> Facts:
            asked.extend(addresses)
            return facts

        monkeypatch.setattr(host, "gather", gather)
        return asked

    return tell_it


def test_a_host_that_is_well_ends_with_0(run: Run, tell: Tell) -> None:
    tell(stories.facts())
    result = run("doctor")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "ok       daemon: varpd 1.2.3 answers; overlays: 1"
    assert result.stdout.splitlines()[-1].startswith("problems: 0, warnings: 0, in order: ")


def test_a_warning_is_not_wrong(run: Run, tell: Tell) -> None:
    tell(stories.facts(version="9"))
    result = run("doctor")
    assert result.exit_code == 0
    assert "warning  version:" in result.stdout


def test_a_problem_ends_with_1_and_has_its_cure_below(run: Run, tell: Tell) -> None:
    links = (stories.BRIDGE, stories.DEVICE)
    tell(stories.facts(links=links))
    result = run("doctor")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    (number,) = [n for n, line in enumerate(lines) if line.startswith("problem ")]
    assert lines[number].startswith("problem  listen-address: blue: 192.0.2.1, where")
    assert lines[number + 1].startswith("         -> give it back: ip address add")


def test_json_has_one_object_for_each_finding(run: Run, tell: Tell) -> None:
    tell(stories.facts(links=(stories.BRIDGE, stories.DEVICE)))
    result = run("doctor", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    (wrong,) = [item for item in found if item["severity"] == "problem"]
    assert set(wrong) == {"check", "severity", "message", "cure", "overlay"}
    assert (wrong["check"], wrong["overlay"]) == ("listen-address", "blue")


def test_what_others_wrote_cannot_steer_the_terminal(run: Run, tell: Tell) -> None:
    tell(stories.facts(diagnosis=None, daemon_error="\x1b[2Jgone"))
    assert "\x1b[2J" not in run("doctor").stdout


def test_peers_are_asked_about(run: Run, tell: Tell) -> None:
    asked = tell(stories.facts())
    assert run("doctor", "--peer", "192.0.2.2", "--peer", "2001:db8::2").exit_code == 0
    assert [str(address) for address in asked] == ["192.0.2.2", "2001:db8::2"]


def test_a_peer_that_is_no_address_is_a_wrong_command(run: Run) -> None:
    result = run("doctor", "--peer", "example.org")
    assert result.exit_code == 2
    assert "'example.org' is not an IP address" in result.stderr
