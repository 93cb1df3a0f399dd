"""Whether another firewall drops what guests of one bridge send each other.

With br_netfilter the host's forward rules hold for bridged packets, too; where their policy is to
drop (Docker sets it), IPv4 between guests and punts of unknown IPv4 frames are lost in silence.

Two chains of ours count bridged packets, one before everybody's rules and one behind. What got past
all rules is a proof; packets of which none got past, or a policy to drop without such a proof, is
what has to be told.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from varpd.datapath.linux.guard import policies

SWITCHES: Final = (
    Path("/proc/sys/net/bridge/bridge-nf-call-iptables"),
    Path("/proc/sys/net/bridge/bridge-nf-call-ip6tables"),
)
"""What makes bridged packets go through the host's rules, in the reader's network namespace."""

MESSAGE: Final = (
    "forward rules of this host drop packets between guests (br_netfilter): set "
    "net.bridge.bridge-nf-call-iptables and net.bridge.bridge-nf-call-ip6tables to 0, or have the "
    "chain whose policy drops them accept what is bridged, such as: "
    "iptables -I FORWARD -m physdev --physdev-is-bridged -j ACCEPT"
)


class Forwarding:
    """Judges by what is switched on, by policies, and by what was counted."""

    def __init__(
        self,
        counts: Callable[[], tuple[int, int]],
        switched_on: Callable[[], bool] | None = None,
        drops: Callable[[], bool] = policies.forward_drops,
    ) -> None:
        """Take what counts packets before and behind all rules, and what tells the rest."""
        self._counts = counts
        self._switched_on = switched_on or _switched_on
        self._drops = drops
        self._before: tuple[int, int] | None = None
        self._proved = False
        self._lost = False

    def changed(self) -> None:
        """Take note that rules changed: what was proved or lost before says nothing."""
        self._proved = self._lost = False
        self._before = None

    def look(self) -> str | None:
        """Return what is amiss, or None.

        Raises:
            OSError: it cannot be found out.
        """
        if not self._switched_on():
            self.changed()
            return None
        seen, passed = self._counts()
        # Of packets before the rules were as they are, nothing follows.
        old_seen, old_passed = self._before or (seen, passed)
        self._before = (seen, passed)
        if passed > old_passed:
            self._proved, self._lost = True, False
        elif seen > old_seen:
            self._proved, self._lost = False, True
        if self._lost or (not self._proved and self._drops()):
            return MESSAGE
        return None


def _switched_on() -> bool:
    for file in SWITCHES:
        try:
            if file.read_text(encoding="ascii").strip() == "1":
                return True
        except OSError:
            continue
    return False
