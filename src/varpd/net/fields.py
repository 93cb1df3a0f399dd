"""The two checks that every codec makes: a number fits its field, the data holds the message."""

from varpd.net.decode import DecodeError, Reason

UINT3_MAX = (1 << 3) - 1
UINT8_MAX = (1 << 8) - 1
UINT12_MAX = (1 << 12) - 1
UINT13_MAX = (1 << 13) - 1
UINT16_MAX = (1 << 16) - 1
UINT20_MAX = (1 << 20) - 1
UINT24_MAX = (1 << 24) - 1
UINT32_MAX = (1 << 32) - 1


def check_range(name: str, value: int, maximum: int) -> None:
    """Refuse a number that does not fit an unsigned field.

    Raises:
        ValueError: `value` is not from 0 to `maximum`; the message names the field.
    """
    if not 0 <= value <= maximum:
        raise ValueError(f"{name} out of range 0 to {maximum}: {value}")


def check_size(what: str, data: bytes, size: int) -> None:
    """Refuse data that ends before the message does.

    Raises:
        DecodeError: `data` has less than `size` bytes; the message names `what`.
    """
    if len(data) < size:
        raise DecodeError(Reason.TRUNCATED, f"{what} needs {size} bytes, got {len(data)}")
