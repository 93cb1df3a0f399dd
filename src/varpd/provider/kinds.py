"""What an encapsulation must be told of a destination."""

import enum
from itertools import combinations
from typing import Final


class DestinationKind(enum.Flag):
    """The parts of a destination that an encapsulation needs and a plugin supplies.

    VXLAN and Geneve need ``IP | PORT``, NVGRE needs ``IP``.
    """

    ETHERNET = 1
    """A MAC address in the underlay."""

    IP = 2
    """An IP address in the underlay."""

    PORT = 4
    """A transport port in the underlay."""

    def __str__(self) -> str:
        """Return the kinds as people write them, such as ``IP+PORT``."""
        return "+".join(kind.name or "" for kind in type(self) if kind in self) or "nothing"


COMBINATIONS: Final = tuple(
    DestinationKind(sum(kind.value for kind in kinds))
    for size in range(1, len(DestinationKind) + 1)
    for kinds in combinations(DestinationKind, size)
)
"""Everything that an encapsulation may need, the least first."""
