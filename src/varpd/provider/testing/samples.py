"""Values to try on a property: all allowed by its declaration, some likely to be refused."""

from ipaddress import ip_address
from typing import Final

from varpd.provider.errors import PropertyInvalid
from varpd.provider.properties import (
    INT_MAX,
    INT_MIN,
    MAX_STRING,
    UINT_MAX,
    Property,
    PropertyType,
    Range,
    Value,
)

_CANDIDATES: Final[dict[PropertyType, tuple[Value, ...]]] = {
    PropertyType.UINT: (0, 1, UINT_MAX),
    PropertyType.INT: (INT_MIN, -1, 0, 1, INT_MAX),
    PropertyType.IP: tuple(
        ip_address(text)
        for text in (
            "240.0.0.1",
            "127.0.0.1",
            "224.0.0.1",
            "192.0.2.1",
            "::",
            "ff02::1",
            "2001:db8::1",
        )
    ),
    PropertyType.STRING: ("x", "\x01", ",", "ä/../\N{SNOWMAN}", "x" * MAX_STRING),
}


def samples(declared: Property) -> list[Value]:
    """Return values that `declared` allows: its limits, and what plugins tend to trip over."""
    candidates = list(_CANDIDATES[declared.type])
    for item in declared.possible:
        candidates += [item.low, item.high] if isinstance(item, Range) else [item]
    return [value for value in dict.fromkeys(candidates) if _allowed(declared, value)]


def _allowed(declared: Property, value: Value) -> bool:
    try:
        declared.check(value)
    except PropertyInvalid:
        return False
    return True
