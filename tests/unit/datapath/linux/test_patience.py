"""How soon something is put right that somebody changes again and again."""

from varpd.datapath.linux.patience import AT_ONCE, LONGEST, WINDOW, Patience


def test_at_first_at_once() -> None:
    patience = Patience()
    for now in range(AT_ONCE):
        assert patience.next_at(now) == now
        patience.repaired(now)
        assert not patience.is_tried(now)


def test_then_with_growing_pauses() -> None:
    patience, now, pauses = Patience(), 100.0, []
    for _ in range(AT_ONCE):
        patience.repaired(now)
    for _ in range(4):
        due = patience.next_at(now)
        pauses.append(due - now)
        now = due
        patience.repaired(now)
    assert pauses == [1, 2, 4, 8]
    assert patience.is_tried(now)


def test_no_pause_is_longer_than_the_longest() -> None:
    patience = Patience()
    for _ in range(100):
        patience.repaired(5.0)
    assert patience.next_at(5.0) == 5.0 + LONGEST


def test_what_is_long_ago_does_not_count() -> None:
    patience = Patience()
    for _ in range(100):
        patience.repaired(5.0)
    now = 5.0 + WINDOW
    assert patience.recent(now) == 0
    assert not patience.is_tried(now)
    assert patience.next_at(now) == now


def test_failures_are_tried_again_with_growing_pauses() -> None:
    patience, now, pauses = Patience(), 0.0, []
    for _ in range(7):
        patience.failed(now)
        due = patience.next_at(now)
        pauses.append(due - now)
        now = due
    assert pauses == [1, 2, 4, 8, 16, 32, 32]
    patience.repaired(now)
    assert patience.next_at(now) == now
