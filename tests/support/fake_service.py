"""A daemon's service that lives in memory: it behaves, and keeps no secret of what it was told."""

import ipaddress
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from support import stories
from support.fake_stats import fake_stats, said
from varpd.control.captures import PCAPNG, Capture
from varpd.control.diagnosis import Diagnosis, Report
from varpd.control.explanation import Explanation
from varpd.control.messages import (
    CauseInfo,
    ControlError,
    CreateOverlay,
    EncapsulationInfo,
    ErrorCode,
    EventInfo,
    HealthInfo,
    JsonValue,
    OverlayInfo,
    PluginInfo,
    PluginsInfo,
    PortInfo,
    PropertyInfo,
    RefusalInfo,
    SetPort,
    TargetInfo,
)
from varpd.control.stats import OverlayStats
from varpd.control.streams import JSON_LINES, Stream
from varpd.control.tracing import StepInfo, TraceInfo, TraceRequest

VERSION = "0.0-fake"


def _property(
    name: str,
    kind: Literal["uint", "int", "ip", "string"],
    permission: Literal["r-", "rw"],
    required: bool,
    default: JsonValue = None,
    possible: str = "",
    live: bool = True,
) -> PropertyInfo:
    return PropertyInfo(
        name, kind, permission, required, None, default, possible, live, f"What {name} is."
    )


OWN = (
    _property("mtu", "uint", "rw", False, 1450, "576-8900"),
    _property("vnetid", "uint", "r-", True, possible="0-16777215", live=False),
    _property("encap", "string", "r-", True, possible="vxlan", live=False),
    _property("search", "string", "r-", True, live=False),
    _property("vxlan/listen_ip", "ip", "rw", True, live=False),
    _property("vxlan/listen_port", "uint", "rw", False, 4789, "1-65535", live=False),
)

PLUGINS = {
    "direct": PluginInfo(
        "direct",
        "point",
        1,
        "varpd 0.1.0",
        (
            _property("direct/dest_ip", "ip", "rw", True),
            _property("direct/dest_port", "uint", "rw", True, possible="1-65535"),
        ),
    ),
    "files": PluginInfo(
        "files", "dynamic", 1, "varpd 0.1.0", (_property("files/config", "string", "rw", True),)
    ),
}

ENCAPSULATION = EncapsulationInfo("vxlan", ("ip", "port"), (1 << 24) - 1, ("linux", "memory"))

REFUSED = RefusalInfo(
    "/usr/lib/varpd/plugins/old.py:7", "bad-version", "it states API version 9, this varpd has 1"
)


@dataclass
class FakeOverlay:
    """One overlay of the fake."""

    request: CreateOverlay
    values: dict[str, JsonValue]
    targets: list[TargetInfo] = field(default_factory=list)
    ports: dict[str, PortInfo] = field(default_factory=dict)
    causes: tuple[CauseInfo, ...] = ()
    forgotten: int = 0

    @property
    def declared(self) -> tuple[PropertyInfo, ...]:
        return OWN + PLUGINS[self.request.search].properties

    def info(self) -> OverlayInfo:
        request = self.request
        return OverlayInfo(
            request.name,
            request.vnetid,
            request.encap,
            request.search,
            PLUGINS[request.search].mode,
            "degraded" if self.causes else "online",
            self.causes[0].message if self.causes else None,
            self.causes,
            {item.name: self.value_of(item) for item in self.declared},
        )

    def value_of(self, item: PropertyInfo) -> JsonValue:
        return self.values.get(item.name, item.default)


def stream(*items: EventInfo) -> Stream:
    """Return a stream that says what it is given, then ends."""

    async def chunks() -> AsyncGenerator[bytes, None]:
        yield msgspec.json.Encoder().encode_lines(items)

    return Stream(JSON_LINES, chunks())


class FakeService:
    """Implements `varpd.control.service.Service`."""

    def __init__(self) -> None:
        self.table: dict[str, FakeOverlay] = {}
        self.failure: BaseException | None = None
        """What every call raises, if set."""
        self.is_ready = True
        self.taken_over: list[tuple[str, str]] = []
        """Overlays and ports that guests have moved to."""
        self.captured: list[Capture] = []
        """Captures that were asked for."""
        self.frames: list[bytes] = []
        """Pieces that every capture has."""
        self.counted: dict[str, OverlayStats] = {}
        """What was counted for overlays; a little unless set."""
        self.explanation: Explanation | None = None
        """What it explains, if set."""
        self.explained: list[tuple[str, bool]] = []
        """What it was asked to explain."""
        self.traced: list[TraceRequest] = []
        """What it was asked to trace."""
        self.happens: list[EventInfo] = []
        """What happens, for those who ask."""
        self.created: list[CreateOverlay] = []
        self.create_degraded: str | None = None
        """Why overlays work badly as soon as they are made, if set."""

    def add(
        self,
        name: str = "web0",
        search: str = "files",
        vnetid: int = 23,
        targets: Sequence[TargetInfo] = (),
        causes: tuple[CauseInfo, ...] = (),
    ) -> FakeOverlay:
        """Put an overlay there without asking."""
        values: dict[str, JsonValue] = {
            "vnetid": vnetid,
            "encap": "vxlan",
            "search": search,
            "vxlan/listen_ip": "192.0.2.1",
        }
        if search == "files":
            values["files/config"] = "/etc/overlay/web.json"
        overlay = FakeOverlay(
            CreateOverlay(name, vnetid, search), values, list(targets), causes=causes
        )
        self.table[name] = overlay
        return overlay

    def _overlay(self, name: str) -> FakeOverlay:
        if self.failure is not None:
            raise self.failure
        try:
            return self.table[name]
        except KeyError:
            raise ControlError(ErrorCode.NOT_FOUND, f"there is no overlay {name!r}") from None

    async def create(self, request: CreateOverlay) -> OverlayInfo:
        if self.failure is not None:
            raise self.failure
        self.created.append(request)
        if not re.fullmatch(r"[a-z][a-z0-9_.-]{0,11}", request.name):
            raise ControlError(ErrorCode.INVALID, f"{request.name!r} is no name", "name")
        if request.name in self.table:
            raise ControlError(ErrorCode.EXISTS, f"there is an overlay {request.name!r} already")
        if request.search not in PLUGINS:
            known = ", ".join(sorted(PLUGINS))
            raise ControlError(
                ErrorCode.INVALID, f"no plugin {request.search!r}; there are {known}", "search"
            )
        if request.vnetid > ENCAPSULATION.vnetid_max:
            raise ControlError(ErrorCode.INVALID, "vnetid: possible is 0-16777215", "vnetid")
        overlay = FakeOverlay(
            request,
            {"vnetid": request.vnetid, "encap": request.encap, "search": request.search},
        )
        _set(overlay, request.properties)
        missing = [p.name for p in overlay.declared if p.required and overlay.value_of(p) is None]
        if missing:
            raise ControlError(
                ErrorCode.MISSING, f"required properties are not set: {', '.join(missing)}"
            )
        if self.create_degraded is not None:
            overlay.causes = (CauseInfo("fault", self.create_degraded, "2026-01-02T03:04:05Z"),)
        self.table[request.name] = overlay
        return overlay.info()

    async def delete(self, name: str) -> None:
        del self.table[self._overlay(name).request.name]

    async def set_properties(self, name: str, values: Mapping[str, str | None]) -> OverlayInfo:
        overlay = self._overlay(name)
        for item in overlay.declared:
            if item.name in values and not item.live:
                raise ControlError(
                    ErrorCode.NOT_LIVE, f"{item.name}: create the overlay anew", item.name
                )
        _set(overlay, values)
        return overlay.info()

    async def set_entry(self, name: str, mac: str, target: str) -> None:
        overlay = self._overlay(name)
        mac = _mac(mac)
        ip: str | None = None
        port: int | None = None
        if target != "drop":
            address, _, number = target.rpartition(":")
            try:
                ip = str(ipaddress.ip_address(address.strip("[]")))
                port = int(number)
            except ValueError:
                raise ControlError(
                    ErrorCode.INVALID, f"{target!r} is not IP:PORT or drop", "target"
                ) from None
        await self.delete_entry(name, mac)
        state: Literal["valid", "blocked"] = "blocked" if ip is None else "valid"
        overlay.targets.append(TargetInfo(name, mac, ip, port, state, "administrator", 0.0))

    async def delete_entry(self, name: str, mac: str) -> None:
        overlay = self._overlay(name)
        mac = _mac(mac)
        overlay.targets = [entry for entry in overlay.targets if entry.mac != mac]

    async def forget_state(self, name: str) -> OverlayInfo:
        overlay = self._overlay(name)
        overlay.forgotten += 1
        return overlay.info()

    async def flush(self, name: str) -> None:
        overlay = self._overlay(name)
        overlay.targets = [entry for entry in overlay.targets if entry.origin == "administrator"]

    async def set_port(self, name: str, port: str, change: SetPort) -> PortInfo:
        overlay = self._overlay(name)
        old = overlay.ports.get(port, PortInfo(name, port, None, (), "off", False, "absent", 0))
        mac = old.mac if change.mac is UNSET else change.mac
        overlay.ports[port] = PortInfo(
            name,
            port,
            _mac(mac) if isinstance(mac, str) else None,
            old.addresses if isinstance(change.addresses, UnsetType) else change.addresses,
            change.antispoof if isinstance(change.antispoof, str) else "off",
            isinstance(change.antispoof, str),
            "absent",
            0,
        )
        if change.takeover:
            self.taken_over.append((name, port))
        return overlay.ports[port]

    async def delete_port(self, name: str, port: str) -> None:
        if self._overlay(name).ports.pop(port, None) is None:
            raise ControlError(ErrorCode.NOT_FOUND, f"nothing was said of {port}", "port")

    async def ports(self, name: str) -> list[PortInfo]:
        return [port for _, port in sorted(self._overlay(name).ports.items())]

    async def overlays(self, names: Sequence[str]) -> list[OverlayInfo]:
        if self.failure is not None:
            raise self.failure
        return [self._overlay(name).info() for name in names or sorted(self.table)]

    async def properties(self, name: str) -> list[PropertyInfo]:
        overlay = self._overlay(name)
        return [
            PropertyInfo(
                item.name,
                item.type,
                item.permission,
                item.required,
                overlay.value_of(item),
                item.default,
                item.possible,
                item.live,
                item.doc,
            )
            for item in overlay.declared
        ]

    async def targets(self, name: str) -> list[TargetInfo]:
        return self._overlay(name).targets

    async def plugins(self) -> PluginsInfo:
        return PluginsInfo(tuple(PLUGINS.values()), (REFUSED,), (ENCAPSULATION,))

    async def stats(self, names: Sequence[str]) -> list[OverlayStats]:
        return [
            self.counted.get(name) or fake_stats(self._overlay(name).request.name)
            for name in names or sorted(self.table)
        ]

    async def capture(self, name: str, wanted: Capture) -> Stream:
        self._overlay(name)
        self.captured.append(wanted)
        return said(PCAPNG, *self.frames)

    async def metrics(self) -> Stream:
        return said("text/plain", b"# HELP varpd_overlays Overlays.\n")

    async def explain(self, name: str, address: str, *, ask: bool) -> Explanation:
        self._overlay(name)
        self.explained.append((address, ask))
        return self.explanation or Explanation(name, address, "files", "nothing is known", (), ())

    async def trace(self, name: str, request: TraceRequest) -> TraceInfo:
        vnetid = self._overlay(name).request.vnetid
        self.traced.append(request)
        steps = (StepInfo("frame", "a frame"), StepInfo("outcome", "it is lost"))
        return TraceInfo(name, vnetid, "it is lost", steps)

    async def events(self, name: str | None) -> Stream:
        if name is not None:
            self._overlay(name)
        return stream(*self.happens)

    async def diagnosis(self) -> Diagnosis:
        if self.failure is not None:
            raise self.failure
        return stories.diagnosis(*(stories.overlay(item.info()) for item in self.table.values()))

    async def report(self) -> Report:
        return stories.report(await self.diagnosis())

    async def health(self) -> HealthInfo:
        return HealthInfo(True, VERSION, len(self.table), 0)

    async def ready(self) -> HealthInfo:
        detail = None if self.is_ready else "overlays are being brought up"
        return HealthInfo(self.is_ready, VERSION, len(self.table), 0, detail)


def _set(overlay: FakeOverlay, values: Mapping[str, str | None]) -> None:
    declared = {item.name: item for item in overlay.declared}
    parsed: dict[str, JsonValue] = {}
    for name, text in values.items():
        if name not in declared:
            raise ControlError(ErrorCode.INVALID, f"there is no property {name!r}", name)
        if declared[name].permission == "r-":
            raise ControlError(ErrorCode.INVALID, f"{name} can only be read", name)
        try:
            is_number = declared[name].type in ("uint", "int")
            parsed[name] = int(text) if text is not None and is_number else text
        except ValueError:
            raise ControlError(ErrorCode.INVALID, f"{name}: {text!r} is no number", name) from None
    for name, value in parsed.items():
        if value is None:
            overlay.values.pop(name, None)
        else:
            overlay.values[name] = value


def _mac(text: str) -> str:
    if not re.fullmatch(r"([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}", text, re.ASCII):
        raise ControlError(ErrorCode.INVALID, f"{text!r} is no MAC address", "mac")
    return text.lower()
