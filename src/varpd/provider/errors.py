"""What the provider API raises.

    Exception
     +-- ProviderError            what a plugin may raise and varpd catches
     |    +-- Unsupported         this plugin or instance cannot do that
     |    +-- Claimed             another host has that endpoint
     |    +-- PropertyError
     |         +-- PropertyUnknown    no property of that name
     |         +-- PropertyInvalid    the value is not possible
     |         +-- PropertyMissing    required properties have no value
     |         +-- NotLive            only a new overlay can have another value
     +-- ValueError
          +-- TargetInvalid       a target that the encapsulation cannot use
    BaseException
     +-- Panic                    the instance gives up; see `Host.panic`

Any other exception that leaves an operation is a fault of its instance.
"""

from collections.abc import Sequence


class ProviderError(Exception):
    """Something that a plugin says no to, in words for the operator."""


class Unsupported(ProviderError):
    """The plugin or this instance of it cannot do what was asked."""


class Claimed(ProviderError):
    """Another host has the MAC or an address of an endpoint; the message says which has what."""


class PropertyError(ProviderError):
    """Something is wrong with a property."""


class PropertyUnknown(PropertyError):
    """There is no property of that name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        """Take the unknown `name` and the names that there are."""
        self.name = name
        self.known = tuple(known)
        super().__init__(name, self.known)

    def __str__(self) -> str:
        return f"no property {self.name!r}; there are: {', '.join(self.known) or 'none'}"


class PropertyInvalid(PropertyError):
    """A property cannot have that value."""

    def __init__(self, name: str, value: object, why: str) -> None:
        """Take the property's `name`, the refused `value` and what would be possible."""
        self.name = name
        self.value = value
        self.why = why
        super().__init__(name, value, why)

    def __str__(self) -> str:
        return f"{self.name}={self.value}: {self.why}"


class PropertyMissing(PropertyError):
    """Required properties have no value."""

    def __init__(self, names: Sequence[str]) -> None:
        """Take the names of all required properties without a value."""
        self.names = tuple(names)
        super().__init__(self.names)

    def __str__(self) -> str:
        noun = "property" if len(self.names) == 1 else "properties"
        return f"required {noun} not set: {', '.join(self.names)}"


class NotLive(PropertyError):
    """The property cannot change while the overlay exists."""

    def __init__(self, name: str) -> None:
        """Take the property's `name`."""
        self.name = name
        super().__init__(name)

    def __str__(self) -> str:
        return f"{self.name} cannot change while the overlay exists; delete it and create it anew"


class TargetInvalid(ValueError):
    """A target that the encapsulation cannot use; the message says why."""


class Panic(BaseException):
    """An instance gives up: it is ended and restored later, see `Host.panic`.

    Not an `Exception`, so that a plugin's own ``except Exception`` does not swallow it.
    """
