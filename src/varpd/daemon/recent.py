"""What was logged last, kept for a report: lines of all kinds, and each panic whole."""

import json
from collections import deque
from collections.abc import MutableMapping
from typing import Any, Final

from varpd.control.diagnosis import PanicInfo

LINES: Final = 256
"""Lines that are kept; a report shall fit into a mail."""

PANICS: Final = 16
"""Panics that are kept: one plugin may give up every few seconds."""

MAX_LINE: Final = 2048
"""Characters of a line that are kept."""

MAX_STACK: Final = 16_384
"""Characters of a panic's stack that are kept, the innermost calls."""

PANIC: Final = "panic"
"""What the line of a panic says; it has `message`, `stack` and `before`."""


class Recent:
    """The last lines and panics; a processor of structlog, behind the one that hides secrets."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=LINES)
        self._panics: deque[PanicInfo] = deque(maxlen=PANICS)

    def __call__(
        self, _logger: object, _method: str, line: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Keep a line and return it as it is."""
        if line.get("event") == PANIC:
            self._panics.append(_panic(line))
        # An exception as its own words: to find its source lines would mean to read files.
        shown = {name: value for name, value in line.items() if not name.startswith("_")}
        try:
            text = json.dumps(shown, default=str)
        except (TypeError, ValueError):
            text = str(line.get("event"))
        self._lines.append(text[:MAX_LINE])
        return line

    @property
    def lines(self) -> tuple[str, ...]:
        """The last lines, the newest last."""
        return tuple(self._lines)

    @property
    def panics(self) -> tuple[PanicInfo, ...]:
        """The last panics, the newest last."""
        return tuple(self._panics)


def _panic(line: MutableMapping[str, Any]) -> PanicInfo:
    return PanicInfo(
        at=str(line.get("timestamp", "")),
        overlay=str(line.get("overlay", "")),
        plugin=str(line.get("plugin", "")),
        message=str(line.get("message", "")),
        stack=str(line.get("stack", ""))[-MAX_STACK:],
        before=tuple(str(item) for item in line.get("before", ())),
    )
