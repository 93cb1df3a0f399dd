"""What happens, as those hear it who listen over the control socket."""

import asyncio
import time
from collections.abc import AsyncGenerator
from functools import partial
from typing import Final

import msgspec

from varpd.control.streams import JSON_LINES, Feed, Stream
from varpd.daemon import happenings
from varpd.daemon.audience import Audience, Heard

SLICE: Final = 16
"""Records that are put into words in one turn of the event loop: a fraction of a millisecond."""

PAUSE: Final = 0.02
"""Seconds between slices: guests' frames come first. More than 800 records a second are lost."""

_ENCODER: Final = msgspec.json.Encoder()


def listen(audience: Audience, overlay: str | None) -> Stream:
    """Return what happens from now on, in one overlay or in all, as lines of `EventInfo`.

    Raises:
        AudienceFull: as many listen as may.
    """
    feed = audience.listen(overlay)
    return Stream(JSON_LINES, _lines(feed), partial(audience.leave, feed))


async def _lines(feed: Feed[Heard]) -> AsyncGenerator[bytes, None]:
    loop = asyncio.get_running_loop()
    told = 0
    while heard := await feed.take():
        for start in range(0, len(heard), SLICE):
            epoch = time.time() - loop.time()
            yield _ENCODER.encode_lines(
                [
                    info
                    for overlay, record in heard[start : start + SLICE]
                    for info in happenings.infos(overlay, record, epoch)
                ]
            )
            await asyncio.sleep(PAUSE)
        if feed.lost > told:
            lost = happenings.lost_info(feed.lost - told, time.time())
            told = feed.lost
            yield _ENCODER.encode_lines([lost])
