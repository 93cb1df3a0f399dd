"""What is to be done at some time."""

from varpd.engine.agenda import SMALL, Action, Agenda, ClearRefusals, EndHold


def test_what_is_planned_comes_in_the_order_of_its_time() -> None:
    agenda = Agenda(lambda _: False)
    agenda.plan(20.0, EndHold(b"2", 20.0))
    agenda.plan(10.0, EndHold(b"1", 10.0))
    agenda.plan(20.0, ClearRefusals())
    assert agenda.next_due == 10.0
    assert agenda.take(9.9) is None
    assert agenda.take(20.0) == EndHold(b"1", 10.0)
    assert agenda.take(20.0) == EndHold(b"2", 20.0)
    assert agenda.take(20.0) == ClearRefusals()
    assert agenda.next_due is None
    assert len(agenda) == 0


def test_idle_plans_are_looked_for_only_when_the_agenda_has_doubled() -> None:
    looked = 0

    def is_idle(action: Action) -> bool:
        nonlocal looked
        looked += 1
        return isinstance(action, EndHold) and action.mac == b"gone"

    agenda = Agenda(is_idle)
    for number in range(SMALL):
        agenda.plan(number, EndHold(b"here", number))
    assert looked == 0
    for number in range(10 * SMALL):
        agenda.plan(number, EndHold(b"gone", number))
    assert SMALL <= len(agenda) <= 2 * SMALL + 1
    assert looked <= 30 * SMALL
    assert agenda.take(0) == EndHold(b"here", 0)
