"""How many entries a table has in each state."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from varpd.targets.entries import Entry, Refreshing, Valid, state_of

ROWS: Final = "rows"
"""Name under which MACs are counted whose rows the kernel should have."""

AMISS: Final = "amiss"
"""Name under which those of them are counted that do not have the rows, as far as is known."""

STATES: Final = ("valid", "refreshing", "stale", "blocked", "negative", "pending")
"""The states that entries are counted by; ``stale`` is VALID after a refresh that failed."""


def census(entries: Iterable[Entry]) -> Counter[str]:
    """Return how many entries are in each of `STATES`, and how many want `ROWS`."""
    found: Counter[str] = Counter()
    for entry in entries:
        if type(entry) is Valid:
            found["stale" if entry.stale else "valid"] += 1
            found[ROWS] += not entry.local
        elif type(entry) is Refreshing:
            found["refreshing"] += 1
            found[ROWS] += not entry.valid.local
        else:
            found[state_of(entry).value] += 1
    return found
