"""The log: structured lines on standard error, as text for people or JSON for programs.

Lines of libraries that use the standard `logging` module come out in the same form. What a line
holds under a name like ``password`` or ``token`` is never shown.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal, TextIO

import structlog

from varpd.daemon.recent import Recent
from varpd.provider.properties import HIDDEN

Level = Literal["debug", "info", "warning", "error"]
"""From which gravity on lines are written."""

Format = Literal["auto", "text", "json"]
"""How lines look; ``auto``: text for a terminal, else JSON."""

_SECRET: Final = re.compile(
    r"(?:^|[^a-z])(?:password|passphrase|passwd|secret|token|credentials?|private_key|api_key)$"
)

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_OWNER: Final = "varpd"
"""Name of the logger that all lines of varpd itself go through."""


def set_up(level: Level, form: Format, stream: TextIO | None = None) -> Recent:
    """Send all log lines from `level` on to `stream`, which is standard error unless given.

    Returns:
        What keeps the last of them.
    """
    recent = Recent()
    out = sys.stderr if stream is None else stream
    as_text = form == "text" or (form == "auto" and out.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_secrets,
        recent,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=lambda *_: logging.getLogger(_OWNER),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_text(colours=out.isatty()) if as_text else _json()),
            ],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(level)
    return recent


def set_level(level: Level) -> None:
    """Write lines from `level` on, those of libraries from ``warning`` on at least."""
    logging.getLogger(_OWNER).setLevel(_LEVELS[level])
    logging.getLogger().setLevel(max(_LEVELS[level], logging.WARNING))


def hide_secrets(
    _logger: object, _method: str, line: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Return `line` without the values of names that stand for secrets."""
    for name in line:
        if _SECRET.search(name.lower()):
            line[name] = HIDDEN
    return line


def _text(*, colours: bool) -> list[structlog.typing.Processor]:
    return [
        structlog.dev.ConsoleRenderer(
            colors=colours, exception_formatter=structlog.dev.plain_traceback
        )
    ]


def _json() -> list[structlog.typing.Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
