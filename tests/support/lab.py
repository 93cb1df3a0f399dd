"""Hosts with real daemons on an underlay, and guests on their overlays.

    with Lab() as lab:                                   # or Lab(6): IPv6 underlay
        a, b = lab.hosts("a", "b")                       # namespaces, each with its own varpd
        web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
        assert web.ping(db.ipv4).lost == 0               # cold, over IPv4
        assert web.ping(db.ipv6, 10).lost == 0
        assert a.varpd.targets("blue")[0]["mac"] == str(db.mac)

Step by step, which leaves more to the test:

        file = lab.mapping_file("green.json")            # written by rename, whenever it changes
        file.put(lab.identity("web"), a)                 # the same name is always the same guest
        file.put(lab.identity("db"), b, router=True)
        for host in (a, b):
            host.create("green", 8, "files", f"files/config={file.path}")
        web = a.attach("green", "web")                   # or mac=..., ips=[...], mtu=..., dad=True
        db = b.attach("green", "db")
        file.put(db.identity, a)                         # the guest's new place ...
        a.move(db, "green")                              # ... to which it is brought

A plugin of the test's own is a file in `host.varpd.plugins`, put there before the daemon starts:

        a, b = lab.hosts("a", "b", plugins=[numbered_plugins.__file__])

`host.overlayadm("show", "-f")`, `host.varpd.kill()`, `host.varpd.send(SIGHUP)`,
`host.run("bridge", "fdb", "show")`, `guest.run(...)`, `guest.popen(...)`,
`guest.counter("TcpRetransSegs")`; `wait_for` of `support.waiting` waits for what takes its time.
The end of the block removes everything, and prints what the daemons logged, which pytest shows
when the test has failed. A daemon that does not end well fails the test.

Needs root, in the machine or in a user namespace (then with a file system of its own on /run).
Needs no pytest.
"""

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from ipaddress import ip_interface
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from support.guests import Guest, Identity
from support.namespaces import Namespace, connect
from support.varpd_process import VarpdProcess
from varpd.net.addresses import MacAddress

UNDERLAY: Final = "eth0"
"""The name of a host's interface to the underlay."""

CONFIG: Final = '[daemon]\nlog_format = "text"\n'
"""The configuration of a daemon unless the test gives another."""


class MappingFile:
    """A file of plugin `files`; each change replaces it by a rename."""

    def __init__(self, path: Path) -> None:
        """Begin with no mappings."""
        self.path = path
        self.mappings: dict[str, dict[str, Any]] = {}
        self.write()

    def put(self, guest: Identity, host: "Host", **more: Any) -> None:
        """Say that a guest is on a host; `more` are other keys, such as `router=True`."""
        self.mappings[str(guest.mac)] = guest.mapping(host.address, **more)
        self.write()

    def remove(self, guest: Identity) -> None:
        """Forget a guest."""
        del self.mappings[str(guest.mac)]
        self.write()

    def write(self) -> None:
        """Replace the file by one with what `mappings` holds."""
        new = self.path.with_name(f"{self.path.name}.new")
        new.write_text(json.dumps(self.mappings, indent=1), encoding="utf-8")
        new.rename(self.path)


class Host:
    """A host: a namespace on the underlay with a daemon."""

    def __init__(self, lab: "Lab", name: str, number: int, config: str) -> None:
        """Made by `Lab.host`."""
        self.name = name
        self.ipv4 = f"192.0.2.{number}"
        self.ipv6 = f"2001:db8::{number:x}"
        self.address = self.ipv4 if lab.family == 4 else self.ipv6
        """Where it receives wrapped frames."""
        self.namespace = Namespace(name)
        self.varpd = VarpdProcess(self.namespace, lab.directory / name, config)
        self._lab = lab

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command on the host and return what it said."""
        return self.namespace.run(*command, check=check)

    def overlayadm(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `overlayadm` on the host."""
        return self.varpd.overlayadm(*arguments, check=check)

    def create(
        self, name: str, vnetid: int, search: str, *properties: str, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Create an overlay; `properties` as `NAME=VALUE`, the listen address comes by itself."""
        given = (f"vxlan/listen_ip={self.address}", *properties)
        return self.varpd.create(name, vnetid, search, given, check=check)

    def attach(
        self,
        overlay: str,
        name: str,
        *,
        mac: str | None = None,
        ips: Sequence[str] | None = None,
        mtu: int = 1500,
        dad: bool = False,
    ) -> Guest:
        """Make a guest and put it on an overlay.

        Args:
            overlay: the overlay, whose bridge must be there.
            name: the guest's name, which says who it is, as `Lab.identity` has it.
            mac: another MAC than that.
            ips: other addresses, each with its prefix length.
            mtu: of both ends of its cable.
            dad: whether it looks for duplicate IPv6 addresses.
        """
        identity = self._lab.identity(name)
        if mac is not None or ips is not None:
            identity = Identity(
                name,
                identity.mac if mac is None else MacAddress.parse(mac),
                identity.ips if ips is None else tuple(ip_interface(item) for item in ips),
            )
        guest = self._lab.keep(Guest(identity, mtu, dad=dad))
        guest.plug(self.namespace, overlay)
        return guest

    def move(self, guest: Guest, overlay: str) -> None:
        """Bring a guest of another host to this one."""
        guest.move(self.namespace, overlay)


class Lab:
    """Hosts on one underlay; all that it made goes when the block ends."""

    def __init__(
        self, family: Literal[4, 6] = 4, *, underlay_mtu: int = 1500, show_logs: bool = True
    ) -> None:
        """Take the IP version of the underlay, its MTU, and whether logs are printed at the end."""
        self.family = family
        self.underlay = Namespace("underlay")
        self._underlay_mtu = underlay_mtu
        self._show_logs = show_logs
        self._hosts: dict[str, Host] = {}
        self._identities: dict[str, Identity] = {}
        self._files: dict[str, MappingFile] = {}
        self._stack = contextlib.ExitStack()
        self._directory = ""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="varpd-lab-"))
            stack.enter_context(self.underlay)
            self.underlay.run("ip", "link", "add", "underlay", "type", "bridge")
            self.underlay.run("ip", "link", "set", "underlay", "up")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:
            failures = self._stop_hosts()
            if self._show_logs:
                print(self.logs())
        if failures and error is None:
            raise AssertionError("; ".join(failures))

    def _stop_hosts(self) -> list[str]:
        """End the daemons; return what went wrong."""
        failures = []
        for host in self._hosts.values():
            try:
                status = host.varpd.stop()
            except AssertionError as error:
                failures.append(f"{host.name}: {error}")
            else:
                if status != 0:
                    failures.append(f"{host.name}: varpd ended with status {status}")
        return failures

    @property
    def directory(self) -> Path:
        """A directory for files of the test; only the user may enter it."""
        return Path(self._directory)

    def logs(self) -> str:
        """Return what all daemons have logged."""
        return "\n".join(
            f"--- log of varpd on host {host.name}\n{host.varpd.log()}"
            for host in self._hosts.values()
        )

    def hosts(self, *names: str, plugins: Sequence[str] = ()) -> list[Host]:
        """Make hosts, start their daemons together and wait until all are ready.

        `plugins` are files that the daemons load as plugins.
        """
        hosts = [self.host(name, start=False) for name in names]
        for host in hosts:
            for plugin in plugins:
                host.varpd.install(plugin)
            host.varpd.start(wait=False)
        for host in hosts:
            host.varpd.wait_until_ready()
        return hosts

    def host(self, name: str, *, config: str = CONFIG, start: bool = True) -> Host:
        """Make a host; its number, 1 for the first, is the end of its addresses."""
        number = len(self._hosts) + 1
        host = Host(self, name, number, config)
        namespace = self._stack.enter_context(host.namespace)
        port = f"host{number}"
        connect(self.underlay, port, namespace, UNDERLAY)
        self.underlay.run("ip", "link", "set", "dev", port, "master", "underlay")
        for end, device in ((self.underlay, port), (namespace, UNDERLAY)):
            end.run("ip", "link", "set", "dev", device, "mtu", str(self._underlay_mtu))
        namespace.run("ip", "address", "add", f"{host.ipv4}/24", "dev", UNDERLAY)
        namespace.run("ip", "address", "add", f"{host.ipv6}/64", "dev", UNDERLAY, "nodad")
        self._hosts[name] = host
        if start:
            host.varpd.start()
        return host

    def identity(self, name: str) -> Identity:
        """Return who the guest `name` is: always the same in one lab."""
        number = len(self._identities) + 1
        return self._identities.setdefault(name, Identity.usual(name, number))

    def keep(self, guest: Guest) -> Guest:
        """Make a guest's namespace, which goes with the lab."""
        return self._stack.enter_context(guest)

    def mapping_file(self, name: str) -> MappingFile:
        """Return a file for plugin `files`, without mappings at first; a name is one file."""
        if name not in self._files:
            self._files[name] = MappingFile(self.directory / name)
        return self._files[name]

    def files_overlay(
        self, name: str, vnetid: int, guests: Mapping[str, Host], *properties: str
    ) -> list[Guest]:
        """Make an overlay from a mapping file, and its guests.

        The file is `lab.mapping_file("NAME.json")`, complete before anything else is made. The
        overlay is created on every host whose daemon runs, also on those without guests.
        """
        file = self.mapping_file(f"{name}.json")
        file.mappings.clear()
        for guest, host in guests.items():
            file.put(self.identity(guest), host)
        for host in self._hosts.values():
            if host.varpd.process is not None:
                host.create(name, vnetid, "files", f"files/config={file.path}", *properties)
        return [host.attach(name, guest) for guest, host in guests.items()]
