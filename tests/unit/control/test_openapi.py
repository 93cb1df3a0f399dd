"""The OpenAPI document."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from varpd.control import messages
from varpd.control.openapi import document
from varpd.control.routes import ROUTES

DOCUMENT = document()
METHODS = {"get", "post", "put", "patch", "delete"}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def references(value: object) -> Iterator[str]:
    match value:
        case dict():
            if "$ref" in value:
                yield value["$ref"]
            for member in value.values():
                yield from references(member)
        case list():
            for member in value:
                yield from references(member)
        case _:
            pass


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_is_in_it(route: Any) -> None:
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    assert str(route.status.value) in operation["responses"]
    assert ("requestBody" in operation) is (route.body is not type(None))


def test_it_knows_no_route_that_is_not_there_but_itself() -> None:
    known = {(route.path, route.method.lower()) for route in ROUTES}
    assert {(path, method) for path, method, _ in operations()} - known == {
        ("/openapi.json", "get")
    }


def test_it_has_what_the_standard_requires() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert DOCUMENT["info"]["title"]
    assert DOCUMENT["info"]["version"]
    for path, method, operation in operations():
        assert path.startswith("/")
        assert method in METHODS
        assert operation["responses"]
        for status, answer in operation["responses"].items():
            assert re.fullmatch(r"default|[1-5][0-9]{2}", status)
            assert answer["description"]


def test_every_operation_has_an_identifier_of_its_own() -> None:
    identifiers = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(identifiers)) == len(identifiers)


def test_parameters_are_those_of_the_path_and_of_the_query() -> None:
    queries = {route.path: route.query for route in ROUTES if route.query}
    for path, _, operation in operations():
        parameters = operation.get("parameters", [])
        for place, names in (("path", re.findall(r"{(\w+)}", path)), ("query", queries.get(path))):
            there = [item for item in parameters if item["in"] == place]
            assert [item["name"] for item in there] == list(names or ())
            assert all(item["required"] is (place == "path") for item in there)
        assert all(item["schema"] and item["description"] for item in parameters)


def test_every_reference_leads_somewhere() -> None:
    schemas = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert set(references(DOCUMENT)) == schemas


def test_every_message_type_is_described() -> None:
    types = {
        kind.__name__
        for kind in vars(messages).values()
        if isinstance(kind, type)
        and issubclass(kind, msgspec.Struct)
        and kind is not msgspec.Struct
    }
    assert types <= set(DOCUMENT["components"]["schemas"])


def test_it_is_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(DOCUMENT)) == DOCUMENT
