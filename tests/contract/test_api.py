"""The control socket against those who mean no good, or know no better."""

import gzip
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import raw_http
from support.control_daemon import FakeDaemon, running
from support.raw_http import request
from varpd.control.connection import Limits
from varpd.control.messages import MAX_REQUEST

GOOD = b'{"name": "web1", "vnetid": 7, "search": "nothing"}'
CHUNKED = (
    b"POST /v1/overlays HTTP/1.1\r\nHost: varpd\r\nConnection: close\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


@pytest.fixture(scope="module")
def daemon() -> Iterator[FakeDaemon]:
    with tempfile.TemporaryDirectory() as directory, running(Path(directory)) as it:
        it.service.add("web0")
        yield it


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[FakeDaemon]:
    """A daemon for those who keep it waiting."""
    with running(tmp_path, limits=Limits(idle=0.5, body=0.3)) as it:
        yield it


@pytest.fixture(autouse=True)
def the_daemon_lives_on(daemon: FakeDaemon) -> Iterator[None]:
    """After each test the daemon answers, and has the one overlay it had."""
    yield
    answer = raw_http.exchange(daemon.socket, request("GET", "/v1/overlays"))
    assert answer.status == 200
    assert [overlay["name"] for overlay in answer.json] == ["web0"]


def refused(daemon: FakeDaemon, raw: bytes) -> Any:
    """Send bytes and return the error, which is in JSON and says what is wrong."""
    answer = raw_http.exchange(daemon.socket, raw)
    assert 400 <= answer.status <= 499
    assert answer.headers["content-type"].startswith("application/json")
    error = answer.json
    assert set(error) == {"code", "message", "field"}
    assert error["message"]
    assert "\n" not in error["message"]
    return error | {"status": answer.status}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"nonsense",
        b"\xff\xfe{}",
        b'{"name": "\xff", "vnetid": 7, "search": "files"}',
        b'{"name": "\\ud800", "vnetid": 7, "search": "files"}',
        b"[" * 200_000,
        b'{"name":' * 100_000,
        GOOD + b"}",
        b"name=web1&vnetid=7",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_a_body_that_is_no_json_or_no_object_is_refused(daemon: FakeDaemon, body: bytes) -> None:
    error = refused(daemon, request("POST", "/v1/overlays", body))
    assert (error["status"], error["code"]) == (400, "bad-request")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"name": "web1", "vnetid": 7, "search": "files", "colour": 1}', "colour"),
        (b'{"name": "web1", "search": "files"}', "vnetid"),
        (b'{"name": 5, "vnetid": 7, "search": "files"}', "name"),
        (b'{"name": "web1", "vnetid": "7", "search": "files"}', "vnetid"),
        (b'{"name": "web1", "vnetid": 7.5, "search": "files"}', "vnetid"),
        (b'{"name": "web1", "vnetid": true, "search": "files"}', "vnetid"),
        (b'{"name": "web1", "vnetid": -1, "search": "files"}', "vnetid"),
        (b'{"name": "web1", "vnetid": 7, "search": null}', "search"),
        (b'{"name": "web1", "vnetid": 7, "search": "files", "temporary": 1}', "temporary"),
        (b'{"name": "web1", "vnetid": 7, "search": "f", "properties": []}', "properties"),
        (b'{"name": "web1", "vnetid": 7, "search": "f", "properties": {"a": 1}}', None),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_field_that_is_wrong_unknown_or_missing_is_named(
    daemon: FakeDaemon, body: bytes, field: str | None
) -> None:
    error = refused(daemon, request("POST", "/v1/overlays", body))
    assert (error["status"], error["code"]) == (400, "bad-request")
    assert field is None or error["field"] == field


def test_a_number_beyond_all_bounds_is_refused(daemon: FakeDaemon) -> None:
    body = b'{"name": "web1", "search": "files", "vnetid": ' + b"9" * 5_000 + b"}"
    assert refused(daemon, request("POST", "/v1/overlays", body))["status"] in (400, 422)


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("POST", "/v1/overlays", b'{"name": 7}'),
        ("PATCH", "/v1/overlays/web0/properties", b'{"properties": 7}'),
        ("PATCH", "/v1/overlays/web0/properties", b'{"mtu": "1400"}'),
        ("PUT", "/v1/overlays/web0/entries/02:00:00:00:00:01", b'{"target": null}'),
        ("PUT", "/v1/overlays/web0/entries/02:00:00:00:00:01", b"drop"),
    ],
)
def test_every_body_is_checked(daemon: FakeDaemon, method: str, target: str, body: bytes) -> None:
    assert refused(daemon, request(method, target, body))["status"] == 400


@pytest.mark.parametrize(
    "name",
    [
        "a%2Fb",
        "..%2Fweb0",
        "%2E%2E",
        "..",
        "%00",
        "%FF%FE",
        "%C3%A9",
        "web0%20",
        "WEB0",
        "x" * 4000,
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_strange_name_finds_nothing(daemon: FakeDaemon, method: str, name: str) -> None:
    assert refused(daemon, request(method, f"/v1/overlays/{name}"))["status"] in (404, 405)


@pytest.mark.parametrize(
    "name", ["", "a/b", "../x", "é", "a b", "a\\u0000b", "a\\nb", "WEB", "-a", "thirteen-long"]
)
def test_a_strange_name_makes_nothing(daemon: FakeDaemon, name: str) -> None:
    body = f'{{"name": "{name}", "vnetid": 7, "search": "files"}}'.encode()
    assert refused(daemon, request("POST", "/v1/overlays", body))["code"] == "invalid"


@pytest.mark.parametrize(
    "mac", ["%2F", "..", "02-00-00-00-00-01", "02:00:00:00:00", "*", "02:00:00:00:00:0%D9%A1"]
)
def test_a_strange_mac_is_refused(daemon: FakeDaemon, mac: str) -> None:
    raw = request("PUT", f"/v1/overlays/web0/entries/{mac}", b'{"target": "drop"}')
    assert refused(daemon, raw)["status"] in (404, 422)


@pytest.mark.parametrize("target", ["/", "//", "/v1", "/v1/overlays/", "/v2/overlays", "/v1/x/y/z"])
def test_an_unknown_path_is_refused(daemon: FakeDaemon, target: str) -> None:
    error = refused(daemon, request("GET", target))
    assert (error["status"], error["code"]) == (404, "not-found")


@pytest.mark.parametrize("method", ["PUT", "HEAD", "OPTIONS", "TRACE", "BREW"])
def test_an_unknown_method_is_refused(daemon: FakeDaemon, method: str) -> None:
    answer = raw_http.exchange(daemon.socket, request(method, "/v1/overlays"))
    assert answer.status in (400, 405)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + b"A: b\r\n" * 1_000 + b"\r\n",
        b"POST /v1/overlays HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/overlays HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /v1/overlays HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"-5\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_what_is_no_http_is_answered_as_such(daemon: FakeDaemon, raw: bytes) -> None:
    error = refused(daemon, raw)
    assert (error["status"], error["code"]) == (400, "bad-request")


def test_a_body_as_long_as_the_bound_is_read(daemon: FakeDaemon) -> None:
    body = GOOD + b" " * (MAX_REQUEST - len(GOOD))
    assert refused(daemon, request("POST", "/v1/overlays", body))["code"] == "invalid"


def test_a_body_longer_than_the_bound_is_refused(daemon: FakeDaemon) -> None:
    body = GOOD + b" " * (MAX_REQUEST - len(GOOD) + 1)
    assert refused(daemon, request("POST", "/v1/overlays", body))["status"] == 413


def test_a_length_beyond_the_bound_is_refused_before_a_byte_has_come(daemon: FakeDaemon) -> None:
    raw = request("POST", "/v1/overlays").replace(b"Content-Length: 0", b"Content-Length: 99999999")
    assert refused(daemon, raw)["status"] == 413


def test_chunks_are_counted_too(daemon: FakeDaemon) -> None:
    chunks = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    assert refused(daemon, CHUNKED + chunks * 17 + b"0\r\n\r\n")["status"] == 413


def test_a_packed_body_is_not_unpacked(daemon: FakeDaemon) -> None:
    raw = request("POST", "/v1/overlays", gzip.compress(GOOD), "Content-Encoding: gzip\r\n")
    assert refused(daemon, raw)["status"] == 400


@pytest.mark.parametrize("part", [b"", b'{"name"'])
def test_a_body_that_never_comes_whole_is_given_up(impatient: FakeDaemon, part: bytes) -> None:
    raw = request("POST", "/v1/overlays").replace(b"Content-Length: 0", b"Content-Length: 50")
    assert refused(impatient, raw + part)["status"] == 408


def test_many_who_only_hold_the_line_keep_nobody_out_for_long(impatient: FakeDaemon) -> None:
    with ExitStack() as stack:
        held = [
            stack.enter_context(raw_http.connected(impatient.socket))
            for _ in range(Limits().connections)
        ]
        for line in held:
            assert raw_http.read_to_end(line) == b""
    assert raw_http.exchange(impatient.socket, request("GET", "/healthz")).status == 200


def test_requests_sent_in_one_go_are_all_answered(daemon: FakeDaemon) -> None:
    single = b"GET /healthz HTTP/1.1\r\nHost: varpd\r\n\r\n"
    with raw_http.connected(daemon.socket) as caller:
        caller.sendall(single * 50 + request("GET", "/nowhere"))
        said = raw_http.read_to_end(caller)
    assert said.count(b"HTTP/1.1 200 OK") == 50
    assert said.count(b"HTTP/1.1 404 Not Found") == 1


def test_whoever_goes_before_the_answer_does_no_harm(daemon: FakeDaemon) -> None:
    for _ in range(20):
        with raw_http.connected(daemon.socket) as caller:
            caller.sendall(request("GET", "/v1/overlays"))


@given(
    cut=st.integers(0, 120),
    tail=st.binary(max_size=64),
    inserted=st.sampled_from([b"", b"\r\n", b"\x00", b"\r\n\r\n", b"Content-Length: 7\r\n"]),
)
def test_no_bytes_whatever_end_the_daemon(
    daemon: FakeDaemon, cut: int, tail: bytes, inserted: bytes
) -> None:
    whole = request("POST", "/v1/overlays", GOOD)
    with raw_http.connected(daemon.socket) as caller:
        caller.sendall(whole[:cut] + inserted + tail)
    answer = raw_http.exchange(daemon.socket, request("GET", "/healthz"))
    assert answer.status == 200


STRANGER = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
with socket.socket(socket.AF_UNIX) as caller:
    caller.connect(sys.argv[1])
    caller.sendall(sys.argv[2].encode())
    while part := caller.recv(65536):
        os.write(1, part)
"""


def as_a_stranger(socket: Path, method: str, target: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", STRANGER, str(socket), request(method, target).decode()],
        capture_output=True,
        check=False,
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
class TestStranger:
    def test_the_files_mode_keeps_strangers_out(self, daemon: FakeDaemon) -> None:
        said = as_a_stranger(daemon.socket, "GET", "/v1/overlays")
        assert b"PermissionError" in said.stderr

    @pytest.mark.parametrize(
        ("method", "target"),
        [("GET", "/v1/overlays"), ("DELETE", "/v1/overlays/web0"), ("GET", "/healthz")],
    )
    def test_the_kernels_word_keeps_strangers_out_where_the_mode_does_not(
        self, daemon: FakeDaemon, method: str, target: str
    ) -> None:
        opened = (daemon.socket.parent.parent, daemon.socket.parent, daemon.socket)
        before = [path.stat().st_mode for path in opened]
        for path in opened:
            path.chmod(0o777)
        try:
            said = as_a_stranger(daemon.socket, method, target)
        finally:
            for path, mode in zip(opened, before, strict=True):
                path.chmod(mode)
        answer = raw_http.parse(said.stdout)
        assert (answer.status, answer.json["code"]) == (403, "forbidden")
