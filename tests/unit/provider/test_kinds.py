"""Tests of destination kinds."""

from varpd.provider.kinds import COMBINATIONS, DestinationKind


def test_kinds_read_as_people_write_them() -> None:
    assert str(DestinationKind.IP | DestinationKind.PORT) == "IP+PORT"
    assert str(DestinationKind.ETHERNET) == "ETHERNET"
    assert str(DestinationKind(0)) == "nothing"


def test_every_combination_is_there_once_and_none_is_empty() -> None:
    assert len(set(COMBINATIONS)) == len(COMBINATIONS) == 7
    assert all(COMBINATIONS)
