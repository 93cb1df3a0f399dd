"""What is said of one MAC, and where the kernel is otherwise."""

from ipaddress import IPv4Address
from typing import Any

import pytest

from varpd.daemon.explanation import Seen, ago, explain, explain_point, rows
from varpd.datapath.inspection import BridgeRow, DeviceRow, MacRows
from varpd.engine.portrait import Hold, Portrait
from varpd.net.addresses import MacAddress
from varpd.provider.answers import Target

A = MacAddress(bytes.fromhex("020000000001"))
GROUP = MacAddress(bytes.fromhex("01005e010203"))
HERE = Target(IPv4Address("192.0.2.1"), 4789)
THERE = Target(IPv4Address("192.0.2.2"), 4789)
ELSEWHERE = Target(IPv4Address("192.0.2.3"), 4789)
BRIDGE = BridgeRow("vx-blue", is_tunnel=True, flags=("static", "sticky"))
GUEST = BridgeRow("port1", is_tunnel=False)
NOTHING = MacRows(None, None, None, punts=True)
WHOLE = MacRows(DeviceRow((THERE,)), BRIDGE, None, punts=True)


def portrait(**changes: Any) -> Portrait:
    values: dict[str, Any] = {
        "state": "absent",
        "origin": None,
        "targets": (),
        "remote": (),
        "local": False,
        "age": None,
        "expires_in": None,
        "rows_due": False,
        "asked": False,
        "waiting_frames": 0,
        "waiting_bytes": 0,
        "holds": (),
        "learned": False,
    }
    return Portrait(**(values | changes))


def valid(*targets: Target, **changes: Any) -> Portrait:
    given: dict[str, Any] = {"state": "valid", "origin": "plugin", "age": 12.0, "rows_due": True}
    return portrait(**(given | {"targets": targets, "remote": targets} | changes))


def said(seen: Portrait, found: MacRows = NOTHING, mac: MacAddress = A) -> tuple[str, bool]:
    made = explain(Seen(mac, "files", seen, found, ()))
    return made.summary, made.agrees


def problems(seen: Portrait, found: MacRows, mac: MacAddress = A) -> tuple[str, ...]:
    return explain(Seen(mac, "files", seen, found, ())).problems


@pytest.mark.parametrize(
    ("seen", "found", "summary"),
    [
        (
            valid(THERE),
            WHOLE,
            f"frames to {A} go to {THERE}, as files said 12 s ago; both kernel tables agree",
        ),
        (
            valid(THERE, origin="administrator"),
            WHOLE,
            f"frames to {A} go to {THERE}, as the administrator said 12 s ago;"
            " both kernel tables agree",
        ),
        (
            valid(THERE, origin="adopted"),
            WHOLE,
            f"frames to {A} go to {THERE}, as was found in the kernel 12 s ago; files has not"
            " confirmed it yet; both kernel tables agree",
        ),
        (
            valid(THERE, state="stale"),
            WHOLE,
            f"frames to {A} go to {THERE}, as files said 12 s ago and could not be asked since;"
            " both kernel tables agree",
        ),
        (
            valid(HERE, local=True, remote=(), learned=True),
            MacRows(None, GUEST, None, punts=True),
            f"frames to {A} stay on this host, as files said 12 s ago; a guest here has it",
        ),
        (
            portrait(state="blocked", origin="administrator"),
            NOTHING,
            f"frames to {A} are dropped, as the administrator said",
        ),
        (
            portrait(state="pending", asked=True, waiting_frames=3),
            NOTHING,
            f"files is being asked where {A} is; 3 frames wait",
        ),
        (
            portrait(state="negative", holds=(Hold((2048, None), 0.25), Hold((None, 3), 0.5))),
            NOTHING,
            f"frames to {A} are dropped: files gave no destination a moment ago,"
            " and is asked again in 0.5 s",
        ),
        (
            portrait(),
            MacRows(None, GUEST, None, punts=True),
            f"frames to {A} stay on this host: the bridge has seen it behind port1",
        ),
        (
            portrait(),
            NOTHING,
            f"nothing is known of {A}: files is asked when the next frame to it comes",
        ),
    ],
)
def test_one_sentence_says_where_frames_go_and_why(
    seen: Portrait, found: MacRows, summary: str
) -> None:
    assert said(seen, found) == (summary, True)


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (NOTHING, "the tunnel device has no row: varpd sends the frames on"),
        (
            MacRows(DeviceRow((ELSEWHERE,)), BRIDGE, None, punts=True),
            f"the tunnel device sends them to {ELSEWHERE}",
        ),
        (
            MacRows(DeviceRow((THERE,)), None, None, punts=True),
            "the bridge has no row, so all guests get a copy",
        ),
        (MacRows(DeviceRow((THERE,)), GUEST, None, punts=True), "the bridge has it behind port1"),
        (
            MacRows(DeviceRow((THERE,)), BridgeRow("vx-blue", is_tunnel=True), None, punts=True),
            "the bridge's row is not sticky, so a guest can draw its frames",
        ),
        (
            MacRows(DeviceRow((THERE,)), BRIDGE, THERE, punts=False),
            f"the default row leads to {THERE}, not to varpd",
        ),
    ],
)
def test_where_the_kernel_is_otherwise_it_is_said(found: MacRows, problem: str) -> None:
    assert problem in problems(valid(THERE), found)
    summary, agrees = said(valid(THERE), found)
    assert f"; but {problem}" in summary or f"; {problem}" in summary
    assert not agrees


def test_rows_that_may_be_on_their_way_are_said_to_be() -> None:
    assert problems(valid(THERE, rows_due=False), NOTHING)[0] == (
        "the tunnel device has no row, which may be on its way: varpd sends the frames on"
    )


def test_rows_that_nobody_wants_are_a_problem_unless_the_plugin_is_being_asked() -> None:
    assert problems(portrait(), WHOLE) == (
        f"the tunnel device has a row to {THERE}",
        "the bridge has it behind the tunnel device",
    )
    assert problems(portrait(state="pending", asked=True), WHOLE) == ()


def test_of_a_group_mac_all_targets_but_this_host_have_to_be_there() -> None:
    seen = valid(THERE, ELSEWHERE, targets=(HERE, THERE, ELSEWHERE))
    found = MacRows(DeviceRow((ELSEWHERE, THERE)), None, None, punts=True)
    assert said(seen, found, GROUP)[0].endswith("; the kernel's row agrees")
    less = MacRows(DeviceRow((THERE,)), None, None, punts=True)
    assert problems(seen, less, GROUP) == (f"the tunnel device sends them to {THERE}",)


def test_all_that_is_known_is_there_for_programs() -> None:
    made = explain(Seen(A, "files", valid(THERE, expires_in=5.00049), WHOLE, ()))
    assert (made.wanted.state, made.wanted.origin, made.wanted.targets) == (
        "valid",
        "plugin",
        (str(THERE),),
    )
    assert (made.wanted.age_s, made.wanted.expires_s) == (12.0, 5.0)
    assert [(row.table, row.destinations, row.port) for row in made.rows] == [
        ("device", (str(THERE),), None),
        ("bridge", (), "vx-blue"),
        ("default", (), None),
    ]
    assert rows(NOTHING)[-1].flags == ("varpd",)


def test_a_point_overlay_has_one_target_and_the_default_row_must_lead_there() -> None:
    good = explain_point("direct", THERE, MacRows(None, None, THERE, punts=False), ())
    assert good.summary == (
        f"everything goes to {THERE}, as direct said; the kernel's default row agrees"
    )
    bad = explain_point("direct", THERE, MacRows(None, None, None, punts=False), ())
    assert (bad.agrees, bad.problems) == (False, ("the default row leads to nowhere",))
    assert "has not said" in explain_point("direct", None, NOTHING, ()).summary


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "just now"),
        (59.0, "59 s ago"),
        (120.0, "2 min ago"),
        (7200.0, "2 h ago"),
        (200_000.0, "2 days ago"),
    ],
)
def test_how_long_ago_it_was_is_said_as_people_say_it(seconds: float, text: str) -> None:
    assert ago(seconds) == text
