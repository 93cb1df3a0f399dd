"""What is known of an overlay that is not at work."""

import pytest

from support.stores import overlay
from varpd.control.messages import ControlError
from varpd.daemon.degradation import CauseKind
from varpd.daemon.turn import Turn
from varpd.daemon.waiting import BEING_RESTORED, Waiting
from varpd.store.base import Phase


async def test_until_it_was_tried_it_is_being_restored() -> None:
    waiting = Waiting(overlay("blue"), Turn("blue"))
    assert (waiting.name, waiting.why, waiting.deleting) == ("blue", BEING_RESTORED, False)
    assert waiting.cause.cause is CauseKind.RESTORE
    waiting.check_stays()


async def test_it_says_why_the_last_attempt_failed() -> None:
    waiting = Waiting(overlay("blue"), Turn("blue"))
    waiting.failed("no file")
    assert waiting.cause.message == waiting.why == "no file"


@pytest.mark.parametrize("phase", [Phase.MAKING, Phase.DELETING])
async def test_what_is_to_go_is_not_changed(phase: Phase) -> None:
    waiting = Waiting(overlay("blue", phase=phase), Turn("blue"), "the kernel refuses")
    with pytest.raises(ControlError, match="blue is being deleted: the kernel refuses"):
        waiting.check_stays()
