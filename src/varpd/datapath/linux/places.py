"""Places in a queue that overlays share: none can take them all.

Who has taken as many places as are still free gets no more (a dynamic threshold: Choudhury and
Hahne, "Dynamic queue length thresholds in a shared memory packet switch", 1996). One that takes all
it can has half of them, two have a third each; whoever comes then finds as many free as each has.
"""

import threading


class Places:
    """A bounded number of places; may be used from several threads."""

    def __init__(self, total: int) -> None:
        """Take how many there are."""
        self._total = total
        self._lock = threading.Lock()
        self._taken: dict[str, int] = {}
        self._free = total

    @property
    def taken(self) -> int:
        """Places that are not free."""
        return self._total - self._free

    def take(self, owner: str) -> bool:
        """Take a place for `owner`; False: it has as many as are left."""
        with self._lock:
            has = self._taken.get(owner, 0)
            if has >= self._free:
                return False
            self._taken[owner] = has + 1
            self._free -= 1
            return True

    def give(self, owner: str) -> None:
        """Give back one that was taken for `owner`."""
        with self._lock:
            left = self._taken[owner] - 1
            if left:
                self._taken[owner] = left
            else:
                del self._taken[owner]
            self._free += 1
