"""All that helps with a bug, in one piece, secrets left out and everything bounded."""

import asyncio
import dataclasses
import os
import platform
import re
import sys
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from types import FrameType
from typing import Any, Final, TypeVar

from msgspec import structs

from varpd.control.diagnosis import (
    Diagnosis,
    OverlayReport,
    Report,
    ThreadInfo,
)
from varpd.control.messages import JsonValue, OverlayInfo, PluginsInfo, PropertyInfo
from varpd.daemon.config import Config
from varpd.daemon.recent import Recent
from varpd.provider.properties import HIDDEN

STACK_MAX: Final = 32
"""Calls of a stack that are told, the innermost."""

TASKS_MAX: Final = 128
"""Tasks that are told; a plugin may have thousands at work."""

OVERLAYS_MAX: Final = 64
"""Overlays that are told in full; those that are degraded come first."""

ROWS_ASKED: Final = 10_000
"""Entries of a table up to which its rows are counted: a larger dump holds the kernel's lock."""

_SECRET: Final = re.compile(r"(?:password|passphrase|passwd|secret|token|credentials?|key)$")
_LIBRARIES: Final = ("aiohttp", "msgspec", "pyroute2", "structlog", "uvloop", "watchfiles")
_STARTED: Final = datetime.now(UTC)

Told = TypeVar("Told", OverlayInfo, PropertyInfo)


def hide(info: Told) -> Told:
    """Return an overlay or property without values whose name says that they are secret.

    Those that their plugin declares so are hidden everywhere anyway.
    """
    if isinstance(info, PropertyInfo):
        value = HIDDEN if info.value is not None and is_secret(info.name) else info.value
        return structs.replace(info, value=value)
    values: dict[str, JsonValue] = {
        name: HIDDEN if value is not None and is_secret(name) else value
        for name, value in info.properties.items()
    }
    return structs.replace(info, properties=values)


def is_secret(name: str) -> bool:
    """Return whether a property's name says that its value is secret."""
    return _SECRET.search(name) is not None


def make(
    config: Config,
    diagnosis: Diagnosis,
    plugins: PluginsInfo,
    overlays: Sequence[OverlayReport],
    internal_errors: dict[str, int],
    recent: Recent,
    libraries: dict[str, str],
) -> Report:
    """Return the report. Called from the event loop, whose tasks it tells."""
    told = [structs.replace(item, overlay=hide(item.overlay)) for item in diagnosis.overlays]
    return Report(
        made=_rfc3339(datetime.now(UTC)),
        started=_rfc3339(_STARTED),
        python=platform.python_version(),
        libraries=libraries,
        kernel=os.uname().release,
        config=sections(config),
        diagnosis=structs.replace(diagnosis, overlays=tuple(told)),
        plugins=plugins,
        overlays=tuple(overlays),
        internal_errors=internal_errors,
        panics=recent.panics,
        log=recent.lines,
        threads=tuple(threads()),
        tasks=tuple(tasks()),
    )


def order(diagnosis: Diagnosis) -> list[str]:
    """Return the overlays that are told in full."""
    infos = sorted(
        (item.overlay for item in diagnosis.overlays),
        key=lambda info: (info.state == "online", info.name),
    )
    return [info.name for info in infos[:OVERLAYS_MAX]]


def libraries() -> dict[str, str]:
    """Return the versions of what varpd is built on. It reads files."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def sections(config: Config) -> dict[str, dict[str, int | str | list[str]]]:
    """Return a configuration as its file would have it."""
    found = {
        name: {
            field.name: _plain(getattr(section, field.name))
            for field in dataclasses.fields(section)
        }
        for name, section in (
            ("daemon", config.daemon),
            ("access", config.access),
            ("totals", config.totals),
        )
    }
    found["defaults"] = {
        name: HIDDEN if is_secret(name) else _plain(value)
        for name, value in config.defaults.items()
    }
    return found


def threads() -> Iterable[ThreadInfo]:
    """Yield where each thread is, without reading any file."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for number, frame in sys._current_frames().items():
        yield ThreadInfo(names.get(number, str(number)), _stack(frame))


def tasks() -> Iterable[ThreadInfo]:
    """Yield where the tasks of the running event loop are."""
    found = sorted(asyncio.all_tasks(), key=lambda task: task.get_name())
    for task in found[:TASKS_MAX]:
        frames = task.get_stack(limit=STACK_MAX)
        yield ThreadInfo(task.get_name(), tuple(_call(frame) for frame in frames))


def _stack(frame: FrameType | None) -> tuple[str, ...]:
    calls: list[str] = []
    while frame is not None and len(calls) < STACK_MAX:
        calls.append(_call(frame))
        frame = frame.f_back
    return tuple(reversed(calls))


def _call(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno} {code.co_qualname}"


def _plain(value: Any) -> int | str | list[str]:
    if isinstance(value, int):
        return value
    if isinstance(value, tuple):
        return [str(item) for item in value]
    return str(value)


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
