"""A total that overlays share, and that none can take away from the others.

Half of the total is reserved in equal parts, one for each overlay that has a share; the other half
is first come, first served. So an overlay that is flooded leaves the others at least their parts.
"""

from typing import Final

RESERVED: Final = 0.5
"""The part of a total that is reserved."""


class Budget:
    """A total of anything that is counted: bytes, entries, questions."""

    def __init__(self, total: int) -> None:
        """Take what all shares together may use."""
        self.total = total
        self._shares: list[Share] = []
        self._part = 0
        self._excess = 0

    def open(self, limit: int) -> "Share":
        """Return a new share that may use up to `limit`."""
        share = Share(self, limit)
        self._shares.append(share)
        self._divide()
        return share

    def close(self, share: "Share") -> None:
        """Give back a share with all that it uses."""
        share.used = 0
        self._shares.remove(share)
        self._divide()

    def room(self, used: int) -> int:
        """Return how much a share that uses `used` may use more, as far as the total goes."""
        free = max(0, self.total - self._part * len(self._shares) - self._excess)
        return max(0, self._part - used) + free

    def moved(self, before: int, after: int) -> None:
        """Take note that a share's use went from `before` to `after`."""
        self._excess += max(0, after - self._part) - max(0, before - self._part)

    def _divide(self) -> None:
        self._part = int(self.total * RESERVED) // len(self._shares) if self._shares else 0
        self._excess = sum(max(0, share.used - self._part) for share in self._shares)


class Share:
    """One overlay's share of a `Budget`."""

    __slots__ = ("_budget", "limit", "used")

    def __init__(self, budget: Budget, limit: int) -> None:
        """Use `Budget.open`."""
        self._budget = budget
        self.limit = limit
        self.used = 0

    def room(self) -> int:
        """Return how much more may be taken now."""
        return max(0, min(self.limit - self.used, self._budget.room(self.used)))

    def take(self, amount: int) -> None:
        """Use `amount` more, at most what `room` said."""
        self._budget.moved(self.used, self.used + amount)
        self.used += amount

    def give(self, amount: int) -> None:
        """Use `amount` less."""
        self._budget.moved(self.used, self.used - amount)
        self.used -= amount

    def close(self) -> None:
        """Give everything back."""
        self._budget.close(self)
