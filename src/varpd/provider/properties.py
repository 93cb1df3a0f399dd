"""Properties: what can be set on an overlay and on its plugin.

A property is declared once; from the declaration varpd shows it, parses what an operator writes,
checks values before the plugin sees them, and renders them.
"""

import enum
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeGuard

from varpd.net.addresses import parse_ip
from varpd.provider.errors import PropertyInvalid

MAX_NAME: Final = 63
"""Longest name of a property, bytes."""

MAX_STRING: Final = 4096
"""Longest value of a string, bytes of UTF-8."""

HIDDEN: Final = "***"
"""What is shown in place of a secret."""

UINT_MAX: Final = (1 << 64) - 1
INT_MIN: Final = -(1 << 63)
INT_MAX: Final = (1 << 63) - 1

_NAME: Final = re.compile(r"(?:[a-z][a-z0-9_-]*/)?[a-z][a-z0-9]*(?:_[a-z0-9]+)*")

Value = int | str | IPv4Address | IPv6Address
"""What a property can hold."""


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


class PropertyType(enum.Enum):
    """The type of a property's value."""

    UINT = "uint"
    """Whole number, 0 to 2^64-1."""

    INT = "int"
    """Whole number, -2^63 to 2^63-1."""

    IP = "ip"
    """IPv4 or IPv6 address."""

    STRING = "string"
    """Text of at most `MAX_STRING` bytes of UTF-8, not empty, without NUL."""


class Protection(enum.Enum):
    """Who may change a property."""

    R = "r-"
    """Readable only."""

    RW = "rw"
    """Readable and writable."""


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included."""

    low: int
    high: int

    def __contains__(self, value: int) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


_BOUNDS: Final = {
    PropertyType.UINT: Range(0, UINT_MAX),
    PropertyType.INT: Range(INT_MIN, INT_MAX),
}

_FIELD_TYPES: Final[tuple[tuple[str, type], ...]] = (
    ("type", PropertyType),
    ("protection", Protection),
    ("required", bool),
    ("possible", tuple),
    ("live", bool),
    ("doc", str),
    ("secret", bool),
)


@dataclass(frozen=True, slots=True)
class Property:
    """The declaration of one property."""

    name: str
    """Words joined by ``_``, with ``owner/`` in front for plugins and encapsulations."""

    type: PropertyType
    """Type of the value."""

    protection: Protection = Protection.RW
    """Whether it can be set."""

    required: bool = False
    """Whether an overlay needs a value to start."""

    default: Value | None = None
    """The value while none is set, or None for no default."""

    possible: tuple[Range, ...] | tuple[str, ...] = ()
    """Ranges for numbers, listed values for strings; empty for all that the type holds."""

    live: bool = True
    """Whether it can change after the start, traffic flowing on."""

    doc: str = ""
    """One sentence for the operator."""

    secret: bool = False
    """Whether the value is shown to nobody: `HIDDEN` stands in its place in `show`, errors, logs
    and reports. Such a property can be set and has no default."""

    def __post_init__(self) -> None:
        """Check the declaration.

        Raises:
            ValueError: it breaks the rules that the fields state.
        """
        name: object = self.name
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"property name {name!r} is not words joined by '_'")
        if len(self.name) > MAX_NAME:
            raise ValueError(f"property name {self.name!r} is longer than {MAX_NAME} bytes")
        for field, kind in _FIELD_TYPES:
            if not isinstance(getattr(self, field), kind):
                raise ValueError(f"{self.name}: {field} is no {kind.__name__}")  # noqa: TRY004 - one class for every breach of the rules
        if self.required and self.protection is Protection.R:
            raise ValueError(f"{self.name}: it is required, but cannot be set")
        if self.secret and (self.protection is Protection.R or self.default is not None):
            raise ValueError(f"{self.name}: a secret is one that can be set and has no default")
        self._check_possible()
        if self.default is not None:
            try:
                self.check(self.default)
            except PropertyInvalid as exc:
                raise ValueError(f"{self.name}: the default is not possible: {exc}") from exc

    def check(self, value: object) -> Value:
        """Return `value` if the property can hold it.

        Raises:
            PropertyInvalid: its type is wrong or it is not possible.
        """
        try:
            return self._check(value)
        except PropertyInvalid as exc:
            if not self.secret:
                raise
            raise self.discreet(exc) from None

    def _check(self, value: object) -> Value:
        match self.type:
            case PropertyType.UINT | PropertyType.INT:
                return self._check_number(value, _BOUNDS[self.type])
            case PropertyType.IP:
                if not isinstance(value, IPv4Address | IPv6Address):
                    raise PropertyInvalid(self.name, value, "not an IP address")
                return value
            case PropertyType.STRING:
                text = self._check_text(value)
                if self.possible and text not in self.possible:
                    raise PropertyInvalid(self.name, text, f"possible: {self.possible_text()}")
                return text

    def parse(self, text: str) -> Value:
        """Return the value that an operator wrote as `text`.

        Raises:
            PropertyInvalid: it is no value of the type, or not possible.
        """
        try:
            return self._parse(text)
        except PropertyInvalid as exc:
            if not self.secret:
                raise
            raise self.discreet(exc) from None

    def discreet(self, error: PropertyInvalid) -> PropertyInvalid:
        """Return `error`, or one that does not say the value if that is secret."""
        return PropertyInvalid(self.name, HIDDEN, error.why) if self.secret else error

    def _parse(self, text: str) -> Value:
        match self.type:
            case PropertyType.UINT | PropertyType.INT:
                try:
                    number = int(text) if text.strip() == text and "_" not in text else None
                except ValueError:
                    number = None
                if number is None or not text.isascii():
                    raise PropertyInvalid(self.name, text, f"not a whole number{self._hint()}")
                return self.check(number)
            case PropertyType.IP:
                try:
                    return self.check(parse_ip(text))
                except PropertyInvalid:
                    raise
                except ValueError as exc:
                    raise PropertyInvalid(self.name, text, "not an IP address") from exc
            case PropertyType.STRING:
                return self.check(text)

    def _check_possible(self) -> None:
        bounds = _BOUNDS.get(self.type)
        for item in self.possible:
            if isinstance(item, Range):
                if bounds is None:
                    raise ValueError(f"{self.name}: ranges are for numbers")
                if not all(_is_number(end) and end in bounds for end in (item.low, item.high)):
                    raise ValueError(f"{self.name}: {item} is not within {bounds}")
                if item.low > item.high:
                    raise ValueError(f"{self.name}: empty range {item}")
            elif self.type is not PropertyType.STRING:
                raise ValueError(f"{self.name}: listed values are for strings")
            else:
                try:
                    self._check_text(item)
                except PropertyInvalid as exc:
                    raise ValueError(f"{self.name}: listed value not possible: {exc}") from exc

    def possible_text(self) -> str:
        """Return what is possible as people read it, such as ``1-65535``, or an empty text."""
        return ",".join(str(item) for item in self.possible)

    def _check_number(self, value: object, bounds: Range) -> int:
        if not _is_number(value):
            raise PropertyInvalid(self.name, value, f"not a whole number{self._hint()}")
        ranges = [item for item in self.possible if isinstance(item, Range)] or [bounds]
        if not any(value in item for item in ranges):
            possible = ",".join(str(item) for item in ranges)
            raise PropertyInvalid(self.name, value, f"out of range; possible: {possible}")
        return value

    def _check_text(self, value: object) -> str:
        if not isinstance(value, str):
            raise PropertyInvalid(self.name, value, "not a text")
        try:
            size = len(value.encode())
        except UnicodeEncodeError as exc:
            raise PropertyInvalid(self.name, ascii(value), "not valid Unicode") from exc
        if not value or "\0" in value:
            raise PropertyInvalid(self.name, ascii(value), "empty, or with a NUL")
        if size > MAX_STRING:
            raise PropertyInvalid(self.name, f"{value[:32]}...", f"longer than {MAX_STRING} bytes")
        return value

    def _hint(self) -> str:
        return f"; possible: {self.possible_text()}" if self.possible else ""


def render(value: Value) -> str:
    """Return `value` as an operator would write it."""
    return str(value)


def dump(value: Value) -> int | str:
    """Return `value` as JSON holds it."""
    return value if isinstance(value, int | str) else str(value)


def load(declaration: Property, value: int | str) -> Value:
    """Return the value that `dump` made `value` from.

    Raises:
        PropertyInvalid: the declaration does not allow it.
    """
    if declaration.type is PropertyType.IP:
        return declaration.parse(str(value))
    return declaration.check(value)
