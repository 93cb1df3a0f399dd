"""MACs that guests here send from: is one of them another host's?

A guest could draw the traffic of a MAC that nobody has asked about yet, by sending from it: the
bridge would know where the MAC is and punt nothing. So the plugin is asked about each MAC that the
bridge learns on a guest's port. One that is elsewhere is installed, which takes it back; what is
not known to be elsewhere leaves no entry.
"""

from typing import Final

from varpd.engine.agenda import Verify
from varpd.engine.commands import Command
from varpd.engine.events import Failed
from varpd.engine.overlay import Overlay
from varpd.engine.settings import Mode
from varpd.provider.answers import Answer, Target
from varpd.provider.query import REFRESH, Query
from varpd.targets.entries import Pending, Waiting

NO_ROOM_RETRY: Final = 1.0
"""Seconds until MACs are tried again for which there was no room."""

FAILED_RETRY: Final = 10.0
"""Seconds until a MAC is asked about again after a failure."""


class Verification:
    """Asks about the MACs of one overlay's guests."""

    def __init__(self, overlay: Overlay) -> None:
        """Begin with nothing to ask."""
        self._overlay = overlay
        self._asked: set[Query] = set()
        self._later: set[bytes] = set()

    def begin(self, macs: list[bytes], now: float, out: list[Command]) -> None:
        """Ask about MACs that guests here send from."""
        overlay = self._overlay
        if not overlay.running or overlay.settings.mode is not Mode.DYNAMIC:
            return
        unknown = [mac for mac in macs if mac not in overlay.entries]
        # Guests choose what they send from, so half of what is free is left to frames that wait.
        room = min(overlay.shares.lookups.room(), overlay.shares.targets.room()) // 2
        queries = []
        for mac in unknown[:room]:
            query = Query(mac, overlay.settings.vnetid, None, 0, REFRESH)
            overlay.put(mac, Pending(query, Waiting([], 0)))
            queries.append(query)
        self._asked.update(queries)
        overlay.start(queries, out)
        self._try_later(unknown[room:], now + NO_ROOM_RETRY)

    def again(self, now: float, out: list[Command]) -> None:
        """Ask about those that could not be asked about, and that guests still send from."""
        macs, self._later = self._later & self._overlay.learned, set()
        self.begin(list(macs), now, out)

    def stop(self) -> None:
        """Forget what was asked; the answers will not count."""
        self._asked.clear()

    def finish(self, query: Query) -> bool:
        """Return whether a question that has its final answer is one of these."""
        if query not in self._asked:
            return False
        self._asked.discard(query)
        return True

    def is_guests(self, query: Query, answer: Answer | Failed, now: float) -> bool:
        """Return whether a MAC is left to its guest; it is then forgotten.

        It is not if it is elsewhere, or if frames wait for it.
        """
        overlay = self._overlay
        mac = query.key
        if isinstance(answer, Target) and not overlay.here.has(answer):
            return False
        entry = overlay.entries.get(mac)
        if not isinstance(entry, Pending) or entry.waiting.packets:
            return False
        overlay.forget(mac)
        if isinstance(answer, Failed):
            self._try_later([mac], now + FAILED_RETRY)
        return True

    def _try_later(self, macs: list[bytes], due: float) -> None:
        """Have MACs asked about at a time, or sooner together with others."""
        if macs and not self._later:
            self._overlay.agenda.plan(due, Verify())
        self._later.update(macs)
