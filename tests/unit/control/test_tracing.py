"""Traces over the control socket."""

from pathlib import Path

import msgspec
import pytest

from support import raw_http
from support.control_daemon import running
from support.fake_service import FakeService
from varpd.control.tracing import FIELDS, TraceRequest


def test_the_fields_of_a_question_are_those_of_its_type() -> None:
    assert set(FIELDS) == set(TraceRequest.__struct_fields__)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("dst=02:00:00:00:00:01&ethertype=2054&vlan=7&ask=true", 200),
        ("", 200),
        ("kind=stp", 400),
        ("vlan=x", 400),
        ("ask=perhaps", 400),
        ("color=blue", 400),
    ],
)
def test_a_question_that_is_none_is_refused(tmp_path: Path, query: str, status: int) -> None:
    service = FakeService()
    service.add("web0")
    with running(tmp_path, service) as daemon:
        request = raw_http.request("GET", f"/v1/overlays/web0/trace?{query}")
        answer = raw_http.exchange(daemon.socket, request)
    assert answer.status == status
    if "ethertype" in query:
        expected = TraceRequest(dst="02:00:00:00:00:01", ethertype=2054, vlan=7, ask=True)
        assert service.traced == [expected]
    if status == 400:
        assert answer.json["code"] == "bad-request"


def test_a_question_survives_the_way_as_json() -> None:
    asked = TraceRequest("arp", address="10.0.0.1", vlan=5)
    assert msgspec.json.decode(msgspec.json.encode(asked), type=TraceRequest) == asked
