"""A lab for all tests of a file: daemons start once, and each test makes its own overlays."""

import contextlib
import json
from collections.abc import Iterator, Sequence

from support.lab import Host
from varpd.control.client import Client


@contextlib.contextmanager
def overlays_of_a_test(hosts: Sequence[Host]) -> Iterator[None]:
    """At the end remove overlays and guests, and print what the daemons logged meanwhile."""
    before = [len(host.varpd.log()) for host in hosts]
    yield
    for host, length in zip(hosts, before, strict=True):
        print(f"--- log of varpd on host {host.name}\n{host.varpd.log()[length:]}")
        with Client(str(host.varpd.socket)) as client:
            for overlay in client.overlays():
                client.delete(overlay.name)
        for link in json.loads(host.run("ip", "-json", "link", "show", "type", "veth").stdout):
            if link["ifname"].startswith("port-"):
                host.run("ip", "link", "delete", link["ifname"])
