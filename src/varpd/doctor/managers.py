"""Which program takes itself for the master of an interface, by the files that it keeps."""

from configparser import ConfigParser
from configparser import Error as ConfigError
from pathlib import Path
from typing import Final

NETWORK_MANAGER: Final = "NetworkManager"
NETWORKD: Final = "systemd-networkd"

_LEFT_ALONE: Final = ("unmanaged", "linger")
"""States of a link that systemd-networkd does nothing with."""


def manager_of(index: int, root: Path = Path("/")) -> str | None:
    """Return the program that manages the interface with that index, or None."""
    text = _read(root / "run" / "NetworkManager" / "devices" / str(index))
    if text is not None and _value(text, "managed") == "true":
        return NETWORK_MANAGER
    text = _read(root / "run" / "systemd" / "netif" / "links" / str(index))
    if text is not None:
        state = _value(f"[link]\n{text}", "ADMIN_STATE")
        if state is not None and state not in _LEFT_ALONE:
            return NETWORKD
    return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return None


def _value(text: str, key: str) -> str | None:
    parser = ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except ConfigError:
        return None
    for section in parser.sections():
        if parser.has_option(section, key):
            return parser.get(section, key)
    return None
