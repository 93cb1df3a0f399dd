"""Which MTU guests may have, so that their packets reach every known target whole.

It is the path that counts: the MTU of the route from the overlay's address to a target, less what
wrapping takes, and never more than the overlay's links let through. Guests with a larger one work
too, as long as they heed what they are told of packets that are too big.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

from varpd.datapath.base import Datapath, DatapathError, Link, LinkState
from varpd.datapath.encapsulation import ENCAPSULATIONS
from varpd.provider.answers import Target

SLICE: Final = 64
"""Paths that are asked about in one turn of the event loop: about two milliseconds."""


async def guest_mtu(
    datapath: Datapath, link: Link, links: LinkState, remotes: Iterable[Target]
) -> int | None:
    """Return the largest MTU, in bytes, with which packets reach all of `remotes` whole.

    Guests that send VLAN tags have 4 bytes less. None: there are no remotes with a route to them.
    """
    paths: list[int] = []
    for number, address in enumerate({target.ip for target in remotes if target.ip is not None}, 1):
        try:
            paths.append(await datapath.path_mtu(link.listen_ip, address))
        except DatapathError:
            continue  # nothing arrives there, whatever its size
        finally:
            if number % SLICE == 0:
                await asyncio.sleep(0)
    if not paths:
        return None
    overhead = ENCAPSULATIONS[link.encapsulation].overhead(link.listen_ip.version)
    return max(0, min(links.mtu, min(paths) - overhead))
