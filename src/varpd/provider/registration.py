"""Which classes can be registered as plugins, and why one is refused."""

import enum
import math
import re
from typing import Final, cast

from varpd.provider.kinds import COMBINATIONS, DestinationKind
from varpd.provider.plugin import API_VERSION, DynamicPlugin, Plugin, PointPlugin
from varpd.provider.properties import Property

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,30}")
_RESERVED: Final = frozenset({"varpd"})
_DYNAMIC_ONLY: Final = ("lookup", "arp", "dhcp", "enumerate")
_OPERATIONS: Final = (
    *("start", "stop", "close", "set_property", "get_property", "save", "restore", "reload"),
    *("local_endpoint", "default", *_DYNAMIC_ONLY),
)


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
    """It does not define an operation that its mode needs, or one cannot be called."""

    BAD_PROPERTY = "bad-property"
    """A declaration breaks the rules: of a property, or ``blocking``, ``ttl``, ``supplies``."""


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
    _check_attributes(cls)
    for kinds in COMBINATIONS:
        _check_properties(cls, kinds)
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
    for name in _OPERATIONS:
        if not callable(getattr(cls, name, cls)):
            message = f"{cls.__name__}: {name} is no operation but {getattr(cls, name)!r}"
            raise RegistrationError(Refusal.MISSING_OPERATION, message)


def _check_attributes(cls: type[Plugin]) -> None:
    blocking: object = cls.blocking
    ttl: object = cls.ttl
    supplies: object = cls.supplies
    if not isinstance(blocking, bool):
        wrong = f"blocking is {blocking!r}, not True or False"
    elif ttl is not None and not _is_time(ttl):
        wrong = f"ttl is {ttl!r}, not None or a number of seconds above 0"
    elif supplies is not None and not _are_kinds(supplies):
        wrong = f"supplies is {supplies!r}, not None or a tuple of DestinationKind"
    else:
        return
    raise RegistrationError(Refusal.BAD_PROPERTY, f"{cls.__name__}: {wrong}")


def _is_time(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return 0 < value < math.inf


def _are_kinds(value: object) -> bool:
    if not isinstance(value, tuple) or not value:
        return False
    items = cast("tuple[object, ...]", value)
    return all(isinstance(item, DestinationKind) and item for item in items)


def _check_properties(cls: type[Plugin], kinds: DestinationKind) -> None:
    try:
        declared: object = cls.properties(kinds)
        again: object = cls.properties(kinds)
    except Exception as exc:
        message = f"{cls.__name__}.properties({kinds}): {type(exc).__name__}: {exc}"
        raise RegistrationError(Refusal.BAD_PROPERTY, message) from exc
    if not isinstance(declared, tuple):
        wrong = "is not a tuple"
    elif stranger := [item for item in declared if not isinstance(item, Property)]:
        wrong = f"holds {stranger[0]!r}, not a Property"
    else:
        names = [item.name for item in declared]
        alien = [name for name in names if not name.startswith(f"{cls.name}/")]
        if alien:
            wrong = f"declares {alien[0]!r}, which is not named {cls.name}/..."
        elif len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            wrong = f"declares {twice!r} twice"
        elif declared != again:
            wrong = "differs from call to call"
        else:
            return
    raise RegistrationError(Refusal.BAD_PROPERTY, f"{cls.__name__}.properties({kinds}) {wrong}")
