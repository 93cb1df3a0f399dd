"""The table of routes."""

from http import HTTPStatus

from varpd.control.access import Right
from varpd.control.messages import ErrorCode
from varpd.control.routes import ROUTES, STATUS


def test_no_route_is_there_twice() -> None:
    keys = [(route.method, route.path) for route in ROUTES]
    assert len(set(keys)) == len(keys)


def test_the_routes_are_those_that_are_documented() -> None:
    assert {f"{route.method} {route.path}" for route in ROUTES} == {
        "GET /v1/overlays",
        "POST /v1/overlays",
        "GET /v1/overlays/{name}",
        "DELETE /v1/overlays/{name}",
        "GET /v1/overlays/{name}/properties",
        "PATCH /v1/overlays/{name}/properties",
        "POST /v1/overlays/{name}/forget-state",
        "GET /v1/overlays/{name}/targets",
        "PUT /v1/overlays/{name}/entries/{mac}",
        "DELETE /v1/overlays/{name}/entries/{mac}",
        "POST /v1/overlays/{name}/flush",
        "GET /v1/overlays/{name}/ports",
        "PATCH /v1/overlays/{name}/ports/{port}",
        "DELETE /v1/overlays/{name}/ports/{port}",
        "GET /v1/overlays/{name}/explain/{address}",
        "GET /v1/overlays/{name}/trace",
        "GET /v1/events",
        "GET /v1/overlays/{name}/events",
        "POST /v1/overlays/{name}/capture",
        "GET /v1/overlays/{name}/stats",
        "GET /v1/stats",
        "GET /metrics",
        "GET /v1/plugins",
        "GET /v1/diagnosis",
        "GET /v1/report",
        "GET /healthz",
        "GET /readyz",
    }


def test_only_reading_is_done_with_the_right_to_read() -> None:
    assert all((route.method == "GET") is (route.right is Right.READ) for route in ROUTES)


def test_a_route_without_an_answer_says_so() -> None:
    silent = [route for route in ROUTES if route.answer is None]
    assert {route.status for route in silent} == {HTTPStatus.NO_CONTENT}


def test_every_kind_of_error_has_a_status() -> None:
    assert set(STATUS) == set(ErrorCode)
    assert all(400 <= status <= 599 for status in STATUS.values())
