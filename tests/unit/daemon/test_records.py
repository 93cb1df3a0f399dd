"""What is remembered of events and commands."""

from ipaddress import IPv4Address
from typing import get_args

from varpd.control.messages import EventKind
from varpd.daemon.records import MAKERS, Kind, Record
from varpd.engine import commands, events
from varpd.provider.answers import DROP, Target
from varpd.provider.query import Query

A, B = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
TARGET = Target(IPv4Address("192.0.2.2"), 4789)


def test_every_kind_is_one_of_the_api() -> None:
    assert {kind.value for kind in Kind} == set(get_args(EventKind)) - {"lost"}


def test_answers_are_kept_with_their_macs_and_without_the_frames() -> None:
    queries = [Query(A, 7, bytes(1500)), Query(B, 7, bytes(1500))]
    made = MAKERS[events.LookupsAnswered](events.LookupsAnswered("blue", queries, [TARGET, DROP]))
    assert made == ("blue", Kind.ANSWERED, [A, B], [TARGET, DROP])


def test_frames_that_are_sent_on_without_rows_leave_nothing() -> None:
    install = commands.Install("blue", TARGET, [], [b"frame"])
    assert MAKERS[commands.Install](install) is None
    assert events.FramesPunted not in MAKERS
    assert commands.Resend not in MAKERS


def test_rows_of_a_group_mac_are_written_or_removed() -> None:
    made = [
        MAKERS[commands.InstallReplicas](commands.InstallReplicas("blue", A, targets))
        for targets in ((TARGET,), ())
    ]
    assert [fields[1] for fields in made if fields] == [Kind.ROWS_WRITTEN, Kind.ROWS_REMOVED]


def test_a_record_weighs_one_and_its_macs() -> None:
    assert Record(1, 0.0, Kind.LEARNED, (A, B), 2, None).weight == 3
