"""An overlay that is defined but not at work: not restored yet, or not wholly deleted."""

import asyncio
import time
from typing import Final

from varpd.control.messages import ControlError, ErrorCode
from varpd.daemon.degradation import Cause, CauseKind
from varpd.daemon.turn import Turn
from varpd.store.base import Phase, StoredOverlay

BEING_RESTORED: Final = "it is being restored"
"""Why an overlay is not at work before the first attempt is over."""


class Waiting:
    """What is known of an overlay that is not at work.

    Its links and rows, where it has any, are as the last daemon left them, and carry traffic.
    """

    def __init__(self, record: StoredOverlay, turn: Turn, why: str = BEING_RESTORED) -> None:
        """Take what is stored of it, whose turn it is, and why it does not work."""
        self.record = record
        self.turn = turn
        self.tried = asyncio.Event()
        """Set when an attempt to bring it to work, or to delete it, is over."""
        self.failed(why)

    @property
    def name(self) -> str:
        """Its name."""
        return self.record.name

    @property
    def deleting(self) -> bool:
        """Whether it is to go, rather than to work."""
        return self.record.phase is not Phase.MADE

    @property
    def why(self) -> str:
        """Why it does not work."""
        return self.cause.message

    def failed(self, why: str) -> None:
        """Note why it does not work."""
        self.cause = Cause(CauseKind.RESTORE, why, time.time())

    def check_stays(self) -> None:
        """Check that it is not about to go.

        Raises:
            ControlError: it is.
        """
        if self.deleting:
            message = f"overlay {self.name} is being deleted: {self.why}"
            raise ControlError(ErrorCode.FAILED, message)
