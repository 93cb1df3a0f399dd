"""The OpenAPI 3.1 document of the control API, made from the routes and the message types."""

import re
from http import HTTPStatus
from typing import Any, Final

import msgspec

from varpd.control.messages import API_VERSION, ErrorInfo, HealthInfo
from varpd.control.routes import JSON, ROUTES, Route
from varpd.control.streams import Stream

PATH: Final = "/openapi.json"
"""Where the server shows the document."""

Document = dict[str, Any]
"""A JSON object."""

_PARAMETERS: Final = {
    "name": "Name of an overlay",
    "mac": "MAC address, such as 02:00:00:00:00:01",
    "address": "MAC address, or overlay IP address",
    "port": "Name of a guest's link",
}

_QUERIES: Final = {
    "ask": "Whether the plugin is asked: true or false, the default",
    "kind": "What is traced: frame (the default), arp, nd or dhcp",
    "src": "The guest's MAC address",
    "dst": "Destination MAC address of a frame",
    "ethertype": "Ethertype of a frame, decimal; default 2048",
    "vlan": "802.1Q VLAN, 1 to 4094",
    "address": "Overlay address that arp or nd asks for",
    "size": "Bytes of a frame; default 60",
}


def document() -> Document:
    """Return the document: every route, every type."""
    types = {ErrorInfo} | {kind for route in ROUTES for kind in _types(route)}
    ordered = sorted(types, key=str)
    schemas, components = msgspec.json.schema_components(
        ordered, ref_template="#/components/schemas/{name}"
    )
    schema_of = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, Document] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema_of)
    paths[PATH] = {"get": _own_operation()}
    made: Document = {
        "openapi": "3.1.0",
        "info": {
            "title": "varpd",
            "version": str(API_VERSION),
            "description": "Control of VXLAN overlays, over a unix socket.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": components},
    }
    # Defaults that are tuples become lists, as JSON has them.
    plain: Document = msgspec.json.decode(msgspec.json.encode(made))
    return plain


def _types(route: Route[Any]) -> list[Any]:
    return [kind for kind in (route.body, route.answer) if kind not in (type(None), None, Stream)]


def _operation(route: Route[Any], schema_of: dict[Any, Document]) -> Document:
    schema = {"type": "string"} if route.answer is Stream else schema_of.get(route.answer)
    answers = {str(route.status.value): _answer(route.status, schema, route.media)}
    if route.answer is HealthInfo:
        unwell = HTTPStatus.SERVICE_UNAVAILABLE
        answers[str(unwell.value)] = _answer(unwell, schema_of[HealthInfo])
    answers["default"] = {"description": "An error"} | _content(schema_of[ErrorInfo])
    operation: Document = {
        "operationId": route.call.__name__.removeprefix("_"),
        "summary": route.summary,
        "responses": answers,
    }
    if names := re.findall(r"\{(\w+)\}", route.path):
        operation["parameters"] = [_parameter(name) for name in names]
    if route.query:
        operation.setdefault("parameters", []).extend(map(_query, route.query))
    if route.body is not type(None):
        operation["requestBody"] = {"required": True} | _content(schema_of[route.body])
    return operation


def _own_operation() -> Document:
    return {
        "operationId": "openapi",
        "summary": "This document",
        "responses": {"200": _answer(HTTPStatus.OK, {"type": "object"})},
    }


def _answer(status: HTTPStatus, schema: Document | None, media: str = JSON) -> Document:
    return {"description": status.phrase} | ({} if schema is None else _content(schema, media))


def _content(schema: Document, media: str = JSON) -> Document:
    return {"content": {media: {"schema": schema}}}


def _query(name: str) -> Document:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": _QUERIES[name],
        "schema": {"type": "string"},
    }


def _parameter(name: str) -> Document:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": _PARAMETERS[name],
        "schema": {"type": "string"},
    }
