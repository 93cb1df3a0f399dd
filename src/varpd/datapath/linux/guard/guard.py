"""The guard at work: a thread that hears of changes, looks after our rules, and proves ways.

What is amiss with an overlay is told as one text, which is empty again when all is well.
"""

import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from varpd.datapath.linux.guard import antispoof
from varpd.datapath.linux.guard.forwarding import Forwarding
from varpd.datapath.linux.guard.rules import Guarded
from varpd.datapath.linux.guard.snapshot import Connection
from varpd.datapath.linux.guard.tables import GuardTables
from varpd.datapath.linux.guard.watch import Heard, Watch
from varpd.datapath.linux.nft.session import Session

PERIOD: Final = 60.0
"""Seconds after which everything is looked at, whether anything was heard or not."""

SETTLE: Final = 1.0
"""Seconds after a change of somebody's rules until ways are proved: more changes may follow."""

RETRY: Final = 5.0
"""Seconds until something that failed is tried again."""

log: Final = structlog.get_logger(__name__)

Tell = Callable[[str, str | None], None]
"""Takes an overlay and what is amiss with its protection, or None; called from any thread."""


Prove = Callable[[str], str | None]
"""Proves that an overlay's frames get to varpd, or finds another way; returns what is amiss."""

Probe = Callable[[int], None]
"""Sends a packet of a family, 4 or 6, over overlays' bridges."""


class Guard:
    """Guards overlays from `start` to `stop`; `put` and `remove` may be called from any thread."""

    def __init__(self, tell: Tell, connect: Callable[[], Connection] = Session) -> None:
        """Take whom to tell, and what returns a connection to nftables."""
        self.tables = GuardTables(connect)
        """The rules."""

        self._tell = tell
        self._prove: Prove | None = None
        self._probe: Probe | None = None
        self._proving = threading.Lock()
        self._forwarding = Forwarding(self.tables.counts)
        self._faults: dict[str, dict[str, str]] = {}
        self._told: dict[str, str] = {}
        self._lock = threading.Lock()
        self._watch: Watch | None = None
        self._thread: threading.Thread | None = None
        self._wake_read, self._wake_write = -1, -1
        self._stopping = False
        self._next: dict[str, float] = {}
        """When each overlay's way is proved again."""

        self._next_check = 0.0
        self._next_forwarding = 0.0

    def start(self, prove: Prove, probe: Probe | None = None) -> None:
        """Begin; `prove` and `probe` are called in the guard's thread."""
        self._prove, self._probe = prove, probe
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        # Without nftables there is nothing to hear of, which is said of each overlay.
        with suppress(OSError):
            self._watch = Watch()
        self._next_check = time.monotonic() + PERIOD
        self._thread = threading.Thread(target=self._run, name="guard")
        self._thread.start()

    def stop(self) -> None:
        """End; the rules stay, and protect."""
        self._stopping = True
        if self._thread is not None:
            self._wake()
            self._thread.join()
            self._thread = None
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        for end in (self._wake_read, self._wake_write):
            if end >= 0:
                os.close(end)
        self._wake_read = self._wake_write = -1
        self.tables.close()

    def put(self, item: Guarded) -> None:
        """Guard an overlay, or guard it otherwise; what cannot be had is told, not raised."""
        try:
            self.tables.put(item)
        except OSError as error:
            self.fault(item.overlay, "rules", no_rules(error))
        else:
            self.fault(item.overlay, "rules", None)
        lacking = self.tables.lacking
        amiss = lacking is not None and antispoof.is_wanted(item)
        self.fault(item.overlay, "antispoof", no_antispoof(lacking) if amiss else None)

    def prove(self, overlay: str) -> None:
        """Prove the way of an overlay's frames from now on."""
        with self._lock:
            self._next[overlay] = time.monotonic() + PERIOD
        self._wake()

    def let_go(self, overlay: str) -> None:
        """Look after an overlay no more; its rules stay. Waits for a proof that is under way."""
        with self._proving:
            self.forget(overlay)

    def forget(self, overlay: str) -> None:
        """Take what was told of an overlay for gone."""
        with self._lock:
            self._next.pop(overlay, None)
            self._faults.pop(overlay, None)
            self._told.pop(overlay, None)

    def remove(self, overlay: str) -> None:
        """Guard an overlay no more, whose links are gone.

        Raises:
            OSError: the kernel refuses.
        """
        self.forget(overlay)
        self.tables.remove(overlay)

    def fault(self, overlay: str, part: str, message: str | None) -> None:
        """Note that a part of an overlay's protection is amiss, or no longer."""
        with self._lock:
            mine = self._faults.setdefault(overlay, {})
            if message is None:
                mine.pop(part, None)
            else:
                mine[part] = message
            text = "; ".join(mine[part] for part in sorted(mine))
            if self._told.get(overlay, "") == text:
                return
            self._told[overlay] = text
        self._tell(overlay, text or None)

    def _wake(self) -> None:
        with suppress(OSError):
            os.write(self._wake_write, b"\0")

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        if self._watch is not None:
            poll.register(self._watch.fileno(), select.POLLIN)
        while not self._stopping:
            poll.poll(max(0.0, self._deadline() - time.monotonic()) * 1000)
            with suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
            try:
                self._turn()
            except Exception:
                log.exception("internal error in the guard")

    def _deadline(self) -> float:
        with self._lock:
            return min(
                [self._next_check, self._next_forwarding or self._next_check, *self._next.values()]
            )

    def _turn(self) -> None:
        heard = Heard() if self._watch is None else self._watch.read(self.tables.port)
        now = time.monotonic()
        if heard.anything:
            with self._lock:
                self._next = dict.fromkeys(self._next, now + SETTLE)
            self._forwarding.changed()
            self._next_forwarding = now
        if heard.ours or now >= self._next_check:
            self._check(heard)
        if now >= self._next_forwarding:
            self._look_at_forwarding()
        self._prove_due()

    def _check(self, heard: Heard) -> None:
        """Put our tables right."""
        self._next_check = time.monotonic() + PERIOD
        with self._lock:
            overlays = list(self._faults)
        try:
            sound = self.tables.check()
        except OSError as error:
            self._next_check = time.monotonic() + RETRY
            for overlay in overlays:
                self.fault(overlay, "rules", no_rules(error))
            return
        if not sound:
            log.warning("repaired firewall rules", changed_by=sorted(heard.makers) or "unknown")
        for overlay in overlays:
            self.fault(overlay, "rules", None)
            if self.tables.lacking is None:
                self.fault(overlay, "antispoof", None)

    def _look_at_forwarding(self) -> None:
        self._next_forwarding = time.monotonic() + RETRY
        try:
            message = self._forwarding.look(self._probe)
        except OSError as error:
            log.debug("cannot count bridged frames", error=str(error))
            return
        with self._lock:
            overlays = list(self._faults)
        for overlay in overlays:
            self.fault(overlay, "forwarding", message)

    def _prove_due(self) -> None:
        now = time.monotonic()
        with self._lock:
            due = sorted(name for name, when in self._next.items() if when <= now)
        for overlay in due:
            if self._stopping:
                return
            with self._proving:
                if self._prove is None or overlay not in self._next:
                    continue
                self._next[overlay] = time.monotonic() + RETRY
                message = self._prove(overlay)
                again = PERIOD if message is None else RETRY
                with self._lock:
                    self._next[overlay] = time.monotonic() + again
                self.fault(overlay, "way", message)


def no_rules(error: OSError) -> str:
    """Return what is missing where our rules cannot be had."""
    return (
        f"the kernel does not take the guard's rules ({error.strerror or error}): guests may reach "
        "this host and by it other overlays, and anybody who reaches this host may send frames "
        "into the overlay; is nf_tables there?"
    )


def no_antispoof(error: OSError | None) -> str:
    """Return what is missing where there are no rules of the family bridge."""
    why = "" if error is None else f" ({error.strerror or error})"
    return (
        f"the kernel does not take rules of the family bridge{why}: antispoof is not in force, "
        "guests may send as anybody; is CONFIG_NF_TABLES_BRIDGE set?"
    )
