"""The configuration file, varpd.toml: a tree of sections, each a class here.

Defaults stand here and nowhere else. A file is taken whole or refused whole, with every fault in
it named by its path.
"""

import dataclasses
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, Final, Self

from varpd.control.messages import GROUP
from varpd.daemon import catalogue, log
from varpd.daemon.loader import DEFAULT_DIRECTORY
from varpd.datapath.encapsulation import ENCAPSULATIONS
from varpd.engine.settings import Totals
from varpd.net.addresses import IpAddress, parse_ip
from varpd.provider.errors import PropertyInvalid
from varpd.provider.properties import Property, Protection, Value, load

DEFAULT_PATH: Final = Path("/etc/varpd/varpd.toml")
"""Where the configuration is looked for unless a path is given."""

MAX_SIZE: Final = 1 << 20
"""Bytes of a configuration file; more is not a configuration file."""


class ConfigError(Exception):
    """A configuration that is not taken."""

    def __init__(self, origin: str, faults: tuple[str, ...]) -> None:
        """Take where the configuration comes from, and each fault in one sentence."""
        self.origin = origin
        self.faults = faults
        super().__init__(origin, faults)

    def __str__(self) -> str:
        return f"{self.origin}: {'; '.join(self.faults)}"


@dataclass(frozen=True, slots=True)
class Daemon:
    """Section ``[daemon]``: the process itself. A change needs a restart but for ``log_level``."""

    socket: Path = Path("/run/varpd/varpd.sock")
    """The control socket; its directory is made if it is not there."""

    state_dir: Path = Path("/var/lib/varpd")
    """A directory of varpd's own; no two daemons share one."""

    plugin_dirs: tuple[Path, ...] = (DEFAULT_DIRECTORY,)
    """Directories with plugins (``*.py``), beside those that are installed as packages."""

    log_level: log.Level = "info"
    """From which gravity on lines are logged."""

    log_format: log.Format = "auto"
    """How they look; ``auto``: text for a terminal, else JSON."""

    datapath: typing.Literal["linux", "memory"] = "linux"
    """What carries frames; ``memory`` carries none, for trying varpd and plugins out."""

    memory_addresses: tuple[IpAddress, ...] = (
        IPv4Address("192.0.2.1"),
        IPv6Address("2001:db8::1"),
    )
    """With datapath ``memory``: the addresses of this host."""


@dataclass(frozen=True, slots=True)
class Access:
    """Section ``[access]``: who may use the control socket, beside root and the daemon's user.

    Who may change may read. Users and groups are names or numbers. The socket's file lets only
    members of `group` connect, whatever else is said here.
    """

    group: str = GROUP
    """The group of the socket and its directory. A change needs a restart."""

    read_users: tuple[str, ...] = ()
    """Users who may look."""

    read_groups: tuple[str, ...] = ()
    """Groups whose members may look."""

    change_users: tuple[str, ...] = ()
    """Users who may change overlays."""

    change_groups: tuple[str, ...] = (GROUP,)
    """Groups whose members may change overlays."""


@dataclass(frozen=True, slots=True)
class TotalLimits:
    """Section ``[totals]``: bounds over all overlays, each of which has a share of its own."""

    waiting: int = Totals().waiting
    """Bytes of frames that wait for plugins' answers."""

    targets: int = Totals().targets
    """Entries of all tables."""

    lookups: int = Totals().lookups
    """Questions to plugins in progress."""

    def totals(self) -> Totals:
        """Return them as the engine takes them."""
        return Totals(waiting=self.waiting, targets=self.targets, lookups=self.lookups)


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file."""

    daemon: Daemon = Daemon()
    """The process."""

    access: Access = Access()
    """Who may use the control socket."""

    totals: TotalLimits = TotalLimits()
    """Bounds over all overlays."""

    defaults: Mapping[str, Value] = field(default_factory=lambda: types.MappingProxyType({}))
    """Section ``[defaults]``: values for properties of new overlays that are not given one.

    The names are those of varpd's own properties and the encapsulations'.
    """

    @classmethod
    def load(cls, tree: Mapping[str, Any], origin: str = "configuration") -> Self:
        """Read a configuration.

        Args:
            tree: what the file holds.
            origin: its name, for messages.

        Raises:
            ConfigError: something in it is wrong; all of it is named.
        """
        faults: list[str] = []
        sections: dict[str, Any] = {}
        classes = {"daemon": Daemon, "access": Access, "totals": TotalLimits}
        for name, content in tree.items():
            if name not in classes and name != "defaults":
                known = ", ".join([*classes, "defaults"])
                faults.append(f"{name}: no such section; there are: {known}")
            elif not isinstance(content, dict):
                faults.append(f"{name}: not a section ([{name}])")
            elif name == "defaults":
                sections[name] = _defaults(content, faults)
            else:
                sections[name] = _section(classes[name], name, content, faults)
        if faults:
            raise ConfigError(origin, tuple(faults))
        return cls(**sections)


def read(path: Path | None) -> Config:
    """Read the configuration file.

    Args:
        path: the file, which must be there; None: `DEFAULT_PATH` if there is one.

    Raises:
        ConfigError: it cannot be read, is no TOML, or something in it is wrong.
    """
    source = DEFAULT_PATH if path is None else path
    try:
        with source.open("rb") as file:
            data = file.read(MAX_SIZE + 1)
    except FileNotFoundError as exc:
        if path is None:
            return Config()
        raise ConfigError(str(source), ("there is no such file",)) from exc
    except OSError as exc:
        raise ConfigError(str(source), (exc.strerror or str(exc),)) from exc
    if len(data) > MAX_SIZE:
        raise ConfigError(str(source), (f"larger than {MAX_SIZE} bytes",))
    try:
        tree = tomllib.loads(data.decode())
    except ValueError as exc:  # both of bad UTF-8 and of bad TOML
        raise ConfigError(str(source), (str(exc),)) from exc
    return Config.load(tree, str(source))


def restart_needed(old: Config, new: Config) -> tuple[str, ...]:
    """Return the paths of what differs and is only taken at the start."""
    changed = [
        f"daemon.{item.name}"
        for item in dataclasses.fields(Daemon)
        if item.name != "log_level"
        and getattr(old.daemon, item.name) != getattr(new.daemon, item.name)
    ]
    if old.access.group != new.access.group:
        changed.append("access.group")
    changed += [
        f"totals.{item.name}"
        for item in dataclasses.fields(TotalLimits)
        if getattr(old.totals, item.name) != getattr(new.totals, item.name)
    ]
    return tuple(changed)


def default_properties() -> dict[str, Property]:
    """Return the properties that section ``[defaults]`` may name, by name."""
    declared = [*catalogue.declarations()]
    for encapsulation in ENCAPSULATIONS.values():
        declared += encapsulation.properties
    return {item.name: item for item in declared if item.protection is Protection.RW}


def _section(
    cls: type, path: str, content: Mapping[str, object], faults: list[str]
) -> object | None:
    """Return an object of `cls` with the content of a section, or None and `faults`."""
    hints = typing.get_type_hints(cls)
    found: dict[str, object] = {}
    before = len(faults)
    for name, value in content.items():
        where = f"{path}.{name}"
        if name not in hints:
            faults.append(f"{where}: no such key; there are: {', '.join(hints)}")
            continue
        try:
            found[name] = _convert(value, hints[name])
        except ValueError as exc:
            faults.append(f"{where}: {exc}")
    return cls(**found) if len(faults) == before else None


def _defaults(content: Mapping[str, object], faults: list[str]) -> Mapping[str, Value]:
    known = default_properties()
    values: dict[str, Value] = {}
    for name, value in _flat(content):
        where = f"defaults.{name}"
        if name not in known:
            faults.append(f"{where}: no such property; there are: {', '.join(known)}")
        elif not isinstance(value, int | str) or isinstance(value, bool):
            faults.append(f"{where}: neither a number nor a text")
        else:
            try:
                values[name] = load(known[name], value)
                _check_addresses(values, name)
            except PropertyInvalid as exc:
                faults.append(f"{where}: {exc.why} (it is {value!r})")
    return types.MappingProxyType(values)


def _check_addresses(values: Mapping[str, Value], name: str) -> None:
    """Check what the declaration of a property cannot say."""
    for encapsulation in ENCAPSULATIONS.values():
        if name.startswith(f"{encapsulation.name}/"):
            catalogue.listen_of({name: values[name]}, encapsulation)
            catalogue.local_ips_of({name: values[name]}, encapsulation)


def _flat(content: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Give names and values; a table inside, ``[defaults.vxlan]``, is the owner of its names."""
    for name, value in content.items():
        if isinstance(value, dict):
            for inner, item in value.items():
                yield f"{name}/{inner}", item
        else:
            yield name, value


def _convert(value: object, kind: object) -> object:
    """Return `value`, as TOML holds it, as a field of type `kind` has it.

    Raises:
        ValueError: it does not fit; the message says what would.
    """
    if kind is int:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError("not a whole number above 0")
        return value
    if kind == IpAddress:
        if not isinstance(value, str):
            raise ValueError("not an IP address in quotes")
        return parse_ip(value)
    if kind is str or kind is Path:
        if not isinstance(value, str) or not value or "\0" in value:
            raise ValueError("not a text, or an empty one")
        if kind is str:
            return value
        if not value.startswith("/"):
            raise ValueError(f"{value!r} is not an absolute path")
        return Path(value)
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise ValueError("not a list")
        return tuple(_convert(item, typing.get_args(kind)[0]) for item in value)
    choices = typing.get_args(kind)
    if value not in choices:
        raise ValueError(f"{value!r} is not possible; possible: {', '.join(choices)}")
    return value
