"""What servers have said, kept for a while; pure."""

from collections import OrderedDict
from typing import Final, Generic, TypeVar

MAX_ENTRIES: Final = 65_536
"""Answers kept at most; the ones that were given or confirmed longest ago go first."""

K = TypeVar("K")
V = TypeVar("V")


class Memory(Generic[K, V]):
    """Answers by what was asked; `now` is in seconds of a clock that never goes back."""

    def __init__(self, limit: int = MAX_ENTRIES) -> None:
        """Take how many are kept."""
        self._limit = limit
        self._known: OrderedDict[K, tuple[V, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def put(self, key: K, value: V, now: float) -> None:
        """Keep an answer."""
        self._known[key] = (value, now)
        self._known.move_to_end(key)
        if len(self._known) > self._limit:
            self._known.popitem(last=False)

    def get(self, key: K, now: float, age: float | None = None) -> V | None:
        """Return the answer, if there is one that was given within `age` seconds."""
        found = self._known.get(key)
        if found is None or (age is not None and now - found[1] >= age):
            return None
        return found[0]

    def forget(self, key: K) -> V | None:
        """Keep it no longer; return what it was."""
        found = self._known.pop(key, None)
        return None if found is None else found[0]

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()
