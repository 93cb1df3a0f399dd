"""Whether another firewall drops what guests of one bridge send each other.

With br_netfilter the host's forward rules hold for bridged packets, too; where their policy is to
drop (Docker sets it), IPv4 between guests and punts of unknown IPv4 frames are lost in silence.

Two chains of ours count bridged packets, one before everybody's rules and one behind, each family
by itself. What got past all rules is a proof; packets of which none got past, or a policy to drop
without such a proof, is what has to be told. Before that, a packet of our own is sent: it may be
the proof, and needs no guest that happens to speak.
"""

import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

from varpd.datapath.linux.guard import policies

COMMANDS: Final = {4: "iptables", 6: "ip6tables"}
"""The commands that make rules for a family."""

SWITCHES: Final = {
    family: Path("/proc/sys/net/bridge", f"bridge-nf-call-{command}")
    for family, command in COMMANDS.items()
}
"""What makes bridged packets of a family go through the host's rules, in the reader's namespace."""

PATIENCE: Final = 0.1
"""Seconds that a packet of our own may take over a bridge."""

_STEP: Final = 0.01

Counts = Mapping[int, tuple[int, int]]
"""How many packets of each family came before all rules, and how many got past them."""


class Forwarding:
    """Judges by what is switched on, by policies, and by what was counted."""

    def __init__(
        self,
        counts: Callable[[], Counts],
        switched_on: Callable[[], Collection[int]] | None = None,
        drops: Callable[[], Collection[int]] = policies.forward_drops,
    ) -> None:
        """Take what counts packets before and behind all rules, and what tells the rest.

        `switched_on` and `drops` return families, 4 and 6.
        """
        self._counts = counts
        self._switched_on = switched_on or _switched_on
        self._drops = drops
        self._families = {family: _Family() for family in SWITCHES}

    def changed(self) -> None:
        """Take note that rules changed: what was proved or lost before says nothing."""
        self._families = {family: _Family() for family in SWITCHES}

    def look(self, probe: Callable[[int], None] | None = None) -> str | None:
        """Return what is amiss, or None; with a `probe` it takes up to `PATIENCE`.

        Args:
            probe: sends a packet of a family over bridges.

        Raises:
            OSError: it cannot be found out.
        """
        on = self._switched_on()
        for family in self._families.keys() - set(on):
            self._families[family] = _Family()
        amiss = self._amiss(on)
        if not amiss or probe is None:
            return message(amiss)
        for family in sorted(amiss):
            probe(family)
        deadline = time.monotonic() + PATIENCE
        while (amiss := self._amiss(on)) and time.monotonic() < deadline:
            time.sleep(_STEP)
        return message(amiss)

    def _amiss(self, on: Collection[int]) -> set[int]:
        """Return the families of which packets are lost, as far as is known."""
        if not on:
            return set()
        counts = self._counts()
        judged = {
            family: self._families[family].judge(*counts.get(family, (0, 0))) for family in on
        }
        unsure = {family for family, passes in judged.items() if passes is None}
        dropped = set(self._drops()) if unsure else set()
        return {family for family, passes in judged.items() if passes is False} | unsure & dropped


class _Family:
    """What the counts of one family say."""

    def __init__(self) -> None:
        self._before: tuple[int, int] | None = None
        self._passes: bool | None = None

    def judge(self, seen: int, passed: int) -> bool | None:
        """Return whether packets get past all rules; None: nothing says so or otherwise."""
        # Of packets before the rules were as they are, nothing follows.
        old_seen, old_passed = self._before or (seen, passed)
        self._before = (seen, passed)
        if passed > old_passed:
            self._passes = True
        elif seen > old_seen:
            self._passes = False
        return self._passes


def message(families: Collection[int]) -> str | None:
    """Return what is amiss and what to do where packets of `families` are lost; None: of none."""
    if not families:
        return None
    lost = sorted(families)
    packets = " and ".join(f"IPv{family}" for family in lost)
    switches = " and ".join(f"net.bridge.{SWITCHES[family].name}" for family in lost)
    rules = "; ".join(
        f"{COMMANDS[family]} -I FORWARD -m physdev --physdev-is-bridged -j ACCEPT"
        for family in lost
    )
    return (
        f"forward rules of this host drop {packets} packets between guests (br_netfilter): set "
        f"{switches} to 0, or have the chain whose policy drops them accept what is bridged, such "
        f"as: {rules}"
    )


def _switched_on() -> set[int]:
    on = set()
    for family, file in SWITCHES.items():
        try:
            if file.read_text(encoding="ascii").strip() == "1":
                on.add(family)
        except OSError:
            continue
    return on
