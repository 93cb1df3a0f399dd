"""Which targets the entries of a table have, and how many have each."""

from collections.abc import Iterator

from varpd.provider.answers import Target


class TargetUses:
    """The distinct targets of a table, known without looking at its entries."""

    def __init__(self) -> None:
        self._counts: dict[Target, int] = {}

    def __iter__(self) -> Iterator[Target]:
        """Yield each target that an entry has."""
        return iter(self._counts)

    def add(self, target: Target, count: int) -> None:
        """Note that `count` more entries have a target."""
        self._counts[target] = self._counts.get(target, 0) + count

    def replace(self, old: tuple[Target, ...], new: tuple[Target, ...]) -> None:
        """Note that an entry with the targets `old` now has the targets `new`.

        Raises:
            KeyError: no entry has one of `old`.
        """
        counts = self._counts
        for target in new:
            counts[target] = counts.get(target, 0) + 1
        for target in old:
            left = counts[target] - 1
            if left:
                counts[target] = left
            else:
                del counts[target]
