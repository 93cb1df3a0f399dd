"""How the event loop's time is shared out between overlays."""

from varpd.datapath.linux.turns import BATCH, RECENT, TURN, Turns


class Clock:
    """A clock that reading frames moves on."""

    def __init__(self, cost: float) -> None:
        self.now = 0.0
        self.cost = cost
        self.turns = Turns(lambda: self.now)

    def read(self, overlay: str, there: int) -> int:
        """Let an overlay read what is there."""

        def read(budget: int) -> int:
            count = min(budget, there)
            self.now += count * self.cost
            return count

        return self.turns.take(overlay, read)


def test_one_busy_overlay_reads_whole_batches() -> None:
    clock = Clock(cost=TURN)
    assert [clock.read("a", 1_000) for _ in range(20)] == [BATCH] * 20


def test_busy_overlays_get_a_bounded_time_each() -> None:
    clock = Clock(cost=TURN / 10)
    counts = [clock.read(overlay, 1_000) for _ in range(100) for overlay in "ab"]
    assert counts[-2:] == [10, 10]


def test_a_frame_that_costs_more_than_a_turn_is_still_read() -> None:
    clock = Clock(cost=2 * TURN)
    counts = [clock.read(overlay, 1_000) for _ in range(100) for overlay in "ab"]
    assert counts[-2:] == [1, 1]


def test_an_overlay_with_little_to_read_slows_nobody() -> None:
    clock = Clock(cost=TURN / 10)
    for _ in range(50):
        clock.read("quiet", 1)
        assert clock.read("busy", 1_000) == BATCH


def test_after_a_while_an_overlay_counts_as_quiet_and_when_it_is_gone() -> None:
    clock = Clock(cost=TURN / 10)
    for _ in range(100):
        clock.read("a", 1_000)
        clock.read("b", 1_000)
    clock.now += 2 * RECENT
    assert clock.read("a", 1_000) == BATCH
    clock.read("b", 1_000)
    assert clock.read("a", 1_000) < BATCH
    clock.turns.forget("b")
    assert clock.read("a", 1_000) == BATCH
