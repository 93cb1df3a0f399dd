"""The text that Prometheus scrapes, in pieces that hold the event loop only for a moment.

The library makes the text of a whole family at once; with a thousand overlays one family has tens
of thousands of samples. So each is cut into slices, and every slice is made as a family of its own
whose headers are left away but for the first.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

MEDIA: Final = CONTENT_TYPE_PLAIN_0_0_4
"""The media type of the text."""

SLICE: Final = 250
"""Samples of a piece at most: about a millisecond's work."""

_HEADERS: Final = 2
"""Lines in front of a family's samples: what it means, and its type."""


class _Part(Collector):
    """One slice of a family, as the library takes it."""

    def __init__(self, family: Metric, start: int) -> None:
        self._part = Metric(family.name, family.documentation, family.type, family.unit)
        self._part.samples = family.samples[start : start + SLICE]

    def collect(self) -> Iterable[Metric]:
        """Return the slice."""
        return [self._part]


def render(families: Iterable[Metric]) -> Iterator[bytes]:
    """Yield the text of families piece by piece.

    Those of one name that follow each other are parts of one family. A family without samples has
    no text.
    """
    name = ""
    for family in families:
        for start in range(0, len(family.samples), SLICE):
            text = generate_latest(_Part(family, start))
            yield text.split(b"\n", _HEADERS)[_HEADERS] if family.name == name else text
            name = family.name
