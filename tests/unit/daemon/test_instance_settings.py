"""How an instance is treated unless an operator says something else."""

from varpd.daemon.backoff import MAX, MIN
from varpd.daemon.instance_settings import InstanceSettings


def test_restarts_begin_after_a_second_and_are_never_further_apart_than_half_a_minute() -> None:
    usual = InstanceSettings()
    assert (usual.restart_min, usual.restart_max) == (MIN, MAX)


def test_a_start_has_more_time_than_a_question() -> None:
    usual = InstanceSettings()
    assert usual.lookup_timeout < usual.start_timeout
