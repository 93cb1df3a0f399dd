"""Which classes can be registered as plugins, and why one is refused."""

import enum
import re
from typing import Final

from varpd.provider.kinds import DestinationKind
from varpd.provider.plugin import API_VERSION, DynamicPlugin, Plugin, PointPlugin
from varpd.provider.properties import Property

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,30}")
_RESERVED: Final = frozenset({"varpd"})
_DYNAMIC_ONLY: Final = ("lookup", "arp", "dhcp", "enumerate")
_KINDS: Final = (
    DestinationKind.IP | DestinationKind.PORT,
    DestinationKind.IP,
    DestinationKind.ETHERNET,
    DestinationKind.ETHERNET | DestinationKind.IP | DestinationKind.PORT,
)
"""The combinations for which a plugin's properties are tried at registration."""


class Refusal(enum.Enum):
    """Why a plugin is refused."""

    IMPORT_ERROR = "import-error"
    """The module cannot be imported, or may be written by others than root and varpd's user."""

    BAD_VERSION = "bad-version"
    """Its own class body does not say ``api_version`` or says one that varpd does not speak."""

    BAD_NAME = "bad-name"
    """``name`` is missing, not of the form, ``varpd``, or an encapsulation's."""

    DUPLICATE_NAME = "duplicate-name"
    """Another plugin has the name."""

    WRONG_MODE = "wrong-mode"
    """It derives from neither or both base classes, or has operations of the other mode."""

    MISSING_OPERATION = "missing-operation"
    """It does not define an operation that its mode needs."""

    BAD_PROPERTY = "bad-property"
    """A declaration of a property breaks the rules."""


class RegistrationError(Exception):
    """A class that cannot be a plugin."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        """Take the kind of `refusal` and a sentence that says what is wrong."""
        self.refusal = refusal
        self.message = message
        super().__init__(refusal, message)

    def __str__(self) -> str:
        return f"{self.refusal.value}: {self.message}"


def check_class(cls: type, encapsulations: frozenset[str] = frozenset()) -> type[Plugin]:
    """Return `cls` if it can be registered as a plugin.

    Args:
        cls: the class.
        encapsulations: names of encapsulations, which a plugin may not have.

    Raises:
        RegistrationError: it cannot, and why.
    """
    _check_mode(cls)
    assert issubclass(cls, Plugin)  # noqa: S101 - what _check_mode found, said to the type checker
    _check_version(cls)
    _check_name(cls, encapsulations)
    _check_operations(cls)
    _check_properties(cls)
    return cls


def _check_mode(cls: type) -> None:
    point, dynamic = issubclass(cls, PointPlugin), issubclass(cls, DynamicPlugin)
    if point == dynamic:
        which = "both" if point else "neither"
        message = f"{cls.__name__} derives from {which} of PointPlugin and DynamicPlugin"
        raise RegistrationError(Refusal.WRONG_MODE, message)
    if point:
        wrong = [name for name in _DYNAMIC_ONLY if hasattr(cls, name)]
    else:
        wrong = ["default"] if hasattr(cls, "default") else []
    if wrong:
        base = "PointPlugin" if point else "DynamicPlugin"
        message = f"{cls.__name__} is a {base} but defines {', '.join(wrong)}"
        raise RegistrationError(Refusal.WRONG_MODE, message)


def _check_version(cls: type[Plugin]) -> None:
    if "api_version" not in vars(cls):
        message = (
            f"{cls.__name__} does not say api_version in its own body; varpd has {API_VERSION}"
        )
        raise RegistrationError(Refusal.BAD_VERSION, message)
    version = vars(cls)["api_version"]
    if type(version) is not int or version != API_VERSION:
        message = f"{cls.__name__} is for API version {version!r}; varpd has {API_VERSION}"
        raise RegistrationError(Refusal.BAD_VERSION, message)


def _check_name(cls: type[Plugin], encapsulations: frozenset[str]) -> None:
    name = getattr(cls, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        message = f"{cls.__name__}: name {name!r} is not of the form {_NAME.pattern}"
        raise RegistrationError(Refusal.BAD_NAME, message)
    if name in _RESERVED | encapsulations:
        message = f"{cls.__name__}: the name {name!r} is taken by varpd itself"
        raise RegistrationError(Refusal.BAD_NAME, message)


def _check_operations(cls: type[Plugin]) -> None:
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if missing:
        message = f"{cls.__name__} does not define {', '.join(missing)}"
        raise RegistrationError(Refusal.MISSING_OPERATION, message)


def _check_properties(cls: type[Plugin]) -> None:
    for kinds in _KINDS:
        try:
            declared = cls.properties(kinds)
        except Exception as exc:
            message = f"{cls.__name__}.properties({kinds}): {type(exc).__name__}: {exc}"
            raise RegistrationError(Refusal.BAD_PROPERTY, message) from exc
        if not isinstance(declared, tuple):
            message = f"{cls.__name__}.properties({kinds}) is not a tuple"
            raise RegistrationError(Refusal.BAD_PROPERTY, message)
        names: set[str] = set()
        for item in declared:
            if not isinstance(item, Property):
                message = f"{cls.__name__}.properties({kinds}) holds {item!r}, not a Property"
                raise RegistrationError(Refusal.BAD_PROPERTY, message)
            if not item.name.startswith(f"{cls.name}/"):
                message = f"{cls.__name__}: property {item.name!r} is not named {cls.name}/..."
                raise RegistrationError(Refusal.BAD_PROPERTY, message)
            if item.name in names:
                message = f"{cls.__name__}: property {item.name!r} is declared twice"
                raise RegistrationError(Refusal.BAD_PROPERTY, message)
            names.add(item.name)
