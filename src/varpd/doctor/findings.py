"""What a check says."""

import enum
from collections.abc import Iterable

from msgspec import Struct


class Severity(enum.Enum):
    """How bad it is."""

    OK = "ok"
    """It was looked at and is as it should be."""

    WARNING = "warning"
    """It works, but not well, or may not work soon, or could not be looked at."""

    PROBLEM = "problem"
    """Something does not work."""


class Finding(Struct, frozen=True):
    """One thing that was looked at."""

    check: str
    """Which check says so, see docs/troubleshooting.md."""

    severity: Severity
    message: str
    """One sentence: how it is."""

    cure: str | None = None
    """What to do; None where all is well."""

    overlay: str | None = None
    """The overlay that it is about; None: the host."""


def ok(check: str, message: str, overlay: str | None = None) -> Finding:
    """Return that all is well."""
    return Finding(check, Severity.OK, message, None, overlay)


def warning(check: str, message: str, cure: str, overlay: str | None = None) -> Finding:
    """Return that something is not as it should be."""
    return Finding(check, Severity.WARNING, message, cure, overlay)


def problem(check: str, message: str, cure: str, overlay: str | None = None) -> Finding:
    """Return that something does not work."""
    return Finding(check, Severity.PROBLEM, message, cure, overlay)


def is_wrong(findings: Iterable[Finding]) -> bool:
    """Return whether any of them is a problem."""
    return any(finding.severity is Severity.PROBLEM for finding in findings)
