"""Which path does what: the one table from which the server and the OpenAPI document are made."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Generic, TypeVar

import msgspec

from varpd.control.access import Right
from varpd.control.captures import PCAPNG, Capture
from varpd.control.diagnosis import Diagnosis, Report
from varpd.control.explanation import Explanation
from varpd.control.messages import (
    API_VERSION,
    ControlError,
    CreateOverlay,
    ErrorCode,
    EventInfo,
    HealthInfo,
    OverlayInfo,
    PluginsInfo,
    PortInfo,
    PropertyInfo,
    SetEntry,
    SetPort,
    SetProperties,
    TargetInfo,
)
from varpd.control.service import Service
from varpd.control.stats import OverlayStats
from varpd.control.streams import JSON_LINES, Stream
from varpd.control.tracing import FIELDS, TraceInfo, TraceRequest

Body = TypeVar("Body")

_V: Final = f"/v{API_VERSION}"

JSON: Final = "application/json"
"""The media type of all answers but streams."""

STATUS: Final = {
    ErrorCode.BAD_REQUEST: HTTPStatus.BAD_REQUEST,
    ErrorCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    ErrorCode.EXISTS: HTTPStatus.CONFLICT,
    ErrorCode.INVALID: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.MISSING: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.NOT_LIVE: HTTPStatus.CONFLICT,
    ErrorCode.UNSUPPORTED: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.FORBIDDEN: HTTPStatus.FORBIDDEN,
    ErrorCode.CONFLICT: HTTPStatus.CONFLICT,
    ErrorCode.FAILED: HTTPStatus.INTERNAL_SERVER_ERROR,
    ErrorCode.BUSY: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.UNREACHABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""The HTTP status of each kind of error."""


@dataclass(frozen=True, slots=True)
class Route(Generic[Body]):
    """One method of one path."""

    method: str
    path: str
    """With ``{name}`` and ``{mac}`` for what varies."""

    summary: str
    right: Right
    call: Callable[[Service, Mapping[str, str], Body], Awaitable[object]]
    """Does it, given what varies in the path and the body; returns what is answered."""

    body: type[Body]
    """Type of the request's body; NoneType: none."""

    answer: Any
    """Type of what is answered; None: nothing."""

    status: HTTPStatus = HTTPStatus.OK

    query: tuple[str, ...] = ()
    """Names that may stand behind the path's ``?``; `call` gets them among what varies."""

    media: str = JSON
    """Media type of what is answered; another than JSON where `answer` is a `Stream`."""


async def _create(service: Service, _: Mapping[str, str], body: CreateOverlay) -> OverlayInfo:
    return await service.create(body)


async def _overlays(service: Service, _: Mapping[str, str], _body: None) -> list[OverlayInfo]:
    return await service.overlays([])


async def _overlay(service: Service, at: Mapping[str, str], _body: None) -> OverlayInfo:
    (overlay,) = await service.overlays([at["name"]])
    return overlay


async def _delete(service: Service, at: Mapping[str, str], _body: None) -> None:
    await service.delete(at["name"])


async def _properties(service: Service, at: Mapping[str, str], _body: None) -> list[PropertyInfo]:
    return await service.properties(at["name"])


async def _set_properties(
    service: Service, at: Mapping[str, str], body: SetProperties
) -> OverlayInfo:
    return await service.set_properties(at["name"], body.properties)


async def _forget_state(service: Service, at: Mapping[str, str], _body: None) -> OverlayInfo:
    return await service.forget_state(at["name"])


async def _targets(service: Service, at: Mapping[str, str], _body: None) -> list[TargetInfo]:
    return await service.targets(at["name"])


async def _set_entry(service: Service, at: Mapping[str, str], body: SetEntry) -> None:
    await service.set_entry(at["name"], at["mac"], body.target)


async def _delete_entry(service: Service, at: Mapping[str, str], _body: None) -> None:
    await service.delete_entry(at["name"], at["mac"])


async def _flush(service: Service, at: Mapping[str, str], _body: None) -> None:
    await service.flush(at["name"])


async def _ports(service: Service, at: Mapping[str, str], _body: None) -> list[PortInfo]:
    return await service.ports(at["name"])


async def _set_port(service: Service, at: Mapping[str, str], body: SetPort) -> PortInfo:
    return await service.set_port(at["name"], at["port"], body)


async def _delete_port(service: Service, at: Mapping[str, str], _body: None) -> None:
    await service.delete_port(at["name"], at["port"])


async def _plugins(service: Service, _: Mapping[str, str], _body: None) -> PluginsInfo:
    return await service.plugins()


async def _explain(service: Service, at: Mapping[str, str], _body: None) -> Explanation:
    return await service.explain(at["name"], at["address"], ask=flag(at, "ask"))


async def _trace(service: Service, at: Mapping[str, str], _body: None) -> TraceInfo:
    asked = {name: at[name] for name in FIELDS if name in at} | {"ask": flag(at, "ask")}
    try:
        request = msgspec.convert(asked, TraceRequest, strict=False)
    except msgspec.ValidationError as error:
        raise ControlError(ErrorCode.BAD_REQUEST, f"what is to be traced? {error}") from error
    return await service.trace(at["name"], request)


async def _events(service: Service, _: Mapping[str, str], _body: None) -> Stream:
    return await service.events(None)


async def _overlay_events(service: Service, at: Mapping[str, str], _body: None) -> Stream:
    return await service.events(at["name"])


async def _diagnosis(service: Service, _: Mapping[str, str], _body: None) -> Diagnosis:
    return await service.diagnosis()


async def _report(service: Service, _: Mapping[str, str], _body: None) -> Report:
    return await service.report()


async def _stats(service: Service, _: Mapping[str, str], _body: None) -> list[OverlayStats]:
    return await service.stats([])


async def _overlay_stats(service: Service, at: Mapping[str, str], _body: None) -> OverlayStats:
    (stats,) = await service.stats([at["name"]])
    return stats


async def _capture(service: Service, at: Mapping[str, str], body: Capture) -> Stream:
    return await service.capture(at["name"], body)


async def _metrics(service: Service, _: Mapping[str, str], _body: None) -> Stream:
    return await service.metrics()


async def _health(service: Service, _: Mapping[str, str], _body: None) -> HealthInfo:
    return await service.health()


async def _ready(service: Service, _: Mapping[str, str], _body: None) -> HealthInfo:
    return await service.ready()


def flag(at: Mapping[str, str], name: str) -> bool:
    """Return whether something is asked for behind the path's ``?``.

    Raises:
        ControlError: it is neither ``true`` nor ``false``.
    """
    text = at.get(name, "false")
    if text not in ("true", "false"):
        raise ControlError(ErrorCode.BAD_REQUEST, f"{name}={text}: neither true nor false", name)
    return text == "true"


def _read(
    path: str,
    summary: str,
    call: Any,
    answer: Any,
    media: str = JSON,
    query: tuple[str, ...] = (),
) -> Route[None]:
    nothing = type(None)
    return Route("GET", path, summary, Right.READ, call, nothing, answer, query=query, media=media)


def _change(
    method: str,
    path: str,
    summary: str,
    call: Callable[[Service, Mapping[str, str], Body], Awaitable[object]],
    body: type[Body],
    answer: Any = None,
    status: HTTPStatus = HTTPStatus.NO_CONTENT,
) -> Route[Body]:
    return Route(method, path, summary, Right.CHANGE, call, body, answer, status)


_NOTHING: Final = type(None)

ROUTES: Final[tuple[Route[Any], ...]] = (
    _read(f"{_V}/overlays", "All overlays, in the order of names", _overlays, list[OverlayInfo]),
    _change(
        "POST",
        f"{_V}/overlays",
        "Make an overlay",
        _create,
        CreateOverlay,
        OverlayInfo,
        HTTPStatus.CREATED,
    ),
    _read(f"{_V}/overlays/{{name}}", "One overlay", _overlay, OverlayInfo),
    _change("DELETE", f"{_V}/overlays/{{name}}", "Remove an overlay", _delete, _NOTHING),
    _read(
        f"{_V}/overlays/{{name}}/properties",
        "The properties of an overlay",
        _properties,
        list[PropertyInfo],
    ),
    _change(
        "PATCH",
        f"{_V}/overlays/{{name}}/properties",
        "Set properties, all or none",
        _set_properties,
        SetProperties,
        OverlayInfo,
        HTTPStatus.OK,
    ),
    _change(
        "POST",
        f"{_V}/overlays/{{name}}/forget-state",
        "Forget what the plugin saved, and start it from its properties alone",
        _forget_state,
        _NOTHING,
        OverlayInfo,
        HTTPStatus.OK,
    ),
    _read(
        f"{_V}/overlays/{{name}}/targets",
        "The table of an overlay, in the order of the MACs",
        _targets,
        list[TargetInfo],
    ),
    _change(
        "PUT",
        f"{_V}/overlays/{{name}}/entries/{{mac}}",
        "Say where a MAC is, or that frames to it are dropped",
        _set_entry,
        SetEntry,
    ),
    _change(
        "DELETE",
        f"{_V}/overlays/{{name}}/entries/{{mac}}",
        "Forget a MAC",
        _delete_entry,
        _NOTHING,
    ),
    _change(
        "POST",
        f"{_V}/overlays/{{name}}/flush",
        "Forget all that the plugin said; the administrator's entries stay",
        _flush,
        _NOTHING,
    ),
    _read(
        f"{_V}/overlays/{{name}}/ports",
        "The guests' ports of an overlay, in the order of their names",
        _ports,
        list[PortInfo],
    ),
    _change(
        "PATCH",
        f"{_V}/overlays/{{name}}/ports/{{port}}",
        "Say who the guest at a port is, before or after the link is there",
        _set_port,
        SetPort,
        PortInfo,
        HTTPStatus.OK,
    ),
    _change(
        "DELETE",
        f"{_V}/overlays/{{name}}/ports/{{port}}",
        "Forget what was said of a guest's port",
        _delete_port,
        _NOTHING,
    ),
    _read(
        f"{_V}/overlays/{{name}}/stats",
        "Counters, latencies and sizes of an overlay",
        _overlay_stats,
        OverlayStats,
    ),
    Route(
        "POST",
        f"{_V}/overlays/{{name}}/capture",
        "Frames of an overlay from now on",
        Right.CHANGE,
        _capture,
        Capture,
        Stream,
        media=PCAPNG,
    ),
    _read(f"{_V}/stats", "The same of all overlays", _stats, list[OverlayStats]),
    _read(f"{_V}/plugins", "What overlays can be made of", _plugins, PluginsInfo),
    _read(
        f"{_V}/overlays/{{name}}/explain/{{address}}",
        "Why frames to a MAC, or to who has an overlay address, go where they go",
        _explain,
        Explanation,
        query=("ask",),
    ),
    _read(
        f"{_V}/overlays/{{name}}/trace",
        "What would happen to a frame, step by step; nothing is sent, nothing changes",
        _trace,
        TraceInfo,
        query=FIELDS,
    ),
    _read(
        f"{_V}/events",
        "What happens in all overlays, as it happens",
        _events,
        EventInfo,
        JSON_LINES,
    ),
    _read(
        f"{_V}/overlays/{{name}}/events",
        "What happens in one overlay, as it happens",
        _overlay_events,
        EventInfo,
        JSON_LINES,
    ),
    _read(
        f"{_V}/diagnosis", "What only the daemon knows of what may be wrong", _diagnosis, Diagnosis
    ),
    _read(f"{_V}/report", "What belongs into a bug report, without secrets", _report, Report),
    _read("/metrics", "The metrics, for Prometheus", _metrics, Stream, "text/plain"),
    _read("/healthz", "Whether the daemon works at all (503: no)", _health, HealthInfo),
    _read("/readyz", "Whether all overlays have been brought up (503: no)", _ready, HealthInfo),
)
"""Every route but ``/openapi.json``, which describes these."""
