"""Finds the plugins: built in, installed as distributions, lying in directories.

The order decides who gets a name: entry points of varpd's own distribution, then those of other
distributions by their names, then the directories in the order given, in each the files by name,
in each the classes by line. What is refused is kept with the reason, and stops nobody else.
Nothing is ever unloaded or loaded again.
"""

import inspect
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata, util
from pathlib import Path
from types import ModuleType
from typing import Final

import structlog
from msgspec import Struct

from varpd.datapath.encapsulation import NAMES
from varpd.provider.plugin import DynamicPlugin, Plugin, PointPlugin
from varpd.provider.registration import Refusal, RegistrationError, check_class

DEFAULT_DIRECTORY: Final = Path("/usr/lib/varpd/plugins")
"""Where plugins are looked for unless directories are given; it need not exist."""

GROUP: Final = "varpd.plugins"
"""The entry-point group of plugins."""

_OWN: Final = "varpd"
_log: Final = structlog.get_logger()


class LoadedPlugin(Struct, frozen=True):
    """A plugin that overlays can use."""

    plugin: type[Plugin]
    origin: str
    """Where it comes from: a distribution with its version, or a file and line."""


class RefusedPlugin(Struct, frozen=True):
    """A class, module, file or directory that was refused."""

    origin: str
    reason: Refusal
    message: str
    """What is wrong, in one sentence."""


class Registry:
    """What was loaded and what was refused."""

    def __init__(self) -> None:
        self.plugins: dict[str, LoadedPlugin] = {}
        """The plugins by name, in the order in which they were found."""
        self.refused: list[RefusedPlugin] = []
        """What was refused, in that order."""

    def add(self, cls: object, origin: str) -> None:
        """Register a class, or keep why it is refused."""
        if not isinstance(cls, type):
            self.refuse(origin, Refusal.WRONG_MODE, f"{cls!r} is not a class")
            return
        try:
            plugin = check_class(cls, NAMES)
        except RegistrationError as exc:
            self.refuse(origin, exc.refusal, exc.message)
            return
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # what a stranger's class does when it is looked at
            self.refuse(origin, Refusal.BAD_PROPERTY, f"{cls!r}: {_say(exc)}")
            return
        first = self.plugins.get(plugin.name)
        if first is not None:
            message = f"the name {plugin.name!r} of {origin} is taken by {first.origin}"
            self.refuse(origin, Refusal.DUPLICATE_NAME, message)
            return
        self.plugins[plugin.name] = LoadedPlugin(plugin, origin)
        _log.info("plugin loaded", plugin=plugin.name, origin=origin)

    def refuse(self, origin: str, reason: Refusal, message: str) -> None:
        """Keep why something is refused, and log it."""
        self.refused.append(RefusedPlugin(origin, reason, message))
        _log.error("plugin refused", origin=origin, reason=reason.value, message=message)


def load(directories: Sequence[Path] | None = None) -> Registry:
    """Find and register all plugins.

    Args:
        directories: where to look besides distributions; `DEFAULT_DIRECTORY` unless given.
    """
    registry = Registry()
    for entry_point, origin in _entry_points(registry):
        try:
            cls = entry_point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # a module that exits is refused, not obeyed
            registry.refuse(origin, Refusal.IMPORT_ERROR, _say(exc))
        else:
            registry.add(cls, origin)
    if directories is None:
        directories = [DEFAULT_DIRECTORY] if DEFAULT_DIRECTORY.exists() else []
    for directory in directories:
        _load_directory(registry, directory)
    return registry


def _entry_points(registry: Registry) -> Iterator[tuple[metadata.EntryPoint, str]]:
    """Return the entry points of plugins and their origins: our own, then others by name."""
    found: dict[tuple[bool, str, str, str], tuple[metadata.EntryPoint, str]] = {}
    for distribution in metadata.distributions():
        try:
            name = _normal(distribution.name)
            origin = f"{name} {distribution.version}"
            items = distribution.entry_points.select(group=GROUP)
        except Exception as exc:
            registry.refuse(str(distribution), Refusal.IMPORT_ERROR, _say(exc))
            continue
        for item in items:
            key = (name != _OWN, name, item.name, item.value)
            # A distribution that is on the path twice counts once, as when it is imported.
            found.setdefault(key, (item, f"{origin} ({item.value})"))
    for key in sorted(found):
        yield found[key]


def _load_directory(registry: Registry, directory: Path) -> None:
    try:
        _check_writers(directory)
        files = sorted(
            path for path in directory.iterdir() if path.suffix == ".py" and path.name[0] != "_"
        )
    except OSError as exc:
        registry.refuse(str(directory), Refusal.IMPORT_ERROR, _say(exc))
        return
    for path in files:
        try:
            _check_writers(path)
            module = _import_file(path)
            classes = list(_classes(module))
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # a module that exits is refused, not obeyed
            registry.refuse(str(path), Refusal.IMPORT_ERROR, _say(exc))
            continue
        for line, cls in classes:
            registry.add(cls, f"{path}:{line}")


def _check_writers(path: Path) -> None:
    """Make sure that only root and we can change what `path` leads to.

    Every directory above it counts as well: who can rename there can put another in its place.
    A directory with the sticky bit, such as /tmp, lets only owners rename.

    Raises:
        PermissionError: somebody else can.
    """
    trusted = (0, os.geteuid())
    resolved = path.resolve(strict=True)
    for place in (resolved, *resolved.parents):
        status = place.stat()
        if status.st_uid not in trusted:
            raise PermissionError(f"{place} belongs to user {status.st_uid}, not to root or varpd")
        others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        above_sticky = place not in (resolved, resolved.parent) and status.st_mode & stat.S_ISVTX
        if others and not above_sticky:
            raise PermissionError(f"{place} can be written by others than root and varpd")


def _import_file(path: Path) -> ModuleType:
    """Import a file as a module of its own, whose name no other module has."""
    name = f"varpd_plugin_{path.stem}_{path.resolve().parent.as_posix().encode().hex()}"
    spec = util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python module")
    module = util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _classes(module: ModuleType) -> Iterator[tuple[int, type]]:
    """Return the classes that a module offers as plugins, with their lines, by line."""
    found: dict[type, int] = {}
    for cls in vars(module).values():
        if (
            isinstance(cls, type)
            and cls.__module__ == module.__name__
            and not cls.__name__.startswith("_")
            and (issubclass(cls, PointPlugin | DynamicPlugin) or "api_version" in vars(cls))
        ):
            found[cls] = _line(cls)
    for cls, line in sorted(found.items(), key=lambda item: item[1]):
        yield line, cls


def _line(cls: type) -> int:
    try:
        return inspect.getsourcelines(cls)[1]
    except (OSError, TypeError):
        return 0


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _say(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {exc}"
