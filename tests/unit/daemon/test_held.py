"""What is asked for before the links are there, and what of it is there already."""

from ipaddress import IPv4Address

from varpd.daemon.held import Held
from varpd.engine.commands import (
    DatapathCommand,
    Inject,
    Install,
    InstallReplicas,
    RemoveRows,
    Resend,
)
from varpd.provider.answers import Target

A, B = (Target(IPv4Address(f"192.0.2.{number}"), 4789) for number in (1, 2))
ONE, TWO = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"
GROUP = b"\1\0\x5e\0\0\5"


def held(*commands: DatapathCommand) -> Held:
    kept = Held()
    for command in commands:
        kept.keep(command)
    return kept


def test_without_rows_all_is_done_in_order() -> None:
    commands: list[DatapathCommand] = [
        Install("blue", A, [ONE], []),
        RemoveRows("blue", [ONE]),
        Inject("blue", [b"frame"]),
    ]
    assert held(*commands).commands() == commands


def test_a_row_that_is_there_is_not_written() -> None:
    kept = held(Install("blue", A, [ONE, TWO], []), Resend("blue", A, [b"frame"]))
    kept.found([(ONE, (A,))])
    assert kept.commands() == [Install("blue", A, [TWO], []), Resend("blue", A, [b"frame"])]


def test_a_row_that_leads_elsewhere_is_written() -> None:
    kept = held(Install("blue", A, [ONE], []))
    kept.found([(ONE, (B,))])
    assert kept.commands() == [Install("blue", A, [ONE], [])]


def test_what_was_wanted_last_counts() -> None:
    kept = held(
        Install("blue", A, [ONE], []),
        RemoveRows("blue", [ONE, TWO]),
        Install("blue", B, [ONE], []),
    )
    kept.found([(ONE, (B,)), (TWO, (A,))])
    assert kept.commands() == [RemoveRows("blue", [TWO])]


def test_frames_are_sent_though_the_row_is_there() -> None:
    kept = held(Install("blue", A, [ONE], [b"frame"]))
    kept.found([(ONE, (A,))])
    assert kept.commands() == [Install("blue", A, [], [b"frame"])]


def test_what_is_wanted_after_the_rows_were_found_is_done() -> None:
    kept = held(Install("blue", A, [ONE], []))
    kept.found([(ONE, (A,))])
    kept.keep(Install("blue", B, [ONE], []))
    assert kept.commands()[-1] == Install("blue", B, [ONE], [])


def test_a_group_is_there_if_it_has_the_same_targets_in_any_order() -> None:
    kept = held(InstallReplicas("blue", GROUP, (A, B)))
    kept.found([(GROUP, (B, A))])
    assert kept.commands() == []


def test_a_group_with_other_targets_is_written() -> None:
    kept = held(InstallReplicas("blue", GROUP, (A, B)), Install("blue", A, [ONE], []))
    kept.found([(GROUP, (B,)), (ONE, (A,))])
    assert kept.commands() == [InstallReplicas("blue", GROUP, (A, B))]
