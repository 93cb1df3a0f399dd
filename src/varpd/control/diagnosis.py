"""What the daemon knows that helps to find out what is wrong, as types: diagnosis and report."""

from typing import Final

from msgspec import Struct

from varpd.control.messages import (
    EventInfo,
    OverlayInfo,
    PluginsInfo,
    PropertyInfo,
    RefusalInfo,
    TargetInfo,
)

PATHS_MAX: Final = 64
"""Paths of an overlay that are told one by one; of the others only how many there are."""

EVENTS_MAX: Final = 64
"""Last events of an overlay in a report."""

TARGETS_MAX: Final = 256
"""Entries of an overlay's table in a report, which shall fit into a mail."""


class PathInfo(Struct, frozen=True):
    """The way to one host that an overlay sends to."""

    address: str
    mtu: int | None
    """Bytes; None: there is no route."""


class PuntInfo(Struct, frozen=True):
    """How it is with the way that frames come from the kernel to varpd."""

    closed: str | None
    """Why frames do not get through and what to do, or null: one that was tried did."""

    buffer: int
    """Bytes of frames that may wait."""

    missing: int
    """How many bytes less than wanted that is."""

    lost: int
    """Datagrams that the kernel dropped: no room, or not from the overlay's own device."""


class OverlayDiagnosis(Struct, frozen=True):
    """What is known of one overlay."""

    overlay: OverlayInfo
    listen_ip: str | None
    listen_port: int | None
    overhead: int
    """Bytes that wrapping takes from the MTU of the underlay."""

    bridge: str | None
    """Null while there are no links."""

    device: str | None
    mtu: int | None
    """MTU that the links shall have, bytes."""

    paths: tuple[PathInfo, ...]
    """Those of the smallest MTU, at most `PATHS_MAX`; paths without a route come first."""

    paths_total: int
    punt: PuntInfo | None
    """Null for an overlay that punts no frames, or whose links are not there."""

    blocked: tuple[str, ...] = ()
    """Guests' ports that may send nothing: antispoof is on, and nobody said their MAC."""


class Diagnosis(Struct, frozen=True):
    """What only the daemon knows. ``GET /v1/diagnosis``."""

    version: str
    ready: bool
    detail: str | None
    """What it waits for, if it is not ready."""

    datapath: str
    namespace: str | None
    """Its network namespace, such as ``net:[4026531840]``."""

    pid: int
    uid: int
    capabilities: int | None
    """Those in force, as the bits of ``CapEff`` in /proc/PID/status."""

    overlays: tuple[OverlayDiagnosis, ...]
    refused: tuple[RefusalInfo, ...]
    """Plugins that were not taken."""


class ThreadInfo(Struct, frozen=True):
    """Where a thread or a task of the event loop is."""

    name: str
    stack: tuple[str, ...]
    """The innermost call last."""


class PanicInfo(Struct, frozen=True):
    """Why an instance gave up."""

    at: str
    """RFC 3339 in UTC."""

    overlay: str
    plugin: str
    message: str
    stack: str
    before: tuple[str, ...]
    """The last things that were said of the instance before."""


class OverlayReport(Struct, frozen=True):
    """All about one overlay but its diagnosis."""

    name: str
    properties: tuple[PropertyInfo, ...]
    """Secrets are left out."""

    counters: dict[str, int]
    """What the engine counted."""

    instance: dict[str, int]
    """What was counted of the plugin's instance."""

    targets: tuple[TargetInfo, ...]
    """The first of the table, at most `TARGETS_MAX`."""

    targets_total: int
    events: tuple[EventInfo, ...]
    """What happened last, the newest last, at most `EVENTS_MAX`."""

    rows: int | None
    """Rows in the kernel; null: not asked for, because the table is large."""


class Report(Struct, frozen=True):
    """What belongs into a bug report. ``GET /v1/report``."""

    made: str
    """When, RFC 3339 in UTC."""

    started: str
    python: str
    libraries: dict[str, str]
    """Versions."""

    kernel: str
    config: dict[str, dict[str, int | str | list[str]]]
    """The configuration in force, by section."""

    diagnosis: Diagnosis
    plugins: PluginsInfo
    overlays: tuple[OverlayReport, ...]
    internal_errors: dict[str, int]
    """Faults of varpd itself, by where they were."""

    panics: tuple[PanicInfo, ...]
    """The last ones."""

    log: tuple[str, ...]
    """The last lines, as JSON."""

    threads: tuple[ThreadInfo, ...]
    tasks: tuple[ThreadInfo, ...]
