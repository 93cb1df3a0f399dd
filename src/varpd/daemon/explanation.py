"""Why frames to a MAC go where they go: what is wanted, what the kernel has, whether they agree.

Pure: it is given what the engine knows, what the datapath has and what is remembered.
"""

from collections.abc import Iterator, Sequence
from typing import Final, cast

from msgspec import Struct

from varpd.control.explanation import HoldInfo, MacExplanation, RowInfo, WantedInfo
from varpd.control.messages import EventInfo, TargetOrigin, TargetState
from varpd.datapath.inspection import MacRows
from varpd.engine.portrait import Portrait
from varpd.net.addresses import MacAddress
from varpd.provider.answers import Target

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400


class Seen(Struct, frozen=True):
    """All that is known of one MAC."""

    mac: MacAddress
    search: str
    """Name of the plugin."""

    portrait: Portrait
    rows: MacRows
    events: tuple[EventInfo, ...]


def explain(seen: Seen) -> MacExplanation:
    """Explain one MAC of a DYNAMIC overlay."""
    portrait = seen.portrait
    found = tuple(problems(seen))
    return MacExplanation(
        mac=str(seen.mac),
        summary=_summary(seen, found),
        agrees=not found,
        problems=found,
        wanted=WantedInfo(
            state=cast(TargetState, portrait.state),
            origin=cast("TargetOrigin | None", portrait.origin),
            targets=tuple(map(str, portrait.targets)),
            local=portrait.local,
            age_s=_rounded(portrait.age),
            expires_s=_rounded(portrait.expires_in),
            asked=portrait.asked,
        ),
        learned=portrait.learned,
        waiting_frames=portrait.waiting_frames,
        waiting_bytes=portrait.waiting_bytes,
        holds=tuple(
            HoldInfo(hold.shape[0], hold.shape[1], round(hold.ends_in, 3))
            for hold in portrait.holds
        ),
        rows=rows(seen.rows),
        events=seen.events,
    )


def explain_point(
    search: str, target: Target | None, found: MacRows, events: tuple[EventInfo, ...]
) -> MacExplanation:
    """Explain a POINT overlay, in which all MACs are alike."""
    wrong = []
    if found.default != target:
        wrong.append(f"the default row leads to {found.default or 'nowhere'}")
    if target is None:
        summary = f"everything is lost: {search} has not said where it goes"
    else:
        summary = f"everything goes to {target}, as {search} said"
        summary += _agreement(wrong, "the kernel's default row agrees")
    return MacExplanation(
        mac=None,
        summary=summary,
        agrees=not wrong,
        problems=tuple(wrong),
        wanted=WantedInfo(
            "point",
            None if target is None else "plugin",
            () if target is None else (str(target),),
            local=False,
            age_s=None,
            expires_s=None,
            asked=False,
        ),
        learned=False,
        waiting_frames=0,
        waiting_bytes=0,
        holds=(),
        rows=rows(found),
        events=events,
    )


def problems(seen: Seen) -> Iterator[str]:
    """Yield in words what the kernel has otherwise than varpd wants it."""
    portrait, found = seen.portrait, seen.rows
    if not found.punts:
        yield f"the default row leads to {found.default or 'nowhere'}, not to varpd"
    if portrait.remote:
        yield from _other_device_row(portrait, found)
        if not seen.mac.is_group:
            yield from _other_bridge_row(found)
        return
    if found.device is not None and not portrait.asked:
        yield f"the tunnel device has a row to {_list(found.device.targets)}"
    if found.bridge is not None and found.bridge.is_tunnel and not portrait.asked:
        yield "the bridge has it behind the tunnel device"


def _other_device_row(portrait: Portrait, found: MacRows) -> Iterator[str]:
    if found.device is None:
        late = "" if portrait.rows_due else ", which may be on its way"
        yield f"the tunnel device has no row{late}: varpd sends the frames on"
    elif set(found.device.targets) != set(portrait.remote):
        yield f"the tunnel device sends them to {_list(found.device.targets) or 'nowhere'}"


def _other_bridge_row(found: MacRows) -> Iterator[str]:
    if found.bridge is None:
        yield "the bridge has no row, so all guests get a copy"
    elif not found.bridge.is_tunnel:
        yield f"the bridge has it behind {found.bridge.port}"
    elif "sticky" not in found.bridge.flags:
        yield "the bridge's row is not sticky, so a guest can draw its frames"


def rows(found: MacRows) -> tuple[RowInfo, ...]:
    """Return what the kernel has, as it is shown."""
    shown = []
    if (row := found.device) is not None:
        to = tuple(map(str, row.targets))
        shown.append(
            RowInfo("device", to, None, row.flags, _rounded(row.used_s), _rounded(row.updated_s))
        )
    if (at := found.bridge) is not None:
        shown.append(
            RowInfo("bridge", (), at.port, at.flags, _rounded(at.used_s), _rounded(at.updated_s))
        )
    to = () if found.default is None else (str(found.default),)
    flags = ("varpd",) if found.punts else ()
    shown.append(RowInfo("default", to, None, flags, None, None))
    return tuple(shown)


def ago(seconds: float) -> str:
    """Return how long ago something was, for people."""
    if seconds < _MINUTE:
        return f"{seconds:.0f} s ago" if seconds >= 1 else "just now"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min ago"
    return f"{seconds / _HOUR:.0f} h ago" if seconds < _DAY else f"{seconds / _DAY:.0f} days ago"


def _summary(seen: Seen, wrong: Sequence[str]) -> str:
    mac, portrait = seen.mac, seen.portrait
    why = _why(seen)
    agree = "the kernel's row agrees" if mac.is_group else "both kernel tables agree"
    if portrait.local:
        where = "a guest here has it" if portrait.learned else "no guest here has sent from it yet"
        text = f"frames to {mac} stay on this host, {why}; {where}"
        return text + _agreement(wrong, "")
    if portrait.remote:
        return f"frames to {mac} go to {_list(portrait.remote)}, {why}{_agreement(wrong, agree)}"
    return _unknown(seen, why) + _agreement(wrong, "")


def _unknown(seen: Seen, why: str) -> str:
    """Return the sentence about a MAC of which no target is known."""
    mac, portrait, bridge = seen.mac, seen.portrait, seen.rows.bridge
    match portrait.state:
        case "blocked":
            return f"frames to {mac} are dropped, {why}"
        case "pending":
            waiting = f"{portrait.waiting_frames} frames wait"
            return f"{seen.search} is being asked where {mac} is; {waiting}"
        case "negative" if portrait.holds:
            ends = max(hold.ends_in for hold in portrait.holds)
            return (
                f"frames to {mac} are dropped: {seen.search} gave no destination a moment ago,"
                f" and is asked again in {ends:.1f} s"
            )
        case _:
            pass
    if bridge is not None and not bridge.is_tunnel:
        return f"frames to {mac} stay on this host: the bridge has seen it behind {bridge.port}"
    return f"nothing is known of {mac}: {seen.search} is asked when the next frame to it comes"


def _why(seen: Seen) -> str:
    portrait = seen.portrait
    when = "" if portrait.age is None else f" {ago(portrait.age)}"
    match portrait.origin:
        case "administrator":
            return f"as the administrator said{when}"
        case "adopted":
            return f"as was found in the kernel{when}; {seen.search} has not confirmed it yet"
        case _:
            pass
    stale = " and could not be asked since" if portrait.state == "stale" else ""
    return f"as {seen.search} said{when}{stale}"


def _agreement(wrong: Sequence[str], agree: str) -> str:
    if wrong:
        return f"; but {'; '.join(wrong)}"
    return f"; {agree}" if agree else ""


def _list(targets: Sequence[Target]) -> str:
    return ", ".join(map(str, targets))


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(max(0.0, seconds), 3)
