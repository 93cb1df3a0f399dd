"""One at a time changes an overlay."""

import pytest

from varpd.control.messages import ControlError, ErrorCode
from varpd.daemon.turn import Turn


@pytest.fixture
def turn() -> Turn:
    return Turn("blue")


async def test_a_change_that_waits_too_long_is_told_that_somebody_else_is_at_it(
    turn: Turn,
) -> None:
    async with turn.taken():
        with pytest.raises(ControlError) as caught:
            async with turn.taken(timeout=0):
                pytest.fail("two change it at once")
    assert caught.value.code is ErrorCode.BUSY


async def test_a_change_that_fails_lets_the_next_one_in(turn: Turn) -> None:
    with pytest.raises(RuntimeError):
        async with turn.taken():
            raise RuntimeError("broken")
    async with turn.taken(timeout=1):
        pass


async def test_who_waited_while_it_was_deleted_is_told_so(turn: Turn) -> None:
    turn.gone = True
    with pytest.raises(ControlError) as caught:
        async with turn.taken():
            pytest.fail("it is gone")
    assert caught.value.code is ErrorCode.NOT_FOUND
