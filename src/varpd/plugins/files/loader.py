"""Reading a mapping file, of any size, step by step."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from varpd.plugins.files.content import Builder, Content, EntryError
from varpd.plugins.files.document import Document
from varpd.plugins.files.errors import FilesError
from varpd.provider import DestinationKind

PROGRESS_STEP: Final = 100_000
"""Mappings after which a load says how far it is."""

_ENTRIES: Final = 256
"""Entries between two pauses: about a millisecond."""

Signature = tuple[int, int, int, int, int]
"""What is another one whenever a file is: device, inode, size, modification and change times."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file that was read."""

    content: Content
    signature: Signature
    unknown_keys: frozenset[str]


def signature_of(status: os.stat_result) -> Signature:
    """Return what tells this state of a file from any other."""
    return (
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns,
    )  # fmt: skip


def load(
    path: str,
    kinds: DestinationKind,
    family: int | None,
    pause: Callable[[], None],
    progress: Callable[[int, int], None],
) -> Loaded:
    """Read a whole mapping file.

    Args:
        path: the file.
        kinds: what the encapsulation needs of a destination.
        family: 4 or 6, the address family of the overlay's underlay; None for either.
        pause: called every millisecond or so.
        progress: told every `PROGRESS_STEP` mappings how many there are, and the percentage of
            the file that has been read.

    Raises:
        FilesError: it cannot be read, or something is wrong in it.
    """
    try:
        return _load(path, kinds, family, pause, progress)
    except OSError as exc:
        raise FilesError(path, exc.strerror or str(exc)) from exc


def _load(
    path: str,
    kinds: DestinationKind,
    family: int | None,
    pause: Callable[[], None],
    progress: Callable[[int, int], None],
) -> Loaded:
    builder = Builder(kinds, family)
    # Opening a pipe would wait for somebody to write to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - it is open already
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FilesError(path, "not a regular file")
        document = Document(path, file.read)
        for number, (key, entry) in enumerate(document, 1):
            try:
                builder.add(key, entry)
            except EntryError as exc:
                raise FilesError(path, str(exc), document.line) from exc
            if not number % _ENTRIES:
                pause()
            if not number % PROGRESS_STEP:
                progress(number, min(100, 100 * file.tell() // max(1, status.st_size)))
    return Loaded(builder.content, signature_of(status), frozenset(builder.unknown_keys))
