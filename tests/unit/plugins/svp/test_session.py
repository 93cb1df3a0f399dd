"""One connection to a server, as stories."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varpd.net.addresses import MacAddress
from varpd.plugins.svp import messages
from varpd.plugins.svp import session as session_module
from varpd.plugins.svp.fields import Status
from varpd.plugins.svp.session import Answer, Session, State
from varpd.plugins.svp.wire import Message, Stream, serialize

REQUEST = messages.Vl2Request(MacAddress.parse("90:b8:d0:01:00:02"), 100)
FOUND = messages.Vl2Ack(Status.OK, 4789, IPv4Address("192.168.77.2"))


def sent(data: bytes) -> tuple[int, Message]:
    stream = Stream()
    stream.feed(data)
    frame = stream.next_frame()
    assert frame is not None
    return frame.id, frame.message()


@given(st.permutations(range(8)))
def test_answers_find_their_requests_in_any_order(order: list[int]) -> None:
    session = Session(0, 30)
    ids = [session.ask(REQUEST, 0)[0] for _ in order]
    wire = b"".join(serialize(ids[at], messages.Vl2Ack(Status.OK, at)) for at in order)
    wanted = [Answer(ids[at], messages.Vl2Ack(Status.OK, at)) for at in order]
    assert [got for byte in wire for got in session.receive(bytes((byte,)), 1)] == wanted
    assert (session.unanswered(), session.state) == ({}, State.OPEN)


def test_what_is_sent_is_the_request_under_its_id() -> None:
    number, data = Session(0, 30).ask(REQUEST, 0)
    assert sent(data) == (number, REQUEST)


@pytest.mark.parametrize(
    ("number", "reply", "fault"),
    [
        (2, FOUND, "nothing that was asked, id 2"),
        (1, messages.Vl3Ack(Status.OK), "VL3_ACK in answer to VL2_REQ"),
        (1, REQUEST, "VL2_REQ in answer to VL2_REQ"),
    ],
)
def test_a_reply_that_fits_nothing_breaks_the_session(
    number: int, reply: Message, fault: str
) -> None:
    session = Session(0, 30)
    session.ask(REQUEST, 0)
    assert session.receive(serialize(number, reply), 1) == []
    assert session.state is State.BROKEN
    assert fault in str(session.fault)
    assert session.unanswered() == {1: REQUEST}


def test_an_answer_in_front_of_a_fault_counts_and_the_rest_is_to_be_asked_again() -> None:
    session = Session(0, 30)
    for _ in range(2):
        session.ask(REQUEST, 0)
    assert session.receive(serialize(1, FOUND) + bytes(16), 1) == [Answer(1, FOUND)]
    assert (session.state, session.fault) == (State.BROKEN, "SVP version 0; only 1 is known")
    assert session.unanswered() == {2: REQUEST}
    assert session.receive(serialize(2, FOUND), 1) == []


def test_a_second_answer_breaks_the_session() -> None:
    session = Session(0, 30)
    session.ask(REQUEST, 0)
    assert session.receive(serialize(1, FOUND) * 2, 1) == [Answer(1, FOUND)]
    assert session.state is State.BROKEN


def test_a_late_answer_breaks_the_session_however_much_else_arrives() -> None:
    session = Session(0, timeout=5)
    session.ask(REQUEST, 0)
    session.ask(REQUEST, 3)
    session.receive(serialize(2, FOUND), 4)
    assert session.next_deadline() == 5
    assert (session.advance(4.9), session.state) == (b"", State.OPEN)
    assert (session.advance(5), session.fault) == (b"", "no answer to VL2_REQ within 5 s")
    assert (session.next_deadline(), session.unanswered()) == (None, {1: REQUEST})


def test_a_quiet_server_is_asked_whether_it_is_there() -> None:
    session = Session(0, timeout=5, idle=10)
    assert (session.next_deadline(), session.advance(9)) == (10, b"")
    number, ping = sent(session.advance(10))
    assert ping == messages.Ping()
    assert session.receive(serialize(number, messages.Pong()), 11) == []
    assert (session.state, session.next_deadline()) == (State.OPEN, 21)
    session.advance(21)
    session.advance(26)
    assert (session.state, session.unanswered()) == (State.BROKEN, {})


def test_winding_down_waits_for_the_answers_and_takes_no_more() -> None:
    session = Session(0, 30)
    session.ask(REQUEST, 0)
    session.wind_down()
    with pytest.raises(ValueError, match="winding-down"):
        session.ask(REQUEST, 1)
    assert session.receive(serialize(1, FOUND), 1) == [Answer(1, FOUND)]
    assert (session.state, session.next_deadline()) == (State.DONE, None)


def test_winding_down_with_nothing_asked_is_done_at_once() -> None:
    session = Session(0, 30)
    session.wind_down()
    session.break_off("reset")
    assert (session.state, session.fault) == (State.DONE, None)


def test_a_connection_that_ends_leaves_its_requests_to_others() -> None:
    session = Session(0, 30)
    session.ask(REQUEST, 0)
    session.break_off("reset")
    session.break_off("again")
    assert (session.fault, session.unanswered()) == ("reset", {1: REQUEST})


def test_what_has_no_reply_is_not_asked() -> None:
    with pytest.raises(ValueError, match="SHOOTDOWN is no request"):
        Session(0, 30).ask(messages.Shootdown(REQUEST.mac, 100), 0)


@given(st.binary(max_size=64))
def test_any_bytes_leave_a_session_open_or_broken(data: bytes) -> None:
    session = Session(0, 30)
    session.ask(REQUEST, 0)
    session.receive(data, 1)
    assert session.state in (State.OPEN, State.BROKEN)


def test_ids_begin_again_and_pass_over_those_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "ID_MAX", 3)
    session = Session(0, 30)
    assert [session.ask(REQUEST, 0)[0] for _ in range(3)] == [1, 2, 3]
    session.receive(serialize(2, FOUND), 1)
    assert session.ask(REQUEST, 1)[0] == 2
