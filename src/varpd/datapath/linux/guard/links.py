"""What of the guard is in the links themselves: frames to reserved addresses are bridged.

A bridge hands frames to 01:80:c2:00:00:00 to 0f to the host by the port that they came by, past the
rules at the bridge itself.
"""

from collections.abc import Iterable

from varpd.datapath.linux.kernel import Kernel
from varpd.datapath.linux.links import PORT_FORWARDS


def close_ports(kernel: Kernel, ports: Iterable[int]) -> str | None:
    """Have ports of an overlay's bridge give nothing to the host; return what is amiss."""
    for port in ports:
        try:
            kernel.set_port_forwarding(port, PORT_FORWARDS)
        except OSError as error:
            if kernel.link_at(port) is None:
                continue
            return (
                "the kernel does not let ports of the bridge forward all frames "
                f"({error.strerror or error}): those to 01:80:c2:00:00:02 reach this host"
            )
    return None
